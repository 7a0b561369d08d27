"""Source archives: what a resolver may know of them without running them.

A resolver that meets an sdist builds it to learn its requirements, on the host, with the user's rights. Here:

    1. for every version that has no fitting wheel, a stub wheel without requirements lies in a folder of links,
       so that the resolver, which sees wheels only, can choose that version
    2. of the version chosen, `[build-system] requires` is read from the archive, as text, and locked
    3. the archive is built in the sandbox (`BuildWheel`, given by the caller), and its METADATA goes into the stub
    4. the resolver runs again, until the chosen versions are all known (each round learns one version at least)

Rejected: uv's `[tool.uv.dependency-metadata]`. With `--only-binary` uv does not look at sdists at all, whatever is
said about them; without it, uv would build any other sdist it meets.
Drawback: a version whose requirements are not yet known may be chosen and built in vain.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from builder import toml
from builder.digest import Digest
from builder.errors import HostileInput
from builder.headers import BROKEN_TAR, Header, bounded
from builder.kinds.pip.choose import Fitting, fits, visible
from builder.kinds.pip.lockfile import PipLock
from builder.kinds.pip.page import IndexFile, released

LEGACY = ("setuptools>=40.8.0", "wheel")
"""What an archive without `[build-system] requires` is built with (PEP 517, and pip)."""

_LIMIT = 1 << 20
_MEMBERS = 200_000
_UNPACKED = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistQuestion:
    """What is to be built.

    Attributes:
        digest: the archive's; it lies in the store as a source.
        sdist: its path there.
        filename: its own name, which build backends look at.
        requirements: the lock of all that the build requires, wheels only.
        python: with patch version; platform: `linux/amd64`; glibc: `2.36`: the target's.
    """

    digest: Digest
    sdist: Path
    filename: str
    name: str
    version: str
    requirements: PipLock
    python: str
    platform: str
    glibc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """What was built.

    Attributes:
        path: the wheel, under any name; None where the backend asked for more before it would build.
        filename: the wheel's own name; "" means that `path` has it.
        requires: what the backend's `get_requires_for_build_wheel` named (PEP 517); what of it is not yet among the
            requirements is added to them, and the archive is built again.
    """

    path: Path | None
    filename: str = ""
    requires: tuple[str, ...] = ()


BuildWheel = Callable[[SdistQuestion], BuiltWheel]
"""Builds a wheel in the sandbox. Called for one archive at a time."""


def candidates(name: str, files: Sequence[IndexFile], fitting: Fitting, exact: Iterable[str]) -> Iterator[str]:
    """The versions of which there is an archive and no fitting wheel, oldest first.

    Args:
        exact: versions to offer even if they are yanked (PEP 592: an exact pin may have them).
    """
    wheels = {released(one.name, name) for one in files if visible(one, fitting) and fits(one, fitting)}
    asked = set(exact)
    found = set()
    for file in files:
        version = released(file.name, name)
        if version is None or version in wheels or file.is_wheel or not visible(file, fitting):
            continue
        if not file.yanked or str(version) in asked:
            found.add(version)
    yield from (str(version) for version in sorted(found))


def stub(folder: Path, name: str, version: str, requires: Sequence[str]) -> Path:
    """A wheel without content, whose METADATA says what a resolver wants to know (PEP 427)."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    path = folder / f"{stem}-py3-none-any.whl"
    about = "Wheel-Version: 1.0\nGenerator: stackbuild\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", about)
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def build_requires(path: Path, filename: str) -> tuple[str, ...]:
    """`[build-system] requires` of an archive (PEP 518), read as text; `LEGACY` where it says nothing.

    Raises:
        HostileInput: the archive is damaged, wants to write outside its folder, or its pyproject.toml is no such.
    """
    data = _pyproject(path, filename)
    if data is None:
        return LEGACY
    try:
        document = toml.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HostileInput(f"pyproject.toml of {filename} is no TOML", got=str(error)[:200]) from None
    table = document.get("build-system")
    if table is None:
        return LEGACY
    requires = table.get("requires") if isinstance(table, dict) else None
    if not isinstance(requires, list) or not all(isinstance(one, str) for one in requires):
        raise HostileInput(f"pyproject.toml of {filename} is not PEP 518's", expected="build-system.requires, a list")
    try:
        for one in requires:
            Requirement(one)
    except ValueError as error:
        raise HostileInput(f"a build requirement of {filename} is none", got=str(error)[:200]) from None
    return tuple(requires)


def _pyproject(path: Path, filename: str) -> bytes | None:
    """The archive's pyproject.toml; None where it has none."""
    try:
        found = _from_zip(path, filename) if filename.endswith(".zip") else _from_tar(path, filename)
    except (*BROKEN_TAR, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise HostileInput(f"not a source archive: {filename}", got=str(error)[:200]) from None
    if found is not None and len(found) > _LIMIT:
        raise HostileInput(f"pyproject.toml of {filename} is too long", expected=f"at most {_LIMIT} bytes")
    return found


def _from_tar(path: Path, filename: str) -> bytes | None:
    """One member of a tar; every other is looked at, and none is unpacked."""
    found, count, size = None, 0, 0
    with tarfile.open(path, "r|gz", tarinfo=Header) as archive:
        for entry in archive:
            count, size = count + 1, size + entry.size
            if count > _MEMBERS or size > _UNPACKED:
                raise HostileInput(f"source archive is too large: {filename}")
            _refuse(entry, filename)
            if entry.isreg() and _is_pyproject(entry.name):
                stream = archive.extractfile(entry)
                found = stream.read(_LIMIT + 1) if stream else None
    return found


def _refuse(entry: tarfile.TarInfo, filename: str) -> None:
    """Raises: HostileInput: PEP 706's data filter would not unpack that member."""
    names = [entry.name] + ([entry.linkname] if entry.islnk() or entry.issym() else [])
    bad = entry.isdev() or any(name.startswith(("/", "\\")) for name in names) or _escapes(entry.name)
    if not bad and hasattr(tarfile, "data_filter"):  # CPython 3.11.4 and newer
        try:
            tarfile.data_filter(entry, "/nonexistent")
        except BROKEN_TAR:
            bad = True
    elif not bad and len(names) == 2:
        bad = _escapes(entry.linkname)  # stricter than the filter, which follows a link from where it lies
    if bad:
        raise HostileInput(f"hostile source archive: {filename}", got=f"a member {entry.name[:100]!r}")


def _from_zip(path: Path, filename: str) -> bytes | None:
    with path.open("rb") as stream, zipfile.ZipFile(bounded(stream)) as archive:
        names = archive.namelist()
        for name in names:
            if _escapes(name):
                raise HostileInput(f"hostile source archive: {filename}", got=f"a member {name[:100]!r}")
        for name in filter(_is_pyproject, names):
            with archive.open(name) as content:
                return content.read(_LIMIT + 1)
    return None


def _escapes(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in PurePosixPath(name).parts


def _is_pyproject(name: str) -> bool:
    return re.fullmatch(r"(?:\./)?[^/]+/pyproject\.toml", name) is not None
