"""Foreign layers unpacked in the sandbox: what whiteouts hide, what comes twice, and who the image's user is."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder import built, unpacked
from builder.built import User
from builder.errors import HostileInput, StackbuildError
from builder.store import Store
from tests.fake_image import Member, digest, file, folder, link, member, tar
from tests.tools import Host

pytestmark = pytest.mark.usefixtures("host")


def layer(store: Store, members: Sequence[Member], *, pack: Any = zstandard.compress) -> dict[str, Any]:
    plain = tar(members)
    return {"name": "x", "diff_id": digest(plain), "digest": store.put_blob(pack(plain))}


def _frames(data: bytes) -> bytes:
    """Two frames of zstd with one that may be skipped between them (RFC 8878, 3.1.2)."""
    half = len(data) // 2
    return zstandard.compress(data[:half]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstandard.compress(data[half:])


def unpack(store: Store, members: Sequence[Member]) -> Path:
    (found,) = unpacked.layers(store, [layer(store, members)])
    return found


def test_a_store_whose_unpacked_folders_somebody_removed(store: Store) -> None:
    shutil.rmtree(store.path / "roots")
    assert (unpack(store, [file("a", "1")]) / "a").read_bytes() == b"1"


def hides(path: Path) -> bool:
    return path.is_char_device() and path.stat().st_rdev == 0


def opaque(path: Path) -> bool:
    return "user.overlay.opaque" in os.listxattr(path)


def test_plain_members(host: Host, store: Store) -> None:
    members = [
        folder("/usr", mode=0o750, ids=(7, 8)), file("./usr/a", "one"), file("usr/a", "two", ids=(5, 6)),
        member("usr/b", tarfile.LNKTYPE, link="./usr/a"), link("etc", "/nowhere"), file("usr/.wh.gone"),
        file(".wh..wh.aufs"),
    ]  # fmt: skip
    root = unpack(store, members)
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) == [
        "etc",
        "usr",
        "usr/a",
        "usr/b",
        "usr/gone",
    ]
    assert ((root / "usr").stat().st_uid, (root / "usr").stat().st_gid) == (7, 8)
    assert (root / "usr/b").read_text() == "two"
    assert (root / "usr/b").stat().st_ino == (root / "usr/a").stat().st_ino
    assert os.readlink(root / "etc") == "/nowhere"
    assert hides(root / "usr/gone")


def test_a_whiteout_hides_only_what_is_below(store: Store) -> None:
    members = [
        file("a", "kept"), file(".wh.a"), file(".wh.b"), file("b", "kept"),
        folder("c"), file("c/new"), file(".wh.c"), file(".wh.d"), folder("d"), file("d/new"),
    ]  # fmt: skip
    root = unpack(store, members)
    assert [(root / name).read_text() for name in "ab"] == ["kept", "kept"]
    assert all(opaque(root / name) and (root / name / "new").exists() for name in "cd")


def test_opaque_folders(store: Store) -> None:
    root = unpack(store, [folder("a"), file("a/.wh..wh..opq"), file("a/b")])
    assert opaque(root / "a")
    assert opaque(unpack(store, [file(".wh..wh..opq"), file("a")]))


def test_a_blob_that_is_damaged(store: Store) -> None:
    found = layer(store, [file("a", "x" * 10_000)], pack=lambda plain: zstandard.compress(plain)[:-20] + b"\xff" * 20)
    with pytest.raises(HostileInput, match="layer x is damaged"):
        unpacked.layers(store, [found])


PASSWD = "root:x:0:0::/root:/bin/sh\nsomebody:x:7:8::/home/somebody:/bin/sh\nbroken line\n"
GROUP = "root:x:0:\neight:x:8:\nmore:x:9:root,somebody\nodd:x:y:somebody\n"


def image(store: Store, *layers: Sequence[Member], **config: Any) -> built.Image:
    rows = [layer(store, members) for members in layers]
    return built.Image(store, {"layers": rows, "config": store.put_blob(json.dumps({"config": config}).encode())})


@pytest.mark.parametrize(
    ("name", "found", "home"),
    [
        ("", User(uid=0, gid=0, groups=(9,)), "/root"),
        ("somebody", User(uid=7, gid=8, groups=(9,)), "/home/somebody"),
        ("7", User(uid=7, gid=8, groups=(9,)), "/home/somebody"),
        ("somebody:more", User(uid=7, gid=9), "/home/somebody"),
        ("7:0", User(uid=7, gid=0), "/home/somebody"),
        ("4711", User(uid=4711, gid=0), "/"),
    ],
)
def test_the_images_user(store: Store, name: str, found: User, home: str) -> None:
    one = image(store, [file("etc/passwd", PASSWD), file("etc/group", GROUP)], User=name)
    assert one.user() == found
    assert one.env() == {"HOME": home}


def test_a_user_that_nobody_knows(store: Store) -> None:
    with pytest.raises(StackbuildError, match="not in its passwd: nobody"):
        image(store, [file("etc/passwd", PASSWD)], User="nobody").user()


def test_accounts_are_read_from_no_other_place(store: Store, tmp_path: Path) -> None:
    """A link in a layer led to the host's files."""
    (tmp_path / "passwd").write_text(PASSWD)
    for members in ([link("etc", str(tmp_path))], [link("etc/passwd", str(tmp_path / "passwd"))]):
        with pytest.raises(StackbuildError, match="not in its passwd"):
            image(store, members, User="somebody").user()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, _frames])
def test_a_blob_that_is_cut_off_is_damaged(tmp_path: Path, pack: Any) -> None:
    """zstandard's own reader took a frame that is cut off for a short one."""
    data = random.Random(1).randbytes(300_000)
    packed = pack(data)
    path = tmp_path / "blob"
    path.write_bytes(packed)
    with unpacked.decompressed(path) as stream:
        assert b"".join(iter(lambda: stream.read(1000), b"")) == data
    for size in (len(packed) - 1, len(packed) // 2, 10):
        path.write_bytes(packed[:size])
        with pytest.raises(unpacked.DecompressionError), unpacked.decompressed(path) as stream:
            while stream.read(1000):
                pass
