"""A member of an archive, what an archive may be, and the errors for those that are otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from builder.errors import HostileInput
from builder.guarded import Readable
from builder.tree import NEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may be.

    Attributes:
        members: how many at most.
        floor: bytes that any archive may unpack to.
        ratio: beyond `floor`, how many times its own size.
        headers: bytes between two members: names, attributes.
    """

    members: int = 500_000
    floor: int = 1 << 28
    ratio: int = 100
    headers: int = 1 << 20

    def room(self, packed: int) -> int:
        """Bytes that an archive of `packed` bytes may unpack to."""
        return self.floor + self.ratio * packed


LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an archive, judged.

    Attributes:
        path: relative, in normal form.
        target: text of a link; of a hard link the path of another member.
        program: whether its owner may execute it.
        special: what it would be besides a plain file: "setuid", "setgid", "file capabilities", or "".
        mtime: seconds, not after `tree.NEWEST`.
    """

    path: str
    kind: Literal["dir", "file", "link", "hardlink"]
    size: int = 0
    target: str = ""
    program: bool = False
    special: str = ""
    mtime: int = NEWEST


Found = tuple[Member, Readable | None]
"""A member, and the content of a file, to be read before the next member is asked for."""


def damaged(where: str, got: str) -> HostileInput:
    """The error for an archive that cannot be read."""
    return HostileInput(
        "an archive cannot be read",
        where=where,
        got=f"{ascii(got)[1:-1][:200]}; nothing of it was kept",
        next_step="look whether it is whole, and whether its format is the right one",
    )


def bomb(where: str, room: int) -> HostileInput:
    """The error for what unpacks to too much."""
    return HostileInput("an archive unpacks to far more than its size", where=where, expected=f"at most {room} bytes")


def link_text(target: str, path: str, where: str) -> str:
    """A symbolic link's text, if no more than text: it may lead anywhere in the image, but must not be strange."""
    if not target or any(ord(one) < 32 or 0xD800 <= ord(one) < 0xE000 for one in target) or len(target) > 4095:
        raise HostileInput(f"an archive's link has a strange target: {path}", where=where, got=ascii(target)[:100])
    return target
