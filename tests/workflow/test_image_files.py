"""Files read out of layers: the last one counts, whiteouts hide, what is not wanted is never kept."""

from __future__ import annotations

import gzip
import re
import tarfile
from collections.abc import Sequence
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput
from builder.store import Store
from builder.workflow.image_files import read
from tests.fake_image import Member, file, folder, link, member, tar

WANTED = (re.compile(r"doc/[^/]+(/copyright)?"), re.compile(r"(?P<prefix>.+)/METADATA"))


def layer(store: Store, *members: Member) -> dict[str, Any]:
    data = gzip.compress(tar(members), mtime=0)
    return {"digest": str(store.put_blob(data)), "name": "one"}


def contents(store: Store, *layers: Sequence[Member]) -> dict[str, str]:
    files, absent = read(store, [layer(store, *members) for members in layers], WANTED)
    assert absent == ()
    return {path: data.decode() for path, data in files.contents.items()} | dict(files.links)


def test_the_uppermost_counts(store: Store) -> None:
    below = [file("doc/a/copyright", "old"), file("doc/b/copyright", "b"), file("doc/b/changelog", "no")]
    above = [file("doc/a/copyright", "new"), link("doc/c", "b")]
    assert contents(store, below, above) == {"doc/a/copyright": "new", "doc/b/copyright": "b", "doc/c": "b"}


@pytest.mark.parametrize(
    ("mark", "left"),
    [("doc/.wh.a", {"doc/ab/copyright"}), ("doc/a/.wh..wh..opq", {"doc/ab/copyright"}), (".wh.doc", set())],
)
def test_what_is_hidden_is_gone(store: Store, mark: str, left: set[str]) -> None:
    below = [file("doc/a/copyright", "a"), file("doc/ab/copyright", "ab")]
    assert set(contents(store, below, [file(mark)])) == left


def test_a_link_takes_the_place_of_a_file(store: Store) -> None:
    assert contents(store, [file("a/METADATA", "x")], [link("a/METADATA", "y")]) == {"a/METADATA": "y"}


def test_a_hard_link_has_the_bytes_of_its_first_name(store: Store) -> None:
    twice = [file("a/METADATA", "x"), member("b/METADATA", tarfile.LNKTYPE, link="a/METADATA")]
    assert contents(store, twice) == {"a/METADATA": "x", "b/METADATA": "x"}


def test_a_layer_that_is_not_here_is_told(store: Store) -> None:
    gone = {"digest": str(Digest.of(b"gone")), "name": "gone"}
    files, absent = read(store, [gone, layer(store, folder("doc"), file("doc/a", "a"))], WANTED)
    assert absent == ("gone",)
    assert files.contents == {"doc/a": b"a"}


def test_a_layer_that_leads_out_is_refused(store: Store) -> None:
    with pytest.raises(HostileInput):
        read(store, [layer(store, file("doc/../../etc/a/METADATA", "x"))], WANTED)
