"""`stacks.toml` as a whole, and what it says of a target: sets, selectors and ancestors considered.

`read.py` makes it, of what `image.py` and `settings.py` have; nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from builder.digest import Json
from builder.manifest.image import Image, Origin, PackageSet
from builder.manifest.settings import PLAIN, Archive, Audit, CachePlace, Layout, Project, Retention, Variant
from builder.manifest.shape import join, request_name

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """image × variant × platform, written `jupyter-pytorch:cuda@linux/arm64`."""

    image: str
    variant: str
    platform: str

    def __str__(self) -> str:
        return f"{self.image}:{self.variant}@{self.platform}"

    @classmethod
    def parse(cls, text: str) -> Target:
        """A whole target, as `str` writes it."""
        rest, _, platform = text.partition("@")
        image, _, variant = rest.partition(":")
        return cls(image, variant, platform)

    def matches(self, text: str) -> bool:
        """Whether the target is among those that a text such as `jupyter@linux/arm64` means."""
        asked = Target.parse(text)
        return (
            asked.image in {"", self.image}
            and asked.variant in {"", self.variant}
            and asked.platform in {"", self.platform}
        )

    @property
    def stem(self) -> str:
        """The common beginning of its lock files: `linux-amd64`, with a variant `cuda.linux-amd64`."""
        platform = self.platform.replace("/", "-")
        return platform if self.variant == PLAIN else f"{self.variant}.{platform}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole of `stacks.toml`.

    Attributes:
        images: parents first, then by name.
        variants: `cpu` is always there.
        indexes: URLs by name; the one of `pypi` is not in it unless the manifest gives another.
        channels: URLs of conda channels by name; a well-known one need not be in it.
        lines: the line of each TOML path, as `images.jupyter.pip[2]`.
    """

    path: Path
    project: Project
    archives: Mapping[str, Archive]
    indexes: Mapping[str, str]
    channels: Mapping[str, str]
    layouts: Mapping[str, Layout]
    variants: Mapping[str, Variant]
    sets: Mapping[str, PackageSet]
    images: Mapping[str, Image]
    cache: CachePlace = field(default_factory=CachePlace)
    retention: Retention = field(default_factory=Retention)
    audit: Audit = field(default_factory=Audit)
    lines: Mapping[str, int] = field(default_factory=dict)
    _once: dict[tuple[str, Target], Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def image(self, target: Target) -> Image:
        """The image as the target sees it: with its sets' `env` below its own, with the `from` of its `on` and who
        must have signed that, and its `env` and `labels` over the general."""
        return self.once("image", target, self._image)

    def _image(self, target: Target) -> Image:
        image = self.images[target.image]
        shared = {name: value for one in image.use for name, value in self.sets[one].env.items()}
        image = replace(image, env={**shared, **image.env})
        for special in _special(image.on, target):
            origin = Origin.parse(str(special["from"])) if "from" in special else image.origin
            image = replace(
                image,
                parent=origin.parent,
                archive=origin.archive,
                base=origin.base,
                require_signature=_signers(special, image.require_signature),
                env={**image.env, **_texts(special, "env")},
                labels={**image.labels, **_texts(special, "labels")},
            )
        return image

    def once(self, what: str, target: Target, find: Callable[[Target], _T]) -> _T:
        """What `find` says of a target, which is asked once: a plan asks a thousand times."""
        if (what, target) not in self._once:
            self._once[what, target] = find(target)
        found: _T = self._once[what, target]
        return found

    def lineage(self, target: Target) -> tuple[Target, ...]:
        """The target and its ancestors, root first."""
        found = [target]
        while (parent := self.parent(found[-1])) is not None:
            found.append(parent)
        return tuple(reversed(found))

    def family(self, target: Target) -> tuple[Image, ...]:
        """The images of `lineage`, each as its variant sees it."""
        return tuple(self.image(one) for one in self.lineage(target))

    def root_archive(self, target: Target) -> Archive:
        """The archive that apt packages come from: the one of the root, or what the nearest image says.

        Raises:
            KeyError: none; `validate.py` has looked that images which ask for apt packages have one.
        """
        return next(
            self.archives[one.source or one.archive]
            for one in reversed(self.family(target))
            if one.source or one.archive
        )

    def layout(self, target: Target) -> Layout | None:
        """The nearest layout that the image or an ancestor names; a base from a registry may do without."""
        return next((self.layouts[one.layout] for one in reversed(self.family(target)) if one.layout), None)

    def published(self, target: Target, repository: str = "") -> str:
        """What the target's image is called, all platforms alike: the project's repository with its name in it.

        Args:
            repository: instead of the project's.
        """
        return (repository or self.project.repository).replace("{image}", self.title(target))

    def title(self, target: Target) -> str:
        """What the target's image is called, wherever it is."""
        image = self.images[target.image]
        variant = "" if target.variant == PLAIN else f"-{target.variant}"
        return image.publish.replace("{image}", image.name).replace("{variant}", variant)

    def targets(self) -> Iterator[Target]:
        """Every target, parents first, then by variant and platform."""
        for image in self.images.values():
            for variant in image.variants:
                for platform in self.platforms(image, variant):
                    yield Target(image.name, variant, platform)

    def platforms(self, image: Image, variant: str) -> tuple[str, ...]:
        """The platforms of one image and variant, in the project's order."""
        allowed = [set(self.project.platforms)]
        limits = (image.platforms, self.variants[variant].platforms)
        allowed.extend(set(limit) for limit in limits if limit is not None)
        return tuple(p for p in self.project.platforms if all(p in some for some in allowed))

    def parent(self, target: Target) -> Target | None:
        """The parent's same variant, else its plain one; None for a root."""
        return self.once("parent", target, self._parent)

    def _parent(self, target: Target) -> Target | None:
        parent = self.image(target).parent
        if not parent:
            return None
        variant = target.variant if target.variant in self.images[parent].variants else PLAIN
        return Target(parent, variant, target.platform)

    def ask(self, target: Target, key: str) -> tuple[str, ...]:
        """The requests of a list-shaped key ("apt", "pip", "sdists"), one for each name, sorted.

        The image's sets come first, in the order of `use`, then its own; each first in general, then by its
        `on`. A later request replaces an earlier one of the same name.
        """
        asked = {request_name(one): one for _, one in self._asked(target, key) if isinstance(one, str)}
        return tuple(sorted(asked.values()))

    def tables(self, target: Target, key: str) -> tuple[Mapping[str, Json], ...]:
        """The same of a key whose requests are tables with a `name` ("fetch", "run"), in the order of first mention."""
        found: dict[str, Mapping[str, Json]] = {}
        for _, one in self._asked(target, key):
            assert isinstance(one, Mapping), one
            found[str(one["name"])] = one
        return tuple(found.values())

    def where(self, target: Target, key: str, name: str) -> str:
        """`stacks.toml:41`, the line that asks for `name`; the image's own line where nobody does."""
        path = self._asking(target, key, name)
        return f"{self.path.name}:{self.lines[path]}" if path else self.place(target.image)

    def place(self, image: str) -> str:
        """`stacks.toml:38`, the line of an image's table."""
        return f"{self.path.name}:{self.lines[join('images', image)]}"

    def asker(self, target: Target, key: str, name: str) -> str:
        """`set scientific`, which asks for `name`, or `image jupyter`, which also is named where nobody does."""
        room, _, rest = (self._asking(target, key, name) or f"images.{target.image}").partition(".")
        return f"set {rest.partition('.')[0]}" if room == "sets" else f"image {target.image}"

    def _asking(self, target: Target, key: str, name: str) -> str:
        """The TOML path of the request for `name` that counts, "" where there is none."""
        found = ""
        for path, request in self._asked(target, key):
            asked = str(request["name"]) if isinstance(request, Mapping) else request_name(str(request))
            if asked in {name, request_name(name)}:
                found = path
        return found

    def option(self, target: Target, key: str) -> Json:
        """The nearest value of a key that is no list of requests ("python", "channels"); None where nobody gives one.

        Nearest is: the image's `on`, the image, its sets, the last of them first, then its ancestors.
        """
        for one in reversed(self.lineage(target)):
            for _, asked in reversed(self.asking(one)):
                if key in asked:
                    return asked[key]
        return None

    def _asked(self, target: Target, key: str) -> Iterator[tuple[str, Json]]:
        """TOML path and value of each request, those that replace after those that are replaced."""
        for path, asked in self.asking(target):
            requests = asked.get(key, ())
            assert isinstance(requests, tuple), path
            for n, request in enumerate(requests):
                yield f"{path}.{key}[{n}]", request

    def asking(self, target: Target) -> tuple[tuple[str, Mapping[str, Json]], ...]:
        """What an image asks for, with TOML paths: its sets, then its own, each in general, then by its `on`."""
        image = self.images[target.image]
        used = ((f"sets.{name}", self.sets[name].asks, self.sets[name].on) for name in image.use)
        found: list[tuple[str, Mapping[str, Json]]] = []
        for path, asks, on in (*used, (f"images.{image.name}", image.asks, image.on)):
            found.append((path, asks))
            found += [(join(join(path, "on"), one), on[one]) for one in selectors(target) if one in on]
        return tuple(found)


def selectors(target: Target) -> tuple[str, ...]:
    """The keys below `on` that mean a target, the most general first: `cuda`, `@linux/arm64`, `cuda@linux/arm64`."""
    return target.variant, f"@{target.platform}", f"{target.variant}@{target.platform}"


def _special(on: Mapping[str, Mapping[str, Json]], target: Target) -> Iterator[Mapping[str, Json]]:
    yield from (on[one] for one in selectors(target) if one in on)


def _signers(table: Mapping[str, Json], otherwise: tuple[str, ...]) -> tuple[str, ...]:
    found = table.get("require-signature", otherwise)
    assert isinstance(found, tuple), found
    return found


def _texts(table: Mapping[str, Json], key: str) -> dict[str, str]:
    found = table.get(key, {})
    assert isinstance(found, Mapping), found
    return {name: str(value) for name, value in found.items()}
