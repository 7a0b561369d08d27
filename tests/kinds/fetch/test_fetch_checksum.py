"""What checksum files say."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.fetch.checksum import told

DATA = b"a tool\n"
DIGEST = Digest.of(DATA)
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        DIGEST.hex,
        f"{DIGEST.hex.upper()}\n",
        f"{DIGEST.hex}  tool.tgz\n",
        f"{DIGEST.hex} *tool.tgz\r\n",
        f"{OTHER}  tool.tgz.sig\n{DIGEST.hex}  ./dist/tool.tgz\n\n{OTHER}  mytool.tgz\n",
        f"# SHA-256\nSHA256 (tool.tgz) = {DIGEST.hex}\nSHA512 (tool.tgz) = {OTHER}\n",
    ],
)
def test_it_is_told(text: str) -> None:
    assert told(text.encode(), "tool.tgz", "there") == DIGEST


@pytest.mark.parametrize("tag", [(), ("--tag",)])
def test_as_sha256sum_writes_it(tag: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "tool.tgz").write_bytes(DATA)
    said = subprocess.run(["sha256sum", *tag, "tool.tgz"], cwd=tmp_path, check=True, capture_output=True).stdout
    assert told(said, "tool.tgz", "there") == DIGEST


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no sha256 of tool.tgz"),
        (f"{OTHER}  other.tgz\n", "no sha256 of tool.tgz"),
        (DIGEST.hex[:-1], "no sha256 of tool.tgz"),
        ("<html>not found</html>", "no sha256 of tool.tgz"),
        (hashlib.sha512(DATA).hexdigest() + "  tool.tgz", "no sha256 of tool.tgz"),
        (f"{DIGEST.hex}  tool.tgz\n{OTHER}  old/tool.tgz\n", "two digests of tool.tgz"),
    ],
)
def test_it_is_not_told(text: str, what: str) -> None:
    with pytest.raises(HostileInput, match=what):
        told(text.encode(), "tool.tgz", "there")
