"""A package's tarball: what npm would unpack of it, and what it says of itself.

npm strips the first folder whatever it is called, passes over links, takes the last of two files of one name, and
calls a `.gitignore` `.npmignore` where the package has none; so does this. Everything else that a package has no
business with is refused: paths that lead out, devices, more than anybody needs.
"""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from builder.errors import HostileInput
from builder.guarded import Guarded, Readable
from builder.headers import BROKEN_TAR, Header
from builder.kinds.npm.package import Package
from builder.tree import safe

_MOST_BYTES: Final = 4 << 30
_MOST_FILES: Final = 200_000
_MOST_IN_HEADER: Final = 1 << 20
_MOST_IN_MANIFEST: Final = 16 << 20
_EXTENSIONS: Final = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
)  # fmt: skip
_MANIFEST: Final = "package.json"
_STAGES: Final = ("preinstall", "install", "postinstall")


class Member(NamedTuple):
    """One regular file; `stream` is good until the next one is asked for."""

    path: str
    executable: bool
    size: int
    stream: Readable


class Manifest(NamedTuple):
    """What a package says of itself.

    `scripts`: what runs when it is installed, in that order (npm, scripts, "npm install"): (stage, shell command).
    """

    name: str
    version: str
    scripts: tuple[tuple[str, str], ...]


def members(path: Path, where: str) -> Iterator[Member]:
    """The files of a tarball, in its order.

    Args:
        where: the package, for errors.

    Raises:
        HostileInput: it is malformed, or holds what no package may.
    """
    count = total = 0
    ignores: set[str] = set()
    with (
        _judged(where),
        path.open("rb") as raw,
        gzip.GzipFile(fileobj=raw) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as tar,
    ):
        for info in tar:
            count, total = count + 1, total + max(0, info.size)
            if count > _MOST_FILES or total > _MOST_BYTES:
                raise _bomb(where)
            name = info.name.removeprefix("./").partition("/")[2]
            if info.isdir() or info.issym() or info.islnk() or not name:
                continue
            content = tar.extractfile(info) if info.isreg() else None
            if content is None:
                raise HostileInput(f"an npm package holds a device or pipe: {where}", got=info.name[:200])
            safe(info.name, where)
            name = safe(name, where)
            if name.rpartition("/")[2] == ".npmignore":
                ignores.add(name)
            elif name.rpartition("/")[2] == ".gitignore":
                name = name.removesuffix(".gitignore") + ".npmignore"
                if name in ignores:
                    continue
            yield Member(name, bool(info.mode & 0o111), info.size, Guarded(content, partial(_judged, where)))


@contextmanager
def _judged(where: str) -> Iterator[None]:
    """Tell as damage of the package what its readers raise.

    Raises:
        HostileInput: it cannot be read.
    """
    try:
        yield
    except (*BROKEN_TAR, EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise
        raise HostileInput(f"malformed npm package: {where}", got=str(error)[:300]) from None


def _bomb(where: str) -> HostileInput:
    return HostileInput(
        f"an npm package is too large: {where}", expected=f"at most {_MOST_BYTES} bytes and {_MOST_FILES} files"
    )


def read(path: Path, package: Package) -> Manifest:
    """What a tarball says of itself, after its integrity and its name and version were held against the lock's.

    Raises:
        HostileInput: it is malformed, or another package.
    """
    vouched(path, package)
    text, gyp = b"", False
    for member in members(path, str(package)):
        if member.path == _MANIFEST:
            text = _small(member, package)
        gyp = gyp or member.path == "binding.gyp"
    return manifest(text, package, gyp=gyp)


def sha512(data: bytes) -> str:
    """A digest of 64 bytes as `integrity` has it (Subresource Integrity)."""
    return "sha512-" + base64.b64encode(data).decode()


def vouched(path: Path, package: Package) -> None:
    """Hold a tarball against the lock's `integrity`.

    Raises:
        HostileInput: it has other bytes.
    """
    with path.open("rb") as stream:
        got = sha512(hashlib.file_digest(stream, "sha512").digest())
    if got != package.integrity:
        raise HostileInput(
            f"wrong integrity: {package}",
            expected=package.integrity,
            got=got,
            next_step="find out who changed the file; a lock never moves by itself",
        )


def manifest(text: bytes, package: Package, *, gyp: bool) -> Manifest:
    """A package.json, which must be this package's.

    Args:
        gyp: whether the package has a binding.gyp, which npm takes for an install script where there is none.

    Raises:
        HostileInput: it is none, or another package's.
    """
    try:
        found: Any = json.loads(text.decode("utf-8-sig"))
        name, version = str(found["name"]), str(found["version"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HostileInput(
            f"malformed npm package: {package}", expected="a package.json", got=f"{type(error).__name__}: {error}"[:200]
        ) from None
    if (name, _bare(version)) != (package.name, _bare(package.version)):
        raise HostileInput(f"an npm package is another one: {package}", got=f"{name}@{version}"[:200])
    asked = found.get("scripts")
    given: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
    scripts = [(stage, given[stage]) for stage in _STAGES if isinstance(given.get(stage), str) and given[stage].strip()]
    if gyp and found.get("gypfile") is not False and not {"install", "preinstall"} & {stage for stage, _ in scripts}:
        scripts.insert(0, ("install", "node-gyp rebuild"))
    return Manifest(name, version, tuple(scripts))


def _bare(version: str) -> str:
    """Without the decorations that registries drop: `v1.0.0` and `1.0.0+build` are both 1.0.0."""
    return version.strip().lstrip("v= ").partition("+")[0]


def _small(member: Member, package: Package) -> bytes:
    if member.size > _MOST_IN_MANIFEST:
        raise HostileInput(f"too large for a package.json: {package}")
    return member.stream.read()
