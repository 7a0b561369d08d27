"""A package → entries: a function of the package, the prefix and, for noarch python, the Python.

    site-packages/x.py      lib/python3.12/site-packages/x.py, and its bytecode     noarch python only
    python-scripts/x        bin/x                                                   noarch python only
    command = module:f      bin/command                                             noarch python only
    anything else           as it is
                            conda-meta/<name>-<version>-<build>.json

Owners and modes are those of every prefix: 0:0, group rights equal to user rights. A file keeps its time where that is
not newer than the layers' constant, since the bytecode that packages for one platform bring names the time of its
source. Where both are newer, both get the constant, so that Python still takes the bytecode.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import source_from_cache
from typing import Any

from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda import prefix as prefixes
from builder.kinds.conda.archive import content
from builder.kinds.conda.meta import Installed, document
from builder.kinds.conda.package import EntryPoint, Package, PackageFile
from builder.kinds.pip.scheme import FILE_MODE, FOLDER_MODE, PROGRAM_MODE, cache_path
from builder.tree import NEWEST, Bytes, Entry, Member, Slice, safe

_ENTRY_POINT = """\
{shebang}
# -*- coding: utf-8 -*-
import re
import sys

from {module} import {name}

if __name__ == '__main__':
\tsys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])
\tsys.exit({function}())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a package's tree depends on beside the package.

    Attributes:
        prefix: absolute path, without a trailing slash.
        python: `3.12`; "" where nothing is noarch python.
        site: where modules of noarch packages go, below the prefix.
    """

    prefix: str
    python: str = ""
    site: str = ""

    @property
    def base(self) -> str:
        """The prefix as a path of a tree."""
        return self.prefix.strip("/")

    @property
    def interpreter(self) -> str:
        return f"{self.prefix}/bin/python{self.python}"


@dataclass(frozen=True, slots=True)
class Laid:
    """A package's entries, and the sources that want bytecode: (path in the image, content), by path."""

    entries: tuple[Entry, ...]
    sources: tuple[tuple[str, Slice | Bytes], ...]


def lay(package: Package, record: Mapping[str, Any], place: Place, bytecode: Mapping[str, Member]) -> Laid:
    """The tree of one package.

    Args:
        record: what the lock says of it, as in a channel's repodata.
        bytecode: path of a source in the image → its compiled form.

    Raises:
        HostileInput: it is another package, a link leads out of the prefix, or two paths become one.
        StackbuildError: the prefix is longer than the one that the package was built with.
    """
    for name in ("name", "version", "build"):
        if str(package.index.get(name)) != record[name]:
            raise HostileInput(
                f"another conda package: {package.filename}",
                where=f"info/index.json: {name}",
                expected=record[name],
                got=str(package.index.get(name))[:200],
            )
    owner = str(record["name"])
    found: dict[str, Installed] = {}
    for one in (*_files(package, place, owner), *_entry_points(package, place, owner)):
        if one.entry.path in found:
            raise HostileInput(f"two paths become one: {one.entry.path}", where=package.filename)
        found[one.entry.path] = one
    sources = tuple(
        (path, one.entry.content)
        for path, one in sorted(found.items())
        if package.noarch == "python"
        and path.startswith(f"{place.base}/{place.site}/")
        and path.endswith(".py")
        and isinstance(one.entry.content, Slice | Bytes)
    )
    for path, _ in sources:
        cached = cache_path(path, place.python)
        if path in bytecode and cached not in found:
            entry = Entry(cached, "file", FILE_MODE, content=bytecode[path], owner=owner)
            found[cached] = Installed(entry=entry, kind="pyc_file")
    path, text = document(package, record, place.base, found.values())
    if path in found:
        raise HostileInput(f"two paths become one: {path}", where=package.filename)
    written = Entry(path, "file", FILE_MODE, content=Bytes(text), owner=owner)
    return Laid((*_hard_linked(found), written), sources)


def _files(package: Package, place: Place, owner: str) -> Iterator[Installed]:
    files = {one.path: one for one in package.files}
    for file in package.files:
        path = f"{place.base}/{_target(file.path, package.noarch, place)}"
        member = file.member
        if member.kind == "dir":
            yield Installed(entry=Entry(path, "dir", FOLDER_MODE, owner=owner), kind="directory", file=file)
        elif member.kind == "link":
            _refuse_escape(path, member.target, place, package.filename)
            entry = Entry(path, "link", 0o777, mtime=_clamped(member.mtime), target=member.target, owner=owner)
            yield Installed(entry=entry, kind="softlink", file=file)
        else:
            mode = PROGRAM_MODE if member.mode & 0o100 else FILE_MODE
            changed = _changed(file, files, place, package.filename)
            # Bytecode of noarch packages is compiled for sources of the constant time.
            fresh = changed is not None or package.noarch == "python"
            entry = Entry(
                path,
                "file",
                mode,
                mtime=NEWEST if fresh else _clamped(member.mtime),
                content=Slice(member.archive, member.offset, member.size, file.digest) if changed is None else changed,
                owner=owner,
            )
            yield Installed(entry=entry, kind="hardlink", file=file)


def _target(path: str, noarch: str, place: Place) -> str:
    """Where a path of a package goes, below the prefix (CEP 20 for noarch python)."""
    top, _, rest = path.partition("/")
    if noarch == "python" and rest and top in {"site-packages", "python-scripts"}:
        return f"{place.site if top == 'site-packages' else 'bin'}/{rest}"
    return path


def _clamped(mtime: int) -> int:
    return max(0, min(mtime, NEWEST))


def _refuse_escape(path: str, target: str, place: Place, filename: str) -> None:
    """A link of a package leads to something in the prefix; conda moves none."""
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith("/") or not f"{end}/".startswith(f"{place.base}/"):
        raise HostileInput(f"a link leads out of the prefix: {path}", where=filename, got=target[:200])


def _changed(file: PackageFile, files: Mapping[str, PackageFile], place: Place, filename: str) -> Bytes | None:
    """The content of a file that is not installed as it lies in the package; None for all others."""
    if file.placeholder:
        return _patched(file, place, filename)
    if file.path.endswith(".pyc") and file.member.size >= 16:
        return _redated(file, files)
    return None


def _patched(file: PackageFile, place: Place, filename: str) -> Bytes:
    data = _checked(file, filename)
    placeholder, prefix = file.placeholder.encode(), place.prefix.encode()
    if file.mode == "text":
        return Bytes(prefixes.in_text(data, placeholder, prefix))
    try:
        return Bytes(prefixes.in_binary(data, placeholder, prefix))
    except ValueError:
        raise StackbuildError(
            f"conda-prefix is too long for {filename}",
            where=file.path,
            expected=f"at most {len(placeholder)} bytes, as in the prefix that it was built with",
            got=f"{place.prefix}, {len(prefix)} bytes",
            next_step="a shorter conda-prefix in stacks.toml, then: stackbuild lock",
        ) from None


def _checked(file: PackageFile, filename: str) -> bytes:
    """The bytes of a file; those that are not changed are checked when the layer is written."""
    data = content(file.member)
    if file.digest not in {None, hashlib.sha256(data).digest()}:
        raise HostileInput(
            f"a conda package is not what it says: {filename}", where=file.path, got="other bytes than in paths.json"
        )
    return data


def _redated(file: PackageFile, files: Mapping[str, PackageFile]) -> Bytes | None:
    """Bytecode that names the time of a source whose time is clamped, with the new one in it (PEP 552)."""
    try:
        source = files.get(source_from_cache(file.path))
    except ValueError:
        return None
    if source is None or source.placeholder or source.member.mtime <= NEWEST:
        return None
    data = _checked(file, file.path)
    if data[4:8] != bytes(4) or data[8:12] != (source.member.mtime & 0xFFFFFFFF).to_bytes(4, "little"):
        return None
    return Bytes(data[:8] + NEWEST.to_bytes(4, "little") + data[12:])


def _entry_points(package: Package, place: Place, owner: str) -> Iterator[Installed]:
    for one in package.entry_points if package.noarch == "python" else ():
        path = f"{place.base}/bin/{safe(one.command, package.filename)}"
        entry = Entry(path, "file", PROGRAM_MODE, content=Bytes(_script(one, place)), owner=owner)
        yield Installed(entry=entry, kind="unix_python_entry_point")


def _script(one: EntryPoint, place: Place) -> bytes:
    return _ENTRY_POINT.format(
        shebang=prefixes.shebang(place.interpreter),
        module=one.module,
        name=one.function.partition(".")[0],
        function=one.function,
    ).encode()


def _hard_linked(found: Mapping[str, Installed]) -> Iterator[Entry]:
    """The entries, where the names of one unchanged file of the package are hard links to the first of them."""
    first: dict[tuple[str, int], Entry] = {}
    for _, one in sorted(found.items(), key=lambda item: item[0].encode()):
        entry = one.entry
        if one.file is not None and isinstance(entry.content, Slice) and not one.file.no_link:
            other = first.setdefault((one.file.member.first, entry.mode), entry)
            if other is not entry:
                entry = replace(entry, kind="hardlink", content=None, target=other.path, mtime=other.mtime)
        yield entry
