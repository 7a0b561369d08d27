"""Reading zip archives."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from typing import IO

from builder.errors import HostileInput
from builder.headers import bounded
from builder.kinds.fetch.member import Found, Member, bomb, link_text
from builder.tree import safe


def members(stream: IO[bytes], where: str, room: int) -> Iterator[Found]:
    """The members of a zip. `room`: bytes that it may unpack to."""
    total = 0
    with zipfile.ZipFile(bounded(stream)) as archive:
        for info in archive.infolist():
            # zipfile ends a name at a NUL, which what it was made from still has.
            path = safe(info.orig_filename, where)
            if info.header_offset < 0:
                raise HostileInput(f"no member where the archive's directory says: {path}", where=where)
            total += info.file_size
            if total > room:
                raise bomb(where, room)
            if info.flag_bits & 1:
                raise HostileInput(f"an archive's member is encrypted: {path}", where=where)
            unix = info.external_attr >> 16 if info.create_system == 3 else 0
            kind = stat.S_IFMT(unix)
            if info.orig_filename.endswith("/") or kind == stat.S_IFDIR:
                yield Member(path=path, kind="dir"), None
            elif kind == stat.S_IFLNK:
                with archive.open(info) as content:
                    target = content.read(4096).decode("utf-8", "surrogateescape")
                yield Member(path=path, kind="link", target=link_text(target, path, where)), None
            elif kind in {0, stat.S_IFREG}:
                special = "setuid" if unix & stat.S_ISUID else "setgid" if unix & stat.S_ISGID else ""
                program = bool(unix & stat.S_IXUSR)
                member = Member(path=path, kind="file", size=info.file_size, program=program, special=special)
                with archive.open(info) as content:
                    yield member, content
            else:
                raise HostileInput(f"an archive's member is a device or a pipe: {path}", where=where)
