"""Where files really go: links on the way, folders as they stand, nothing replaced."""

from __future__ import annotations

import pytest

from builder.compression import codec
from builder.errors import StackbuildError
from builder.kinds.fetch.ground import Ground, follow, settle, standing, survey
from builder.parts import write_part
from builder.store import Store
from builder.tree import Bytes, Entry

BELOW = (
    Entry("bin", "link", 0o777, target="usr/bin"),
    Entry("home", "dir"),
    Entry("home/jovyan", "dir", 0o2775, 1000, 100),
    Entry("loop", "link", 0o777, target="/loop"),
    Entry("opt", "link", 0o777, target="/mnt/./opt"),
    Entry("out", "link", 0o777, target="../../../mnt"),
    Entry("usr", "dir"),
    Entry("usr/bin", "dir", 0o750, 3, 4),
    Entry("usr/bin/sh", "file", 0o755, content=Bytes(b"sh"), owner="dash"),
    Entry("usr/bin/rsh", "link", 0o777, target="sh"),
)


def surveyed(store: Store, *entries: Entry, below: tuple[tuple[Entry, ...], ...] = (BELOW,)) -> Ground:
    layers = [
        write_part(store, "below", sorted(tree, key=lambda entry: entry.path.encode()), codec("gzip")) for tree in below
    ]
    return survey(standing(store, layers), entries)


def file(path: str) -> Entry:
    return Entry(path, "file", 0o644, content=Bytes(b"x"), owner="it")


def rows(entries: list[Entry]) -> list[str]:
    return [f"{one.kind} {one.mode:04o} {one.uid}:{one.gid} {one.path}" for one in entries]


def laid(store: Store, *entries: Entry) -> list[str]:
    found = Ground.of(surveyed(store, *entries).result())
    return rows(settle(entries, found))


def test_folders_stand_as_they_are_and_new_ones_are_the_owners(store: Store) -> None:
    mine = Entry("home/jovyan/.config/tool/x", "file", 0o600, 1000, 100, content=Bytes(b"x"), owner="it")
    assert laid(store, mine, file("usr/bin/tool")) == [
        "dir 0755 0:0 home",
        "dir 2775 1000:100 home/jovyan",
        "dir 0755 1000:100 home/jovyan/.config",
        "dir 0755 1000:100 home/jovyan/.config/tool",
        "file 0600 1000:100 home/jovyan/.config/tool/x",
        "dir 0755 0:0 usr",
        "dir 0750 3:4 usr/bin",
        "file 0644 0:0 usr/bin/tool",
    ]


def test_links_on_the_way_are_followed(store: Store) -> None:
    assert laid(store, Entry("bin", "dir", owner="it"), file("bin/tool"), file("opt/it/x"), file("out/y")) == [
        "dir 0755 0:0 mnt",
        "dir 0755 0:0 mnt/opt",
        "dir 0755 0:0 mnt/opt/it",
        "file 0644 0:0 mnt/opt/it/x",
        "file 0644 0:0 mnt/y",
        "dir 0755 0:0 usr",
        "dir 0750 3:4 usr/bin",
        "file 0644 0:0 usr/bin/tool",
    ]


def test_the_ground_has_the_ways_alone(store: Store) -> None:
    """What lies elsewhere may change without laying an archive again."""
    found = surveyed(store, file("bin/tool"))
    assert found == Ground(folders={"usr": (0o755, 0, 0), "usr/bin": (0o750, 3, 4)}, links={"bin": "usr/bin"})
    more = (*BELOW, Entry("usr/lib", "dir"), Entry("usr/lib/x", "file", content=Bytes(b"x")))
    assert surveyed(store, file("bin/tool"), below=(more,)) == found


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (file("bin/sh"), "would replace a file of the image: /usr/bin/sh"),
        (file("usr/bin/rsh"), "would replace a link of the image: /usr/bin/rsh"),
        (file("bin"), "would replace a link of the image: /bin"),
        (file("home/jovyan"), "would replace a folder of the image: /home/jovyan"),
        (Entry("bin/sh", "link", 0o777, target="x", owner="it"), "would replace a file of the image: /usr/bin/sh"),
        (Entry("bin/sh", "dir", owner="it"), "folder would replace a file of the image: /usr/bin/sh"),
        (file("bin/sh/x"), "folder would replace a file of the image: /usr/bin/sh"),
        (file("usr/bin/rsh/x"), "folder would replace a file of the image: /usr/bin/sh"),
        (file("proc/x"), "would lie where every container mounts something of its own: /proc/x"),
        (file("dev"), "would lie where every container mounts something of its own: /dev"),
        (Entry("sys/x", "dir", owner="it"), "would lie where every container mounts something of its own: /sys/x"),
        (file("loop/x"), "links of the image go round in a circle: /loop"),
    ],
)
def test_nothing_is_replaced(entry: Entry, what: str, store: Store) -> None:
    with pytest.raises(StackbuildError, match=what):
        surveyed(store, entry)


def test_whose_file_it_is_is_told(store: Store) -> None:
    with pytest.raises(StackbuildError) as caught:
        surveyed(store, file("bin/sh"))
    assert "it: /bin/sh, there from dash" in str(caught.value)


def test_what_upper_layers_took_away_does_not_stand(store: Store) -> None:
    gone = (
        Entry("usr", "dir"),
        Entry("usr/bin", "dir", 0o700),
        Entry("usr/bin/sh", "whiteout"),
        Entry("bin", "whiteout"),
    )
    found = surveyed(store, file("bin/sh"), below=(BELOW, gone))
    assert found == Ground(folders={}, links={})
    opaque = (Entry("usr", "dir"), Entry("usr/+new", "file", content=Bytes(b"")), Entry("usr/.wh..opq", "whiteout"))
    stand = standing(
        store, [write_part(store, str(n), tree, codec("gzip")) for n, tree in enumerate((BELOW[-4:], opaque))]
    )
    assert sorted(stand) == ["usr", "usr/+new"]


def test_two_paths_that_are_one(store: Store) -> None:
    with pytest.raises(StackbuildError, match="two of one archive's paths are /usr/bin/tool"):
        laid(store, file("bin/tool"), file("usr/bin/tool"))


def test_hard_links_name_what_stands_before_them() -> None:
    """A layer is unpacked in the order of its final paths, which links on the way change."""
    entries = [
        Entry("usr/z", "file", 0o755, content=Bytes(b"x"), owner="it"),
        Entry("bin/a", "hardlink", target="usr/z", owner="it"),
        Entry("usr/m", "hardlink", target="bin/a", owner="it"),
    ]
    ground = Ground(folders={}, links={"bin": "usr/bin"})
    found = [(one.kind, one.path, one.target) for one in settle(entries, ground) if one.kind != "dir"]
    assert found == [("file", "usr/bin/a", ""), ("hardlink", "usr/m", "usr/bin/a"), ("hardlink", "usr/z", "usr/bin/a")]


def test_follow_counts_from_the_root() -> None:
    links = {"a": "b/c", "b": "/x/../y", "y/c": "../../../../z"}
    assert follow("a/d", links) == "z/d"
    assert follow("", links) == ""
