"""Unpack packages in parallel and register them with dpkg. Runs inside the sandbox: standard library only.

What is written is what dpkg's own `--unpack` leaves behind, so that the image's dpkg carries on from there:
`info/<pkg>.list`, the control members, `Status: install ok unpacked`, the triggers that packages declare
(`triggers/File`, `triggers/<name>`), and conffiles beside their names as `.dpkg-new`, so that no script finds the
configuration of a package that is not configured yet.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Sequence
from typing import Any

from builder.kinds.apt.deb import BadDeb, Deb, entries

DPKG = "/var/lib/dpkg"
_KEEP = frozenset({"", "/"})


def unpack(debs: Sequence[Deb], register: bool, jobs: int, settled: frozenset[str] = frozenset()) -> None:
    """Unpack packages with `jobs` processes.

    Conffiles of the packages named in `settled` get their final names at once, registered with their md5, which dpkg
    takes as installed: what dpkg itself needs must be usable before it is configured.

    Directories get owner and mode from the first package that brings them, in the order given: a folder that stands
    already keeps what it has, as with dpkg.
    """
    known = {path for path in _walk_known(debs) if os.path.isdir("/" + path)}
    shares: list[list[Deb]] = [[] for _ in range(jobs)]
    for deb in sorted(debs, key=lambda deb: -deb.data[2]):
        min(shares, key=lambda share: sum(one.data[2] for one in share)).append(deb)
    running = []
    for share in shares:
        receiver, sender = os.pipe()
        worker = os.fork()
        if worker == 0:
            code = 1
            try:
                done = {deb.key: _named(deb, register, settled) for deb in share}
                with os.fdopen(sender, "wb") as stream:
                    stream.write(json.dumps(done).encode())
                code = 0
            except Exception as error:
                os.write(2, f"unpack: {error}\n".encode(errors="replace"))
            finally:
                os._exit(code)
        os.close(sender)
        running.append((worker, receiver))
    told: dict[str, Any] = {}
    failed = False
    for worker, receiver in running:
        with os.fdopen(receiver, "rb") as stream:
            text = stream.read()
        failed = os.waitpid(worker, 0)[1] != 0 or failed
        told.update(json.loads(text) if text else {})
    if failed:
        raise SystemExit(1)
    placed = set(known)
    for deb in debs:
        for path, mode, uid, gid in told[deb.key]["folders"]:
            if path not in placed:
                placed.add(path)
                os.chown("/" + path, uid, gid)
                os.chmod("/" + path, mode)
    if register:
        _register(debs, told)


def _walk_known(debs: Sequence[Deb]) -> list[str]:
    """Folders that may stand before anything is unpacked: all below the root."""
    found = []
    for folder, names, _ in os.walk("/", topdown=True):
        found.append(folder.strip("/"))
        if folder in ("/proc", "/dev", "/run", "/tmp"):  # Mounts of the sandbox.
            names.clear()
    return found


def _named(deb: Deb, register: bool, settled: frozenset[str]) -> dict[str, object]:
    try:
        return _unpack_one(deb, register, settled)
    except (OSError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise BadDeb(f"{deb.key}: {error or type(error).__name__}") from None


def _unpack_one(deb: Deb, register: bool, settled: frozenset[str]) -> dict[str, object]:
    """Lay one package's files; returns its folders, paths and conffile md5s."""
    folders: list[tuple[str, int, int, int]] = []
    paths: list[str] = []
    conffiles = set(deb.conffiles()) if register else set()
    early = deb.field("Package") in settled
    sums: dict[str, str] = {}
    unsummed = register and "md5sums" not in deb.members
    md5sums: list[str] = []
    for member, archive in entries(deb):
        path = _checked(deb, member.name)
        paths.append("/" + path if path else "/.")
        target = "/" + path
        if member.isdir():
            if not os.path.isdir(target):
                os.makedirs(target, exist_ok=True)
            if path:
                folders.append((os.path.realpath(target).strip("/"), member.mode, member.uid, member.gid))
            continue
        parent = os.path.dirname(target)
        if not os.path.isdir(parent):
            os.makedirs(parent, exist_ok=True)
        if "/" + path in conffiles and not early:
            sums["/" + path] = "newconffile"
            target += ".dpkg-new"
        if os.path.lexists(target):
            if os.path.isdir(target) and not os.path.islink(target):
                raise BadDeb(f"{deb.key}: {target} would replace a folder")
            if not (member.issym() and os.path.isdir(target)):
                os.unlink(target)
        if member.isreg():
            content = archive.extractfile(member)
            assert content is not None
            with open(target, "xb") as stream:
                shutil.copyfileobj(content, stream, 1 << 18)
                stream.flush()  # In a user namespace a later write takes away setuid.
                os.fchown(stream.fileno(), member.uid, member.gid)
                os.fchmod(stream.fileno(), member.mode & 0o7777)
            os.utime(target, (member.mtime, member.mtime))
            if "/" + path in conffiles and early:
                sums["/" + path] = _md5(target)
            elif unsummed and "/" + path not in conffiles:
                md5sums.append(f"{_md5(target)}  {path}\n")
        elif member.issym():
            if not os.path.lexists(target):
                os.symlink(member.linkname, target)
                os.lchown(target, member.uid, member.gid)
                os.utime(target, (member.mtime, member.mtime), follow_symlinks=False)
        elif member.islnk():
            os.link("/" + _checked(deb, member.linkname), target)
        else:
            raise BadDeb(f"{deb.key}: {target} is a device or a pipe, which no image may hold")
    if unsummed:  # dpkg makes up for a package that brings none, and `dpkg --audit` asks for it.
        _write(f"{DPKG}/info/{deb.key}.md5sums", "".join(md5sums).encode("utf-8", "surrogateescape"), 0o644)
    if register:
        _write_info(deb, paths)
    return {"folders": folders, "paths": paths, "sums": sums}


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
