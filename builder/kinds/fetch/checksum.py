"""What a publisher says of a file's sha256: a digest alone, or lines as sha256sum(1) writes them, plain or `--tag`."""

from __future__ import annotations

import re

from builder.digest import Digest
from builder.errors import HostileInput

LIMIT = 1 << 20
"""Bytes; a list of all files of a release has some kilobytes."""

_ALONE = re.compile(r"[0-9a-fA-F]{64}")
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_TAGGED = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})")


def told(data: bytes, filename: str, where: str) -> Digest:
    """The digest that a checksum file tells of the file of that name, whatever folder it has it in.

    Raises:
        HostileInput: it tells none, or two different ones.
    """
    text = data.decode("utf-8", "replace").strip()
    if _ALONE.fullmatch(text):
        return Digest("sha256:" + text.lower())
    found: set[str] = set()
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            digest, name = match.groups()
        elif match := _TAGGED.fullmatch(line.strip()):
            name, digest = match.groups()
        else:
            continue
        if name.rpartition("/")[2] == filename:
            found.add(digest.lower())
    if len(found) != 1:
        raise HostileInput(
            f"no sha256 of {filename} in its checksum file" if not found else f"two digests of {filename}",
            where=where,
            expected="64 hexadecimal digits alone, or lines of sha256sum",
            got=ascii(text[:60]),
            next_step="name another sha256-url, or leave it out",
        )
    return Digest("sha256:" + found.pop())
