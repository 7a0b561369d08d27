"""What `stacks.toml` says of one image, as it is written, and of the sets that images use: frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from builder.digest import Json
from builder.manifest.settings import PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """A named list of requests, so that a pin is written once.

    `asks` holds keys of kinds as an image's `asks` does ("pip", "apt": tuples of requests; "index": a name);
    `on` the same by selector, where a request replaces the one of the same name. `env` are variables of the images that
    use it, and of their children.
    """

    name: str
    asks: Mapping[str, Json]
    on: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    together: bool = False
    same_release: tuple[str, ...] = ()


class Origin(NamedTuple):
    """What `from` says: exactly one of an image's name, an archive's name, a reference to an image of a registry."""

    parent: str = ""
    archive: str = ""
    base: str = ""

    @classmethod
    def parse(cls, text: str) -> Origin:
        """`base`, `archive:bookworm` or `oci:quay.io/jupyter/base-notebook:2026-10-26`."""
        where, colon, rest = text.partition(":")
        if not colon:
            return cls(parent=text)
        return cls(archive=rest) if where == "archive" else cls(base=rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image as written: `same-as` followed, its sets not yet applied.

    Attributes:
        parent: name of another image, or "" for a root.
        archive: name of the archive a root is built from, else "".
        base: reference of the image from a registry that a root starts from, else "".
        require_signature: paths of public keys, of which one must have signed `base`.
        source: name of the archive that apt packages come from, where that does not follow from the root.
        asks: what the keys of kinds say, validated against the kinds' schemas, lists as tuples:
            `{"apt": ("bash", …), "pip": (…), "python": {"from": "apt", "prefix": "/opt/venv"}, …}`.
            Each kind reads its own.
        on: by selector (`cuda`, `@linux/arm64`, `cuda@linux/arm64`), what it has besides: keys of kinds, `env`,
            `labels` and, for a root, `from` and `require-signature`.
        description: one sentence for people who choose among images.
        publish: what the image is called where it is pushed to; `{image}` and `{variant}`, which is `-cuda` or
            nothing, are replaced.
        same_as: the image that this one took its other keys from, or "".
    """

    name: str
    parent: str
    archive: str
    base: str = ""
    require_signature: tuple[str, ...] = ()
    source: str = ""
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
    description: str = ""
    publish: str = "{image}{variant}"
    same_as: str = ""

    @property
    def origin(self) -> Origin:
        return Origin(parent=self.parent, archive=self.archive, base=self.base)
