"""A bill of materials: what is in an image, each with its version, digest, licence, and what it requires.

This is what all formats are written from (`exports/sbom_*.py`). Each kind says what its pins are in
`kinds/<kind>/component.py`:

    WANTED                  the paths of the files in an image that it reads
    components(subject)     what it brought
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from builder.digest import Digest
from builder.licences import NONE, Licence
from builder.lock import Lock, Pin
from builder.locks import Locks
from builder.manifest.model import Manifest, Target

Type = Literal["library", "file", "container", "application"]
"""What a component is, in the words of CycloneDX."""
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One thing that is in an image.

    Attributes:
        ref: its name within the bill, unique: `apt:bash`, `npm:a/b`.
        kind: of whose lock it is: `apt`.
        name: as its ecosystem calls it.
        purl: "" where it has none.
        image: the image of the family that brings it, or `oci:REFERENCE` of a foreign base.
        digest: of the file that it was installed from; None for what lies in a foreign base, or in another's file.
        sha512: of that file, hexadecimal; "" where the lock does not say.
        file: the file's name, or path below its archive.
        url: where it may be had by everybody; "" where the lock names an archive or an index only.
        needs: the refs of what it requires, sorted.
        asked: whether the manifest asks for it.
        said: what else is known of it: name and value, sorted.
    """

    ref: str
    kind: str
    name: str
    version: str
    image: str
    purl: str = ""
    type: Type = "library"
    digest: Digest | None = None
    sha512: str = ""
    file: str = ""
    url: str = ""
    licence: Licence = NONE
    needs: tuple[str, ...] = ()
    asked: bool = False
    said: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is in one target's image.

    Attributes:
        name: what the image is called, without a registry.
        version: the project's, "" if it has none.
        digest: of the image's manifest.
        created: RFC 3339, UTC; follows from manifest and image, not from a clock.
        system: the operating system's os-release(5): `ID`, `VERSION_ID`, …
        components: sorted by ref, each once.
        direct: the refs of what the image itself asks for, and of what nothing else requires; sorted.
        notes: what is in the image and not in this list, as sentences; none if nothing is known to be missing.
    """

    target: Target
    name: str
    version: str
    description: str
    digest: Digest
    created: str
    system: Mapping[str, str]
    components: tuple[Component, ...]
    direct: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Some files of an image, by path without a leading slash.

    Attributes:
        contents: regular files.
        links: symbolic links, with their text.
    """

    contents: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def text(self, path: str) -> str | None:
        """A file, by way of links that are known; None where there is none."""
        for _ in range(_MOST_LINKS):
            found = self.contents.get(path)
            if found is not None:
                return found.decode("utf-8", "replace")
            parts = path.split("/")
            for length in range(len(parts), 0, -1):
                place = "/".join(parts[:length])
                if (target := self.links.get(place)) is not None:
                    folder = "/" + posixpath.dirname(place)
                    path = posixpath.normpath(posixpath.join(folder, target, *parts[length:])).lstrip("/")
                    break
            else:
                return None
        return None

    def matching(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
        """The files whose whole path matches, sorted, each with its text."""
        for path in sorted(self.contents):
            if match := pattern.fullmatch(path):
                yield match, self.contents[path].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A built target, as the kinds look at it.

    Attributes:
        files: those that any kind wants.
        system: as `Bill.system`.
    """

    manifest: Manifest
    locks: Locks
    target: Target
    files: Files
    system: Mapping[str, str]

    def pinned(self, kind: str) -> tuple[tuple[Target, Lock], ...]:
        """The locks of a kind, root first, each with the image that has it."""
        found = ((one, self.locks.read(one, kind)) for one in self.manifest.lineage(self.target))
        return tuple((one, lock) for one, lock in found if lock is not None)

    def held(self, kind: str) -> tuple[Pin, ...]:
        """What the foreign image that the family begins with holds of a kind; pins without a file."""
        lock = self.locks.read(self.manifest.lineage(self.target)[0], "inherited") if self.base else None
        return tuple(pin for pin in lock.pins if pin.kind == kind) if lock is not None else ()

    @property
    def base(self) -> str:
        """`oci:REFERENCE` of the foreign image that the family begins with; "" if there is none."""
        reference = self.manifest.image(self.manifest.lineage(self.target)[0]).base
        return f"oci:{reference}" if reference else ""
