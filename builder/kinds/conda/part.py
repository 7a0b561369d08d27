"""Write one layer of packages; runs in a process of the pool."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.compression import Codec
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda.link import Laid, Place, lay
from builder.kinds.conda.package import Package, read
from builder.kinds.pip import bytecode
from builder.kinds.pip.scheme import FILE_MODE, FOLDER_MODE
from builder.parts import write_part
from builder.store import Store
from builder.tree import Bytes, Entry, Member, merge, with_parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A package in the store.

    Attributes:
        record: what the lock says of it, as in a channel's repodata (CEP 36): name, version, build, fn, sha256, …
    """

    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def filename(self) -> str:
        return str(self.record["fn"])

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self.record['sha256']}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one layer is made of.

    Attributes:
        codec: how it is compressed.
        zips: package → digest of its bytecode among the store's sources, for noarch python.
        scripts: packages whose post-link scripts are run by a later step.
        history: whether conda's history of the prefix begins here.
    """

    name: str
    packages: tuple[Packed, ...]
    place: Place
    zips: Mapping[str, Digest]
    codec: Codec
    scripts: frozenset[str] = frozenset()
    history: bool = False


def write_packages(store: Store, layer: Layer) -> dict[str, Any]:
    """Lay packages and write them as one layer; see `parts.write_part` for the result.

    Raises:
        HostileInput: a package is not what its pin or it itself says.
        StackbuildError: two packages bring one path, or a package has a script that may not run.
    """
    place = layer.place
    with store.workspace() as workspace:
        trees: list[Iterable[Entry]] = []
        for number, one in enumerate(layer.packages):
            package = opened(store, one, workspace / str(number))
            _refuse_scripts(package, one.name, layer.scripts)
            compiled: Mapping[str, Member] = {}
            if one.name in layer.zips:
                compiled = bytecode.members(store, layer.zips[one.name])
            trees.append(lay(package, one.record, place, compiled).entries)
        if layer.history:
            # Without this file no tool takes the folder for an environment; what would stand in it are times.
            path = f"{place.base}/conda-meta/history"
            trees.append([Entry(path, "file", FILE_MODE, content=Bytes(b""), owner="conda-meta")])
        return write_part(store, layer.name, in_prefix(merge(trees), place), layer.codec)


def opened(store: Store, one: Packed, folder: Path) -> Package:
    """A package of the store, checked and decompressed into `folder`, which is made.

    Raises:
        HostileInput: it is not what its pin says, malformed, or says of itself what is not so.
    """
    folder.mkdir()
    path = store.checked(store.source(one.digest))
    if md5 := one.record.get("md5"):
        with path.open("rb") as stream:
            got = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if got != md5:
            raise HostileInput(
                f"a conda package is not what its pin says: {one.filename}",
                expected=f"md5 {md5}",
                got=f"md5 {got}, though the sha256 is right",
                next_step=f"stackbuild lock --upgrade-package {one.name}",
            )
    return read(path, one.filename, folder)


def _refuse_scripts(package: Package, name: str, allowed: frozenset[str]) -> None:
    """Whatever conda would run on installing is run or refused, never left out silently."""
    paths = {file.path for file in package.files}
    if f"bin/.{name}-pre-link.sh" in paths:
        raise StackbuildError(
            f"{package.filename} has a pre-link script, which is run nowhere any more",
            next_step="pin another build of it",
        )
    if f"bin/.{name}-post-link.sh" in paths and name not in allowed:
        raise StackbuildError(
            f"{package.filename} has a post-link script",
            where=f"bin/.{name}-post-link.sh",
            expected=f'conda-scripts = ["{name}"] in stacks.toml, which lets it run in the sandbox',
            next_step="read the script, then allow it, or leave the package out",
        )


def in_prefix(entries: Sequence[Entry], place: Place) -> list[Entry]:
    """Entries with their folders: of the prefix and below it as the prefix's files, above it as Debian's."""
    return [
        Entry(entry.path, "dir", FOLDER_MODE, owner=entry.owner)
        if entry.kind == "dir" and f"{entry.path}/".startswith(f"{place.base}/")
        else entry
        for entry in with_parents(entries)
    ]


def sources_of(laid: Laid, path: Path) -> tuple[tuple[str, int, int, int, int], ...]:
    """Write a laid package's Python sources into one new file, one after another; where each lies, as for `Batch`."""
    rows = []
    with path.open("xb") as out:
        for name, content in laid.sources:
            offset = out.tell()
            if isinstance(content, Bytes):
                out.write(content.data)
            else:
                with Path(content.path).open("rb") as stream:
                    stream.seek(content.offset)
                    out.write(stream.read(content.size))
            rows.append((name, offset, content.size, content.size, 0))
    return tuple(rows)
