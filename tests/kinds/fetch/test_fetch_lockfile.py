"""The text of a lock: one for each lock, read by TOML readers, merging cleanly, refused once it was edited."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.fetch.lockfile import dumps, line, loads
from builder.lock import Lock, Pin


def pin(name: str, version: str = "1.0", *, data: bytes = b"x", checksum: bool = False) -> Pin:
    url = f"https://example.com/{name}-{version}.tgz"
    return Pin(
        kind="fetch",
        name=name,
        version=version,
        filename=url.rpartition("/")[2],
        digest=Digest.of(data),
        size=len(data),
        fields=(("url", url), *((("sha256-url", url + ".sha256"),) if checksum else ())),
    )


def lock(*pins: Pin) -> Lock:
    ordered = tuple(sorted(pins, key=lambda one: one.name))
    return Lock(request=tuple(sorted(line(one) for one in ordered)), pins=ordered)


GOOD = dumps(lock(pin("kubectl", checksum=True), pin("spark")))


def test_text() -> None:
    expected = f"""\
# stackbuild-lock: 1
# written by `stackbuild lock`; edit stacks.toml instead

[[fetch]]
name = "kubectl"
version = "1.0"
url = "https://example.com/kubectl-1.0.tgz"
sha256-url = "https://example.com/kubectl-1.0.tgz.sha256"
file = "kubectl-1.0.tgz"
size = 1
sha256 = "{Digest.of(b"x").hex}"

[[fetch]]
name = "spark"
version = "1.0"
url = "https://example.com/spark-1.0.tgz"
file = "spark-1.0.tgz"
size = 1
sha256 = "{Digest.of(b"x").hex}"
"""
    assert expected == GOOD
    assert [one["name"] for one in tomli.loads(GOOD)["fetch"]] == ["kubectl", "spark"]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True),
        st.tuples(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*", fullmatch=True), st.binary(max_size=3), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_it_is_read_as_it_was_written(rows: dict[str, tuple[str, bytes, bool]]) -> None:
    one = lock(*(pin(name, version, data=data, checksum=told) for name, (version, data, told) in rows.items()))
    assert loads(dumps(one), "x.sources.toml") == one


def test_bumps_of_neighbours_merge(tmp_path: Path) -> None:
    one, two = pin("kubectl", checksum=True), pin("spark")
    for name, pins in (
        ("base", (one, two)),
        ("ours", (pin("kubectl", "2.0", data=b"new", checksum=True), two)),
        ("theirs", (one, pin("spark", "3.0", data=b"newer"))),
    ):
        (tmp_path / name).write_text(dumps(lock(*pins)))
    command = ["git", "merge-file", "-p", "ours", "base", "theirs"]
    merged = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [(one.name, one.version) for one in loads(merged, "x").pins] == [("kubectl", "2.0"), ("spark", "3.0")]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("# stackbuild-lock: 1", "# stackbuild-lock: 2", "format 1"),
        ('name = "spark"', 'name = "kubectl"', "kubectl is pinned twice"),
        ('name = "spark"', 'name = "a"', "a is not in its sorted place"),
        ('sha256 = "', 'sha256 = "0', "sha256 of kubectl is missing, cut or changed"),
        ("size = 1", "size = -1", "size of kubectl is missing or no number"),
        ("size = 1", 'size = "1"', "size of kubectl is missing or no number"),
        ("size = 1\n", "", "size of kubectl is missing"),
        ("size = 1", "size = 01", "not TOML"),
        ("size = 1", "size  = 1", "a line is not as it was written"),
        ("size = 1", "size = 1\nmode = 1", "kubectl has a key that no lock has: mode"),
        ("https://example.com/spark", "https://me:secret@example.com/spark", "url of spark is missing, cut or changed"),
        ("[[fetch]]\n", "", "has no [[fetch]]"),
        ("\n[[fetch]]", "\n\n[[fetch]]", "a line is not as it was written"),
        ('"kubectl-1.0.tgz"', '"kubectl-1.0\\u002etgz"', "a line is not as it was written"),
    ],
)
def test_what_was_edited_is_refused(old: str, new: str, what: str) -> None:
    assert old in GOOD
    with pytest.raises(StackbuildError) as caught:
        loads(GOOD.replace(old, new, 1), "x.sources.toml")
    assert what in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", GOOD[:-1], GOOD + "\n", GOOD.split("\n\n")[0] + "\n", GOOD.split("\n\n")[0] + "\n\nfetch = 1\n"]
)
def test_cut_and_added(text: str) -> None:
    with pytest.raises(StackbuildError):
        loads(text, "x.sources.toml")


def test_what_needs_escapes_is_not_locked() -> None:
    with pytest.raises(StackbuildError, match="cannot be locked: file of a"):
        dumps(lock(replace(pin("a"), filename='a"b')))
