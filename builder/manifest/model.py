"""What `stacks.toml` says, as frozen types. `read.py` makes them; nothing here touches a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from builder.digest import Json
from builder.manifest.shape import request_name


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


PLAIN = "cpu"
"""The variant without a suffix, which every manifest has."""

PYPI = "pypi"
"""The name of the public Python package index, which every manifest has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    name: str
    platforms: tuple[str, ...]
    repository: str = "{image}"
    exclude_newer: datetime | None = None
    exempt: frozenset[str] = frozenset()
    resolver: str = "uv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A Debian-style archive. `keyring` names one that comes with stackbuild, or a file of the project."""

    name: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    keyring: str = "debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Who owns what: user, home and groups of a family.

    `home_template` is a copy of the home, from which a first start fills an empty volume; "" for none.
    """

    name: str
    user: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()
    check: tuple[str, ...] = ()
    home_template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    name: str
    platforms: tuple[str, ...] | None = None
    virtual: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """A named list of requests, so that a pin is written once.

    `asks` holds keys of kinds as an image's `asks` does ("pip", "apt": tuples of requests; "index": a name);
    `on` the same by variant, where a request replaces the one of the same name.
    """

    name: str
    asks: Mapping[str, Json]
    on: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image as written: `same-as` followed, its sets not yet applied.

    Attributes:
        parent: name of another image, or "" for a root.
        archive: name of the archive a root starts from, else "".
        asks: what the keys of kinds say, validated against the kinds' schemas, lists as tuples:
            `{"apt": ("bash", …), "pip": (…), "python": {"from": "apt", "prefix": "/opt/venv"}, …}`.
            Each kind reads its own.
        on: by variant, what it has besides: keys of kinds, `env` and `labels`.
        same_as: the image that this one took its other keys from, or "".
        line: line of the image's table in `stacks.toml`.
    """

    name: str
    parent: str
    archive: str
    layout: str
    asks: Mapping[str, Json]
    use: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    expose: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    variants: tuple[str, ...] = (PLAIN,)
    platforms: tuple[str, ...] | None = None
    check: tuple[str, ...] = ()
    on: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    same_as: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole of `stacks.toml`.

    Attributes:
        images: parents first, then by name.
        variants: `cpu` is always there.
        indexes: URLs by name; the one of `pypi` is not in it unless the manifest gives another.
        lines: the line of each TOML path, as `images.jupyter.pip[2]`.
    """

    path: Path
    project: Project
    archives: Mapping[str, Archive]
    indexes: Mapping[str, str]
    layouts: Mapping[str, Layout]
    variants: Mapping[str, Variant]
    sets: Mapping[str, PackageSet]
    images: Mapping[str, Image]
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def chain(self, image: str) -> tuple[Image, ...]:
        """The image and its ancestors, root first."""
        found: list[Image] = []
        name = image
        while name:
            found.append(self.images[name])
            name = self.images[name].parent
        return tuple(reversed(found))

    def root_archive(self, image: str) -> Archive:
        """The archive that the image's root starts from."""
        return self.archives[self.chain(image)[0].archive]

    def layout(self, image: str) -> Layout:
        """The nearest layout that the image or an ancestor names."""
        for one in reversed(self.chain(image)):
            if one.layout:
                return self.layouts[one.layout]
        raise KeyError(image)

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
        image = self.images[target.image]
        if not image.parent:
            return None
        variants = self.images[image.parent].variants
        variant = target.variant if target.variant in variants else PLAIN
        return Target(image.parent, variant, target.platform)

    def ask(self, target: Target, key: str) -> tuple[str, ...]:
        """The requests of a list-shaped key ("apt", "pip", "sdists"), one for each name, sorted.

        The image's sets come first, in the order of `use`, then its own; each first in general, then for the
        target's variant. A later request replaces an earlier one of the same name.
        """
        return tuple(sorted({request_name(request): request for _, request in self._asked(target, key)}.values()))

    def where(self, target: Target, key: str, name: str) -> str:
        """`stacks.toml:41`, the line that asks for `name`; the image's own line where nobody does."""
        line = self.images[target.image].line
        for path, request in self._asked(target, key):
            if request_name(request) == request_name(name):
                line = self.lines[path]
        return f"{self.path.name}:{line}"

    def inherited(self, image: str, key: str) -> Json:
        """What the image, else its nearest ancestor, says for a key of a kind ("python"); else None."""
        return next((one.asks[key] for one in reversed(self.chain(image)) if key in one.asks), None)

    def _asked(self, target: Target, key: str) -> Iterator[tuple[str, str]]:
        """TOML path and text of each request, those that replace after those that are replaced."""
        image = self.images[target.image]
        used = ((f"sets.{name}", self.sets[name].asks, self.sets[name].on) for name in image.use)
        for path, asks, on in (*used, (f"images.{image.name}", image.asks, image.on)):
            general = (f"{path}.{key}", asks)
            special = (f"{path}.on.{target.variant}.{key}", on.get(target.variant, {}))
            for here, asked in (general, special):
                requests = asked.get(key, ())
                assert isinstance(requests, tuple), here
                for n, request in enumerate(requests):
                    assert isinstance(request, str), here
                    yield f"{here}[{n}]", request
