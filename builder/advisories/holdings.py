"""Who holds a package: targets by their locks, releases by what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builder.digest import Digest
from builder.manifest.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A package that is asked about, with the name and version that it is asked about by: of Debian's, perhaps the
    source's."""

    kind: str
    package: str
    name: str
    version: str
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A release that holds it.

    Attributes:
        tags: those that name it now, as far as this store has recorded; before: those that did.
        platforms: what each holds of it; only those that hold any.
    """

    name: str
    digest: Digest
    time: str
    tags: tuple[str, ...]
    before: tuple[str, ...]
    platforms: Mapping[str, tuple[Held, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """All that was found.

    Attributes:
        targets: in the manifest's order, those that hold it.
        releases: oldest first, each digest once.
        unknown: NAME@DIGEST of releases of which it is not known what they hold, on some platform.
    """

    targets: Mapping[Target, tuple[Held, ...]]
    releases: tuple[Deployed, ...]
    unknown: tuple[str, ...]
