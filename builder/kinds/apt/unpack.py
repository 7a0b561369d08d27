"""Unpack packages in parallel and register them with dpkg. Runs inside the sandbox: standard library only.

What is written is what dpkg's own `--unpack` leaves behind, so that the image's dpkg carries on from there:
`info/<pkg>.list`, the control members, `Status: install ok unpacked`, the triggers that packages declare
(`triggers/File`, `triggers/<name>`), and conffiles beside their names as `.dpkg-new`, so that no script finds the
configuration of a package that is not configured yet.

    begin   other processes decompress archives; contents wait, numbered, below `STAGE`, and nothing else changes
    lay     one package after the other: make folders and links, move contents to their places, register

So decompressing, which takes longest, can go on while dpkg configures, and still no script ever finds a package that
is there in part, nor does anything depend on which process was the first.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import lzma
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence

from builder.background import background
from builder.headers import BROKEN_TAR
from builder.kinds.apt.deb import BadDeb, Deb, Metered, ar_header, entries, read, reader

DPKG = "/var/lib/dpkg"
STAGE = "/.stackbuild"
"""Where contents wait: on the file system of the root, so that they need not be copied to their places."""

Row = tuple[str, str, str, str, int, int, int]
"""A member of a package: kind, path, where its content lies or what it is a hard link to, md5, mode, uid, gid."""
Told = dict[str, list[Row]]
"""What was decompressed: package key → its rows."""
Task = tuple[Deb, Callable[[Deb], list[Row]]]


def unpack(debs: Sequence[Deb], register: bool, jobs: int, settled: frozenset[str] = frozenset()) -> None:
    """Unpack packages with `jobs` processes: `begin` and `lay` in one."""
    (told,) = begin([(debs, ())], jobs)
    lay(debs, told, register, settled)
    shutil.rmtree(STAGE)


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


def lay(debs: Sequence[Deb], told: Told, register: bool, settled: frozenset[str] = frozenset()) -> None:
    """Bring decompressed packages to their places, and tell dpkg about them if `register` is set.

    Conffiles of the packages named in `settled` get their final names at once, registered with their md5, which dpkg
    takes as installed: what dpkg itself needs must be usable before it is configured.

    Directories get owner and mode from the first package that brings them, in the order given: a folder that stands
    already keeps what it has, as with dpkg.
    """
    bare: set[str] = set()
    laid = {}
    for deb in debs:
        try:
            laid[deb.key] = _lay_one(deb, told.get(deb.key, []), register, settled, bare)
        except (BadDeb, OSError) as error:
            raise SystemExit(f"unpack: {deb.key}: {error}") from None
    if register:
        _register(debs, laid)


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


def _lay_one(
    deb: Deb, rows: Sequence[Row], register: bool, settled: frozenset[str], bare: set[str]
) -> dict[str, object]:
    """Bring one package's files to their places; returns its paths and conffile md5s.

    Args:
        bare: folders that we made on the way to something else; the first package that brings one says what it is.
    """
    conffiles = set(deb.conffiles()) if register else set()
    early = deb.field("Package") in settled
    sums: dict[str, str] = {}
    for kind, path, place, md5, mode, uid, gid in rows:
        target = "/" + path
        if kind == "folder":
            _make_folder(target, bare)
            if path and (real := os.path.realpath(target)) in bare:
                bare.remove(real)
                os.chown(target, uid, gid)
                os.chmod(target, mode)
            continue
        _make_folder(os.path.dirname(target), bare)
        if target in conffiles:
            sums[target] = md5 if early else "newconffile"
            target += "" if early else ".dpkg-new"
        if os.path.isdir(target):
            if kind == "link":
                continue  # A folder stands where the package has a link: it stays, as with dpkg.
            if not os.path.islink(target):
                raise BadDeb(f"{target} would replace a folder")
        if kind == "hardlink":
            if os.path.lexists(target):
                os.unlink(target)
            os.link(place, target)
        else:
            _move(place, target)
    if register:
        if "md5sums" not in deb.members:  # dpkg makes up for a package that brings none; `dpkg --audit` asks for it.
            files = [row for row in rows if row[0] == "file" and "/" + row[1] not in conffiles]
            text = "".join(f"{row[3]}  {row[1]}\n" for row in files)
            _write(f"{DPKG}/info/{deb.key}.md5sums", text.encode("utf-8", "surrogateescape"), 0o644)
        _write_info(deb, ["/" + row[1] if row[1] else "/." for row in rows])
    return {"paths": ["/" + row[1] if row[1] else "/." for row in rows], "sums": sums}


def _move(place: str, target: str) -> None:
    try:
        os.rename(place, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(place, target, follow_symlinks=False)  # A mount of the sandbox, which no image holds.


def _make_folder(path: str, bare: set[str]) -> None:
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path), bare)
        os.mkdir(path)
        bare.add(os.path.realpath(path))


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


def _write_info(deb: Deb, paths: list[str]) -> None:
    base = f"{DPKG}/info/{deb.key}"
    _write(base + ".list", ("\n".join(paths) + "\n").encode("utf-8", "surrogateescape"), 0o644)
    for name, (mode, data) in deb.members.items():
        _write(f"{base}.{name}", data, mode)


def _register(debs: Sequence[Deb], told: dict[str, dict[str, object]]) -> None:
    """Tell dpkg about unpacked packages: status paragraphs and triggers, in the order given."""
    paragraphs = []
    for deb in debs:
        first, _, rest = deb.control.strip().partition("\n")
        lines = [first, "Status: install ok unpacked", rest] if rest else [first, "Status: install ok unpacked"]
        sums = told[deb.key]["sums"]
        assert isinstance(sums, dict)
        if sums:
            lines.append("Conffiles:\n" + "\n".join(f" {path} {digest}" for path, digest in sums.items()))
        paragraphs.append("\n".join(lines) + "\n\n")
    with open(f"{DPKG}/status", "a", encoding="utf-8") as stream:
        stream.write("".join(paragraphs))
    _register_triggers(debs)
    _activate_triggers(debs, told)


def _register_triggers(debs: Sequence[Deb]) -> None:
    wanted: dict[str, list[str]] = {}
    for deb in debs:
        for directive, trigger in deb.triggers():
            if directive.startswith("interest"):
                waits = "/noawait" if directive == "interest-noawait" else ""
                wanted.setdefault(trigger, []).append(deb.key + waits)
    by_path = [f"{trigger} {name}\n" for trigger, names in wanted.items() if trigger.startswith("/") for name in names]
    if by_path:
        with open(f"{DPKG}/triggers/File", "a") as stream:
            stream.write("".join(by_path))
    for trigger, names in wanted.items():
        if not trigger.startswith("/"):
            with open(f"{DPKG}/triggers/{trigger}", "a") as stream:
                stream.write("".join(f"{name}\n" for name in names))


def _activate_triggers(debs: Sequence[Deb], told: dict[str, dict[str, object]]) -> None:
    """Note what unpacking activates, for packages that are configured already: dpkg takes it up by itself."""
    active: set[str] = set()
    try:
        with open(f"{DPKG}/triggers/File") as stream:
            watched = {line.split()[0] for line in stream if line.strip()}
    except FileNotFoundError:
        watched = set()
    for deb in debs:
        active.update(trigger for directive, trigger in deb.triggers() if directive.startswith("activate"))
        paths = told[deb.key]["paths"]
        assert isinstance(paths, list)
        for path in paths:
            while len(path) > 1:
                if path in watched:
                    active.add(path)
                path = path.rpartition("/")[0]
    if active:
        with open(f"{DPKG}/triggers/Unincorp", "a") as stream:
            stream.write("".join(f"{trigger} -\n" for trigger in sorted(active)))


def _write(path: str, data: bytes, mode: int) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
    os.chmod(path, stat.S_IMODE(mode))
