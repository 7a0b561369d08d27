"""What one target asks of conda."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from builder.lock import Lock, Pin
from builder.manifest.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaQuestion:
    """What one target asks.

    Attributes:
        request: as the manifest writes it.
        channels: names, those with priority first.
        virtual: sorted, as `virtual.virtual` gives them.
        inherited: image names and locks of the ancestors, root first.
        existing: the old lock, whose pins are kept while they answer; None for none.
        upgrade: names whose old pins do not count.
        exclude_newer: no record of that moment or later, but for `exempt` names; UTC.
        where: for a requested name, the manifest's line: `stacks.toml:41`.
    """

    target: Target
    request: tuple[str, ...]
    channels: tuple[str, ...]
    virtual: tuple[str, ...]
    inherited: tuple[tuple[str, Lock], ...] = ()
    existing: Lock | None = None
    upgrade: frozenset[str] = frozenset()
    exclude_newer: datetime | None = None
    exempt: frozenset[str] = frozenset()
    where: Callable[[str], str] = lambda name: "stacks.toml"

    @property
    def pinned(self) -> Mapping[str, tuple[str, Pin]]:
        """The ancestors' pins by name, with their images."""
        return {pin.name: (image, pin) for image, lock in self.inherited for pin in lock.pins}
