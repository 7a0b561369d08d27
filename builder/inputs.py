"""What a plan is made from, by digest: the program, and what of a project counts for one image.

An image's digest covers all that its targets' plan keys depend on: its tables in the manifest and its sets', the locks
of all its variants and platforms (packages for another platform are compiled by this one's Python), the files that its
kinds say they read, and the same of the images that it is built from or names. Equal digests are equal plan keys.
Whatever of the manifest is no image and no set counts for all of them.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path

from builder import __version__
from builder.digest import Digest, Json, canonical, key
from builder.kinds import kinds
from builder.manifest import edges
from builder.manifest.model import Manifest
from builder.manifest.settings import Audit, CachePlace, Retention
from builder.platforms import NATIVE
from builder.project_files import Files, libraries


@cache
def program() -> str:
    """The digest of this program and of the libraries beside it: what else decides how a plan comes out."""
    hasher = hashlib.sha256(canonical([__version__, NATIVE, sys.version, libraries()]))
    base = Path(__file__).parent
    for path in sorted(base.rglob("*.py")):
        hasher.update(f"{path.relative_to(base)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return hasher.hexdigest()


class Inputs:
    """The digests of a project's images, each computed once."""

    def __init__(self, manifest: Manifest, files: Files) -> None:
        self._manifest = manifest
        self._files = files
        self._paths = sorted(files)
        self._found: dict[str, Digest] = {}
        self._common = key([program(), _plain(_common(manifest))])
        self._sets = {name: key(_fields(found)) for name, found in manifest.sets.items()}
        self._above: dict[str, tuple[str, ...]] = {}

    def digest(self, image: str) -> Digest:
        """What counts for all targets of an image, in one."""
        for other in self._whole(image):
            if other not in self._found:
                self._found[other] = self._digest(other)
        return self._found[image]

    def files(self, image: str) -> Iterator[str]:
        """The files of the project that count for an image itself."""
        for one in sorted({f"locks/{image}", *self._reads(image)}):
            yield from self._below(one)

    def _digest(self, image: str) -> Digest:
        found = self._manifest.images[image]
        return key(
            [
                self._common,
                _fields(found),
                [self._sets[name] for name in found.use],
                {path.encode("utf-8", "surrogateescape").hex(): self._files[path] for path in self.files(image)},
                {other: self._found[other] for other in self._needed(image)},
            ]
        )

    def _whole(self, image: str) -> Iterator[str]:
        """An image and all that it needs, needed ones first; those that are known already are left out."""
        todo, seen = [(image, False)], set(self._found)
        while todo:
            name, ready = todo.pop()
            if ready:
                yield name
            elif name not in seen:
                seen.add(name)
                todo.append((name, True))
                todo += [(other, False) for other in self._needed(name)]

    def _needed(self, image: str) -> tuple[str, ...]:
        if image not in self._above:
            self._above[image] = edges.images(self._manifest, image)
        return self._above[image]

    def _reads(self, image: str) -> Iterator[str]:
        asking = list(edges.tables_of(self._manifest, image))
        for kind in kinds().values():
            if hasattr(kind, "reads"):
                for asked in asking:
                    yield from kind.reads(asked)

    def _below(self, path: str) -> Iterator[str]:
        """The file of that name, or those in the folder of that name."""
        if path in self._files:
            yield path
        at = bisect_left(self._paths, f"{path}/")
        while at < len(self._paths) and self._paths[at].startswith(f"{path}/"):
            yield self._paths[at]
            at += 1


def _common(manifest: Manifest) -> Manifest:
    """The manifest without what says where it lies, what counts for single images, and what no plan looks at."""
    project = manifest.project
    if project.cooldown:  # "7 days" is another day every day; only locking asks which.
        project = replace(project, exclude_newer=None)
    return replace(
        manifest,
        project=project,
        path=Path(),
        images={},
        sets={},
        lines={},
        cache=CachePlace(),
        retention=Retention(),
        audit=Audit(),
    )


def _fields(found: object) -> Json:
    """A frozen type's own fields."""
    assert is_dataclass(found)
    return {one.name: getattr(found, one.name) for one in fields(found) if one.compare}


def _plain(value: object) -> Json:
    """The same of all that it holds."""
    if is_dataclass(value):
        return {name: _plain(one) for name, one in dict(_fields(value)).items()}  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return [_plain(one) for one in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (datetime, Path)):
        return str(value)
    assert value is None or isinstance(value, (bool, int, str)), value
    return value
