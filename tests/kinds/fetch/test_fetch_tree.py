"""From an archive to entries: strip, patterns, modes, links, and what is left of it."""

from __future__ import annotations

import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import HostileInput, StackbuildError
from builder.kinds.fetch.member import Limits
from builder.kinds.fetch.request import Item
from builder.kinds.fetch.tree import entries
from builder.tree import Entry, File
from tests.fake_archive import zipped
from tests.fake_deb import member, tar

ITEM = Item(name="it", format="tar", strip=0, include=(), exclude=(), to="opt/it/", mode=None, uid=0, gid=0)
Members = list[tuple[tarfile.TarInfo, bytes]]


def plain(name: str, data: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = member(name, data=data)
    info.mode = mode
    return info, data


SPARK: Members = [
    (member("spark-3", tarfile.DIRTYPE), b""),
    plain("spark-3/LICENSE"),
    (member("spark-3/bin", tarfile.DIRTYPE), b""),
    plain("spark-3/bin/submit", b"#!/bin/sh\n", 0o775),
    plain("spark-3/jars/a.jar"),
    plain("spark-3/jars/deep/b.jar"),
]


def laid(tmp_path: Path, content: Members | bytes, item: Item = ITEM) -> list[Entry]:
    source = tmp_path / "source"
    source.write_bytes(content if isinstance(content, bytes) else tar(content))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = entries(item, source, scratch)
    names = [replace(entry, content=None, mtime=0) for entry in entries(item, source, None)]
    assert names == [replace(entry, content=None, mtime=0) for entry in found], (
        "names are known without a scratch folder"
    )
    return found


def rows(found: list[Entry]) -> list[tuple[str, str, str]]:
    return [(entry.kind, f"{entry.mode:04o}", entry.path) for entry in found]


def text(entry: Entry) -> bytes:
    assert isinstance(entry.content, File)
    data = Path(entry.content.path).read_bytes()
    assert len(data) == entry.content.size
    return data


def test_raw(tmp_path: Path) -> None:
    item = replace(ITEM, format="raw", to="usr/local/bin/tool", mode=0o755, uid=1, gid=2)
    (found,) = laid(tmp_path, b"#!/bin/sh\n", item)
    assert (rows([found]), found.uid, found.gid, found.owner) == ([("file", "0755", "usr/local/bin/tool")], 1, 2, "it")
    assert text(found) == b"#!/bin/sh\n"


def test_strip_and_exec_bits(tmp_path: Path) -> None:
    found = laid(tmp_path, SPARK, replace(ITEM, strip=1))
    assert rows(found) == [
        ("file", "0644", "opt/it/LICENSE"),
        ("dir", "0755", "opt/it/bin"),
        ("file", "0755", "opt/it/bin/submit"),
        ("file", "0644", "opt/it/jars/a.jar"),
        ("file", "0644", "opt/it/jars/deep/b.jar"),
    ]
    assert text(found[2]) == b"#!/bin/sh\n"


def test_include_and_exclude(tmp_path: Path) -> None:
    item = replace(ITEM, strip=1, include=("bin", "**/*.jar"), exclude=("jars/deep",))
    assert [entry.path for entry in laid(tmp_path, SPARK, item)] == [
        "opt/it/bin",
        "opt/it/bin/submit",
        "opt/it/jars/a.jar",
    ]


def test_one_file_of_an_archive(tmp_path: Path) -> None:
    item = replace(ITEM, include=("*/bin/submit",), to="usr/bin/submit", mode=0o700)
    assert rows(laid(tmp_path, SPARK, item)) == [("file", "0700", "usr/bin/submit")]


def test_into_the_root(tmp_path: Path) -> None:
    found = laid(tmp_path, [plain("etc/x")], replace(ITEM, to=""))
    assert [entry.path for entry in found] == ["etc/x"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"strip": 9}, "nothing is left of it"),
        ({"strip": 1, "exclude": ("**",)}, "nothing is left of it"),
        ({"include": ("bin",)}, "nothing in it is bin"),
        ({"strip": 1, "to": "usr/bin/submit"}, "one file is to be /usr/bin/submit, and it has 4"),
    ],
)
def test_what_the_manifest_cannot_mean(changes: dict[str, object], what: str, tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match=what) as caught:
        laid(tmp_path, SPARK, replace(ITEM, **changes))  # type: ignore[arg-type]
    assert not isinstance(caught.value, HostileInput)


def test_a_path_twice(tmp_path: Path) -> None:
    for one, other in (
        (plain("a"), plain("./a")),
        (plain("a"), (member("a", tarfile.DIRTYPE), b"")),
        ((member("a", tarfile.DIRTYPE), b""), (member("a", tarfile.SYMTYPE, link="/etc"), b"")),
    ):
        (tmp_path / "source").write_bytes(tar([one, other]))
        with pytest.raises(HostileInput, match="has a path twice: a"):
            entries(ITEM, tmp_path / "source", None)
    with pytest.raises(HostileInput, match="has a path twice: two/a"):
        laid(tmp_path, [plain("one/a"), plain("two/a")], replace(ITEM, strip=1))


def test_members_below_what_is_no_folder(tmp_path: Path) -> None:
    """The oldest trick: a link to /etc, and a file below it."""
    for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.REGTYPE, "file")):
        (tmp_path / "source").write_bytes(tar([(member("a", kind, link="/etc"), b""), plain("a/passwd")]))
        with pytest.raises(HostileInput, match=f"lies below a {name}: a/passwd"):
            entries(ITEM, tmp_path / "source", None)


@pytest.mark.parametrize(("target", "fine"), [
    ("b", True), ("../b", True), ("../../../b", True), ("/etc/alternatives/b", True), ("../../../../b", False),
    ("/..", False), ("b/../../../../../x", False),
])  # fmt: skip
def test_links_stay_in_the_root(target: str, fine: bool, tmp_path: Path) -> None:
    content: Members = [plain("a/b"), (member("a/link", tarfile.SYMTYPE, link=target), b"")]
    if fine:
        assert laid(tmp_path, content)[1].target == target
    else:
        with pytest.raises(HostileInput, match="a link leaves the root: /opt/it/a/link"):
            laid(tmp_path, content)


@pytest.mark.parametrize(("target", "fine"), [("../b", True), ("../../b", False)])
def test_links_of_an_archive_that_is_laid_into_the_root(target: str, fine: bool, tmp_path: Path) -> None:
    """Every link that climbs, of s6-overlay's /command, was taken for one that leaves the root."""
    content: Members = [plain("b"), (member("a/link", tarfile.SYMTYPE, link=target), b"")]
    if fine:
        assert [one.target for one in laid(tmp_path, content, replace(ITEM, to="")) if one.kind == "link"] == [target]
    else:
        with pytest.raises(HostileInput, match="a link leaves the root: /a/link"):
            laid(tmp_path, content, replace(ITEM, to=""))


def test_hard_links(tmp_path: Path) -> None:
    content: Members = [
        plain("z"),
        (member("a", tarfile.LNKTYPE, link="z"), b""),
        (member("b", tarfile.LNKTYPE, link="a"), b""),
    ]
    found = laid(tmp_path, content)
    assert [(entry.kind, entry.path, entry.target) for entry in found] == [
        ("file", "opt/it/z", ""),
        ("hardlink", "opt/it/a", "opt/it/z"),
        ("hardlink", "opt/it/b", "opt/it/a"),
    ]
    (tmp_path / "source").write_bytes(tar(content))
    with pytest.raises(StackbuildError, match="names what is left out"):
        entries(replace(ITEM, include=("a", "b")), tmp_path / "source", None)


def test_setuid_only_by_the_manifest(tmp_path: Path) -> None:
    content: Members = [plain("sandbox", mode=0o4755)]
    (tmp_path / "source").write_bytes(tar(content))
    with pytest.raises(HostileInput, match="has setuid: sandbox"):
        entries(ITEM, tmp_path / "source", None)
    assert rows(laid(tmp_path, content, replace(ITEM, mode=0o4755))) == [("file", "4755", "opt/it/sandbox")]


def test_folders_are_never_special(tmp_path: Path) -> None:
    folder = member("d", tarfile.DIRTYPE)
    folder.mode = 0o7777
    assert rows(laid(tmp_path, [(folder, b""), plain("d/x")]))[0] == ("dir", "0755", "opt/it/d")


def test_a_zip_that_has_more_than_it_says(tmp_path: Path) -> None:
    """zipfile stops at the size of its directory, and then finds another CRC."""
    data = bytearray(zipped([("a", stat.S_IFREG | 0o644, b"x" * 100)]))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (50).to_bytes(4, "little")
    (tmp_path / "source").write_bytes(data)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(HostileInput, match="cannot be read"):
        entries(replace(ITEM, format="zip"), tmp_path / "source", tmp_path / "scratch")


def test_limits_hold_for_names_alone(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(tar(SPARK))
    with pytest.raises(HostileInput, match="more than 2 members"):
        entries(ITEM, tmp_path / "source", None, Limits(members=2))
