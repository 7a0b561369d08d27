"""Java's list of authorities, told apart from other files byte by byte."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from builder.kinds.apt.keystore import rewritten, settle

Row = tuple[int, str, int, bytes]
"""Tag, alias, milliseconds, certificate."""
ROWS: list[Row] = [(2, "debian:b.pem", 5, b"second"), (2, "debian:a.pem", 1 << 40, b"f" * 70_000)]


def keystore(rows: list[Row], password: str = "changeit", *, count: int | None = None, version: int = 2) -> bytes:
    """As OpenJDK's JavaKeyStore writes it."""
    body = struct.pack(">III", 0xFEEDFEED, version, len(rows) if count is None else count)
    for tag, alias, time, content in rows:
        body += struct.pack(">IH", tag, len(alias)) + alias.encode() + struct.pack(">Q", time)
        body += struct.pack(">H", 5) + b"X.509" + struct.pack(">I", len(content)) + content
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def test_time_and_order_are_settled() -> None:
    settled = keystore([(2, "debian:a.pem", 7, b"f" * 70_000), (2, "debian:b.pem", 7, b"second")])
    assert rewritten(keystore(ROWS), 7) == settled
    assert rewritten(keystore(ROWS[::-1]), 7) == settled
    assert rewritten(settled, 7) == settled
    assert rewritten(keystore([]), 7) == keystore([])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xfe\xed\xfe\xed",
        keystore(ROWS)[:-1],
        keystore(ROWS, "another"),
        keystore(ROWS, version=1),
        keystore([*ROWS, (1, "a key", 5, b"key")]),
        keystore(ROWS, count=3),
        keystore(ROWS, count=1),
        keystore([], count=0xFFFFFFFF),
        keystore([(2, "a" * 300, 5, b"")])[:30],
    ],
    ids=["empty", "magic", "cut", "password", "version", "key", "too few", "too many", "endless", "beginning"],
)
def test_what_is_something_else_stays(data: bytes, tmp_path: Path) -> None:
    assert rewritten(data, 7) is None
    path = tmp_path / "cacerts"
    path.write_bytes(data)
    settle(str(path), 7)
    assert path.read_bytes() == data


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    """A link may lead to a list that somebody keeps elsewhere."""
    (tmp_path / "own").write_bytes(keystore(ROWS))
    (tmp_path / "link").symlink_to("own")
    for name in ("link", "none"):
        settle(str(tmp_path / name), 7)
    assert (tmp_path / "own").read_bytes() == keystore(ROWS)
    settle(str(tmp_path / "own"), 7)
    assert (tmp_path / "own").read_bytes() == rewritten(keystore(ROWS), 7)
