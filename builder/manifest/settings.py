"""What `stacks.toml` says for a whole family: the project, its archives, layouts and variants, as frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

PLAIN = "cpu"
"""The variant without a suffix, which every manifest has."""

PYPI = "pypi"
"""The name of the public Python package index, which every manifest has."""

CONDA_FORGE = "conda-forge"
"""The name of the public conda channel that every manifest has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What holds for every image.

    Attributes:
        exclude_newer: nothing published later is locked; UTC.
        cooldown: how many days before today that is, where the manifest says it so; else 0.
    """

    name: str
    platforms: tuple[str, ...]
    repository: str = "{image}"
    version: str = ""
    tags: tuple[str, ...] = ("{key}",)
    plain_http: tuple[str, ...] = ()
    exclude_newer: datetime | None = None
    cooldown: int = 0
    exempt: frozenset[str] = frozenset()
    resolver: str = "uv"
    source: str = ""
    documentation: str = ""
    vendor: str = ""
    licenses: str = ""
    compression: str = "gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlace:
    """The remote cache: where it is, "" for nowhere, and what makes its entries count."""

    place: str = ""
    trusted: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What `gc` keeps of what is not current any more: the newest releases of each image, and what is so many days
    old or less."""

    days: int = 30
    releases: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """An advisory that is accepted.

    Attributes:
        id: or another name of it.
        until: the last day on which it holds, as RFC 3339 writes it.
        package: only of this one, "" for any; images: only where the locks of these have it, none for any.
    """

    id: str
    reason: str
    until: str
    package: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What is known of advisories, in the manifest's order."""

    accept: tuple[Acceptance, ...] = ()


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

    `home_template` is a copy of the home, from which a first start fills an empty volume; "" for none. `folders` are
    in the home from the beginning, with its owner and mode.
    """

    name: str
    user: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()
    check: tuple[str, ...] = ()
    home_template: str = ""
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way of building the same images for other hardware.

    Attributes:
        platforms: the only ones that have it; None for all of the project's.
        virtual: what solvers may take the hardware to have, as conda names it: `__cuda==13.0`.
        env: variables that every image of the variant has.
        indexes: package → name of the index that it comes from in this variant.
    """

    name: str
    platforms: tuple[str, ...] | None = None
    virtual: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
