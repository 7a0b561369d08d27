"""A package → entries: its files at its location, and links to its programs.

Where things lie is what `npm install --global` would do with the same lock:

    <prefix>/lib/<location>/…
    <prefix>/lib/node_modules/<folder>/<location>/…                    of what is nested in that folder of a package
    <prefix>/bin/PROGRAM -> ../lib/node_modules/PACKAGE/FILE           of what was asked for
    <prefix>/lib/…/node_modules/.bin/PROGRAM -> ../PACKAGE/FILE        of what lies below a package

Files are owned by 0:0 with group rights equal to user rights; executable is what the tarball says, and every program,
whose first line loses a carriage return, as npm has it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from builder.digest import Digest, Json
from builder.errors import HostileInput
from builder.kinds.npm import tarball
from builder.kinds.npm.package import FOLDER, Package
from builder.tree import Entry, File, with_parents

FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o664, 0o775, 0o775
_CHUNK: Final = 1 << 20
_HASHBANG = re.compile(rb"(#![^\n]+?)\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laying:
    """One package to be laid, with what lies in its tarball.

    Attributes:
        bundled: packages that have no tarball of their own.
        asked: whether its programs go to `<prefix>/bin`.
    """

    package: Package
    bundled: tuple[Package, ...] = ()
    asked: bool = False


def document(laying: Laying) -> Json:
    """What its entries are made from, beside the tarball; `of_document` is the way back."""
    package = laying.package
    return {
        "asked": laying.asked,
        "bundled": [_described(one) for one in laying.bundled],
        "integrity": package.integrity,
        **_described(package),
    }


def _described(package: Package) -> dict[str, Json]:
    return {
        "location": package.location,
        "name": package.name,
        "version": package.version,
        "programs": dict(package.programs),
        **({"within": package.within} if package.within else {}),
    }


def title(found: Mapping[str, Any]) -> str:
    """The title of the package that a document is about."""
    return _package(found).title


def of_document(found: Mapping[str, Any], digest: Digest) -> Laying:
    """The laying that a document says.

    Args:
        digest: of the tarball.
    """
    return Laying(
        package=replace(_package(found), integrity=found["integrity"], digest=digest),
        bundled=tuple(_package(one) for one in found["bundled"]),
        asked=found["asked"],
    )


def _package(found: Mapping[str, Any]) -> Package:
    native = {"bin": found["programs"]}
    within = found.get("within", "")
    return Package(
        location=found["location"], name=found["name"], version=found["version"], native=native, within=within
    )


def layings(packages: Iterable[Package], every: Mapping[str, Package], asked: Collection[str] = ()) -> list[Laying]:
    """Each of the packages that has a tarball, with those of `every`, their tree, that lie in it.

    Args:
        asked: names of what was asked for.
    """
    held: dict[str, list[Package]] = {}
    for package in every.values():
        if package.bundled:
            held.setdefault(_holder(package, every), []).append(package)
    return [
        Laying(
            package=package,
            bundled=tuple(held.get(package.location, ())),
            asked=package.top and package.folder_name in asked,
        )
        for package in packages
        if not package.bundled
    ]


def _holder(package: Package, every: Mapping[str, Package]) -> str:
    """The location of the package in whose tarball a bundled one lies."""
    location = package.location
    while location in every and every[location].bundled:
        location = location.rpartition(f"/{FOLDER}/")[0]
    return location


def unpack(source: Path, laying: Laying, prefix: str, scratch: Path) -> list[Entry]:
    """The files of one tarball as entries, without links to programs.

    Args:
        source: the tarball; its sha256 is already checked.
        prefix: absolute, as in the manifest.
        scratch: an empty folder, for the content of the files.

    Raises:
        HostileInput: the tarball is malformed or another package's.
    """
    package = laying.package
    tarball.vouched(source, package)
    base = folder(prefix, package)
    found: dict[str, Entry] = {}
    manifest = b""
    for number, member in enumerate(tarball.members(source, str(package))):
        path = scratch / str(number)
        with path.open("wb") as stream:
            while piece := member.stream.read(_CHUNK):
                stream.write(piece)
        mode = PROGRAM_MODE if member.executable else FILE_MODE
        content = File(str(path), path.stat().st_size)
        found[member.path] = Entry(f"{base}/{member.path}", "file", mode, content=content, owner=package.title)
    if "package.json" in found:
        manifest = _data(found["package.json"], 16 << 20, package)
    tarball.manifest(manifest, package, gyp=False)
    return list(found.values())


def folder(prefix: str, package: Package) -> str:
    """Where a package lies, relative to the root."""
    tree = f"{FOLDER}/{package.within}/" if package.within else ""
    return f"{prefix.strip('/')}/lib/{tree}{package.location}"


def with_programs(entries: Iterable[Entry], laying: Laying, prefix: str) -> list[Entry]:
    """Entries with links to the programs among them; a program that is not there is passed over, as npm does."""
    files = {entry.path: entry for entry in entries}
    links: dict[str, Entry] = {}
    for package in (laying.package, *laying.bundled):
        for path, target, program in _links(package, prefix, asked=laying.asked and package is laying.package):
            entry = files.get(program)
            if entry is None or entry.kind != "file":
                continue
            files[program] = _runnable(entry, package)
            links.setdefault(path, Entry(path, "link", 0o777, target=target, owner=laying.package.title))
    return [*files.values(), *links.values()]


def programs(package: Package, prefix: str) -> Mapping[str, str]:
    """Program → the path of its link, of a package that was asked for."""
    return {path.rpartition("/")[2]: path for path, _, _ in _links(package, prefix, asked=True)}


def _links(package: Package, prefix: str, *, asked: bool) -> Iterator[tuple[str, str, str]]:
    """(path of the link, where it leads, path of the program)."""
    base = folder(prefix, package)
    for name, file in sorted(package.programs.items()):
        inside = "/".join(part for part in file.split("/") if part not in {"", "."})
        if package.top:
            if asked:
                yield f"{prefix.strip('/')}/bin/{name}", f"../lib/{package.location}/{inside}", f"{base}/{inside}"
            continue
        beside = base.removesuffix(f"/{package.folder_name}")
        yield f"{beside}/.bin/{name}", f"../{package.folder_name}/{inside}", f"{base}/{inside}"


def _runnable(entry: Entry, package: Package) -> Entry:
    assert isinstance(entry.content, File)
    with Path(entry.content.path).open("rb") as stream:
        head = stream.read(2048)
    found = _HASHBANG.match(head)
    if found is None:
        return replace(entry, mode=PROGRAM_MODE)
    path = Path(entry.content.path + ".program")
    data = _data(entry, 64 << 20, package)
    path.write_bytes(found[1] + b"\n" + data[found.end() :])
    return replace(entry, mode=PROGRAM_MODE, content=File(str(path), path.stat().st_size))


def _data(entry: Entry, limit: int, package: Package) -> bytes:
    assert isinstance(entry.content, File)
    if entry.content.size > limit:
        raise HostileInput(f"too large for a script or metadata: {entry.path}", where=str(package))
    return Path(entry.content.path).read_bytes()


def in_prefix(entries: Sequence[Entry], prefix: str) -> list[Entry]:
    """Sorted entries with their folders: of the prefix and below it as its files, above it as Debian's."""
    base = prefix.strip("/") + "/"
    return [
        Entry(entry.path, "dir", FOLDER_MODE) if entry.kind == "dir" and f"{entry.path}/".startswith(base) else entry
        for entry in with_parents(entries)
    ]
