"""What a kind may know when it plans its actions for one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from builder import compression
from builder.action import Action
from builder.compression import Codec
from builder.errors import StackbuildError
from builder.lock import Lock, Pin
from builder.locks import Locks, held
from builder.manifest.image import Image
from builder.manifest.model import Manifest, Target
from builder.manifest.settings import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The actions of one target, in the order in which their layers lie."""

    target: Target
    actions: tuple[Action, ...]
    image: Action | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One target while it is planned.

    Attributes:
        ancestors: planned ancestors, root first.
        named: the planned targets that the image names by their digests.
        own: the actions that earlier kinds of this image have planned.
    """

    manifest: Manifest
    target: Target
    locks: Locks
    ancestors: tuple[Planned, ...]
    own: tuple[Action, ...] = field(default=())
    named: Mapping[Target, Planned] = field(default_factory=dict)

    @property
    def image(self) -> Image:
        return self.manifest.image(self.target)

    @property
    def layout(self) -> Layout:
        """The nearest layout.

        Raises:
            StackbuildError: there is none, as may be with a base from a registry.
        """
        found = self.manifest.layout(self.target)
        if found is None:
            raise StackbuildError(
                f"no layout: {self.target}",
                where=self.manifest.place(self.image.name),
                expected="a layout, which says whom files and processes belong to",
                next_step='layout = "NAME" in it or an ancestor',
            )
        return found

    @property
    def codec(self) -> Codec:
        """How layers are compressed, for the options of every action that writes any."""
        return compression.codec(self.manifest.project.compression)

    @property
    def architecture(self) -> str:
        """Debian's name of the platform's architecture, which OCI shares for the platforms we build."""
        return self.target.platform.partition("/")[2].replace("/", "")

    def lock(self, kind: str) -> Lock:
        """The target's own lock of that kind.

        Raises:
            StackbuildError: there is none.
        """
        found = self.locks.read(self.target, kind)
        if found is None:
            raise StackbuildError(
                f"lock is missing: {self.target}, {kind}",
                where=str(self.locks.path(self.target, kind)),
                next_step=f"stackbuild lock {self.target.image}",
            )
        return found

    def layers(self) -> tuple[Action, ...]:
        """Every action whose layers lie below what is planned next: the ancestors', then this image's own."""
        return (*(action for planned in self.ancestors for action in planned.actions), *self.own)

    def below(self) -> tuple[Action, ...]:
        """The same to be read: the layers of a foreign image, to which others only refer, are fetched."""
        return tuple(action.readable for action in self.layers())

    def pins(self, kind: str) -> Mapping[str, Pin]:
        """Pins of that kind, inherited and own, by name. What a foreign image holds is among them, without files."""
        base = held(self.manifest, self.locks, self.target, kind)
        found = {pin.name: pin for pin in base[1].pins} if base is not None else {}
        for target in (*(planned.target for planned in self.ancestors), self.target):
            lock = self.locks.read(target, kind)
            if lock is not None:
                found.update({pin.name: pin for pin in lock.pins})
        return found
