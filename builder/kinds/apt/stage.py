"""Decompress packages in parallel, out of sight. Runs inside the sandbox: standard library only.

Contents wait below `STAGE`, numbered, with owner, mode and time; nothing else of the root changes, so this may go on
while dpkg configures something else.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence

from builder.background import background
from builder.headers import BROKEN_TAR
from builder.kinds.apt.deb import BadDeb, Deb, Metered, ar_header, entries, read, reader

STAGE = "/.stackbuild"
"""Where contents wait: on the file system of the root, so that they need not be copied to their places."""

Row = tuple[str, str, str, str, int, int, int]
"""A member of a package: kind, path, where its content lies or what it is a hard link to, md5, mode, uid, gid."""
Told = dict[str, list[Row]]
"""What was decompressed: package key → its rows."""
Task = tuple[Deb, Callable[[Deb], list[Row]]]


def begin(waves: Sequence[tuple[Sequence[Deb], Sequence[Deb]]], jobs: int, *, beside: bool = False) -> Iterator[Told]:
    """Start to decompress packages in `jobs` processes; returns what waits for each wave in turn.

    Args:
        waves: packages that we lay; and packages that dpkg unpacks, one after the other: `plain_copy` of each will be
            ready for it. A package may be in both.
        beside: whether all waits for something else meanwhile; it does from the second wave on, for dpkg.

    Raises:
        SystemExit: from the iterator: a package is damaged; the process has said so.
    """
    os.makedirs(STAGE, mode=0o700, exist_ok=True)
    workers = []
    for share in zip(*[_shares(ours, theirs, jobs) for ours, theirs in waves], strict=True):
        receiver, sender = os.pipe()
        worker = os.fork()
        if worker == 0:
            code = 1
            try:
                for number, tasks in enumerate(share):
                    if number == (0 if beside else 1):
                        background()
                    rows = {deb.key: _named(deb, job) for deb, job in tasks}
                    with open(_list(os.getpid(), number), "x") as stream:
                        json.dump(rows, stream)
                    os.write(sender, b"x")
                code = 0
            except Exception as error:
                os.write(2, f"unpack: {error}\n".encode(errors="replace"))
            finally:
                os._exit(code)
        os.close(sender)
        workers.append((worker, receiver))
    return _finished(workers, len(waves))


def _shares(ours: Sequence[Deb], theirs: Sequence[Deb], jobs: int) -> list[list[Task]]:
    """What each process does of a wave, largest first."""
    wanted: dict[str, Task] = {deb.key: (deb, _decode) for deb in ours}
    for deb in theirs:
        wanted[deb.key] = (deb, _repack_and_decode if deb.key in wanted else _repack)
    shares: list[list[Task]] = [[] for _ in range(jobs)]
    for task in sorted(wanted.values(), key=lambda task: -task[0].data[2]):
        min(shares, key=lambda share: sum(deb.data[2] for deb, _ in share)).append(task)
    return shares


def _finished(workers: Sequence[tuple[int, int]], waves: int) -> Iterator[Told]:
    for number in range(waves):
        if not all(os.read(receiver, 1) for _, receiver in workers):
            raise SystemExit(1)
        told: Told = {}
        for worker, receiver in workers:
            with open(_list(worker, number)) as stream:
                told.update(json.load(stream))
            if number == waves - 1:
                os.close(receiver)
                os.waitpid(worker, 0)
        yield told


def _list(worker: int, wave: int) -> str:
    return f"{STAGE}/{worker}-{wave}.json"


def plain_copy(deb: Deb) -> str:
    """The path of a package for dpkg: of its copy without compression where there is one."""
    path = f"{STAGE}/{deb.key}.deb"
    return path if os.path.exists(path) else deb.path


def _named(deb: Deb, job: Callable[[Deb], list[Row]]) -> list[Row]:
    try:
        return job(deb)
    except (OSError, *BROKEN_TAR, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise BadDeb(f"{deb.key}: {error or type(error).__name__}") from None


def _decode(deb: Deb) -> list[Row]:
    """Put contents below `STAGE`, with owner, mode and time."""
    rows: list[Row] = []
    stage = f"{STAGE}/{deb.key}"
    os.mkdir(stage)
    conffiles = set(deb.conffiles())
    unsummed = "md5sums" not in deb.members
    for member, archive in entries(deb):
        path = _checked(deb, member.name)
        place, md5 = f"{stage}/{len(rows)}", ""
        if member.isdir():
            kind = "folder"
        elif member.isreg():
            kind = "file"
            content = archive.extractfile(member)
            assert content is not None
            with open(place, "xb") as stream:
                shutil.copyfileobj(content, stream, 1 << 18)
                stream.flush()  # In a user namespace a later write takes away setuid.
                os.fchown(stream.fileno(), member.uid, member.gid)
                os.fchmod(stream.fileno(), member.mode & 0o7777)
            os.utime(place, (member.mtime, member.mtime))
            if unsummed or "/" + path in conffiles:
                md5 = _md5(place)
        elif member.issym():
            kind = "link"
            os.symlink(member.linkname, place)
            os.lchown(place, member.uid, member.gid)
            os.utime(place, (member.mtime, member.mtime), follow_symlinks=False)
        elif member.islnk():
            kind, place = "hardlink", "/" + _checked(deb, member.linkname)
        else:
            raise BadDeb(f"{deb.key}: /{path} is a device or a pipe, which no image may hold")
        rows.append((kind, path, place, md5, member.mode & 0o7777, member.uid, member.gid))
    return rows


def _repack(deb: Deb) -> list[Row]:
    """The same package with a plain `data.tar` (deb(5)), where `plain_copy` looks for it."""
    name, offset, size = deb.data
    with open(deb.path, "rb") as source, open(f"{STAGE}/{deb.key}.deb", "wb") as target:
        target.write(source.read(offset - 60))
        target.write(bytes(60))
        source.seek(offset)
        with reader(name, io.BytesIO(source.read(size))) as content:
            shutil.copyfileobj(Metered(content, size), target, 1 << 20)
        plain = target.tell() - offset
        target.write(b"\n" * (plain % 2))
        target.seek(offset - 60)
        target.write(ar_header("data.tar", plain))
    return []


def _repack_and_decode(deb: Deb) -> list[Row]:
    """Both, decompressed once."""
    _repack(deb)
    return _decode(read(plain_copy(deb)))


def _md5(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _checked(deb: Deb, name: str) -> str:
    path = name.removeprefix("./").strip("/")
    if path == ".":
        return ""
    if ".." in path.split("/") or name.startswith("/") or "\n" in path:
        raise BadDeb(f"{deb.key}: unsafe path {name!r}")
    return path
