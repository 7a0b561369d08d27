from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from builder.kinds.apt import check, lockfile
from builder.kinds.apt.check import Subject
from builder.kinds.apt.lockfile import Header
from builder.kinds.apt.universe import Universe
from builder.lock import Lock

HEADER = Header(archive="debian", architecture="amd64", suites=("test",))
PATH = "locks/base/linux-amd64.apt.lock"
Locked = Callable[..., Lock]


@pytest.fixture
def locked(universe: Callable[..., Universe]) -> Locked:
    """A lock of these paragraphs, whether that makes sense or not."""

    def make(*stanzas: str, request: tuple[str, ...] = ()) -> Lock:
        toy = universe(*stanzas)
        return Lock(request=request, pins=tuple(toy.versions(name)[0].pin for name in toy.names()))

    return make


def told(lock: Lock, asked: tuple[str, ...], *inherited: tuple[str, Lock]) -> list[list[str]]:
    text = lockfile.dumps(lock, HEADER)
    return [one.lines() for one in check.problems(Subject(path=PATH, lock=lock, text=text), inherited, asked)]


def test_sound(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    base = locked(stanza("libc6"), stanza("mawk", Provides="awk"))
    lock = locked(stanza("aa", "2", Depends="awk, libc6, bb:any | cc"), stanza("cc"), request=("aa==2", "libc6"))
    assert told(lock, ("aa==2", "libc6"), ("base", base)) == []


def test_unmet_dependency_names_the_line(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    lock = locked(stanza("aa", Depends="bb (>= 2)", Pre_Depends="cc"), stanza("bb", "1"), request=("aa",))
    assert told(lock, ("aa",)) == [
        [
            "lock is no solution: aa 1 needs cc",
            f"  {PATH}:14",
            "  expected: cc",
            "  got: nothing of that name in this image and its ancestors",
            "  next: stackbuild lock",
        ],
        [
            "lock is no solution: aa 1 needs bb (>= 2)",
            f"  {PATH}:15",
            "  expected: bb (>= 2)",
            "  got: bb 1",
            "  next: stackbuild lock",
        ],
    ]


def test_conflict_within_and_with_an_ancestor(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    lock = locked(stanza("aa", Conflicts="bb"), stanza("bb"))
    assert [rows[0] for rows in told(lock, ())] == ["lock is no solution: aa 1 refuses bb, and bb 1 is that"]
    base = locked(stanza("old", Breaks="aa (<< 3)"))
    assert [rows[0] for rows in told(locked(stanza("aa")), (), ("base", base))] == [
        "lock is no solution: old 1 refuses aa (<< 3), and aa 1 is that"
    ]


def test_stale(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    lock = locked(stanza("aa"), request=("aa", "gone"))
    assert [rows[0] + rows[2] + rows[3] for rows in told(lock, ("aa==2", "new"))] == [
        "lock is stale  expected: an answer to aa==2  got: an answer to aa",
        "lock is stale  expected: no gone any more  got: an answer to gone",
        "lock is stale  expected: an answer to new  got: nothing about it",
    ]


def test_request_that_a_merge_lost(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    lock = locked(stanza("aa", "1"), request=("aa==2", "bb"))
    assert [rows[0] + rows[2] + rows[3] for rows in told(lock, ("aa==2", "bb"))] == [
        "lock is no solution  expected: aa (= 2)  got: aa 1",
        "lock is no solution  expected: bb  got: no bb",
    ]


def test_a_child_may_not_shadow(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    found = told(locked(stanza("aa", "2")), (), ("base", locked(stanza("aa", "1"))))
    assert found == [
        [
            "aa is locked twice",
            f"  {PATH}:10",
            "  expected: one version",
            "  got: 1 of base",
            "  next: stackbuild lock",
        ]
    ]


def test_three_images_of_two_platforms_are_quick(locked: Locked, stanza) -> None:  # type: ignore[no-untyped-def]
    names = [f"package-{n:03}" for n in range(250)]
    stanzas = [
        stanza(name, Depends=", ".join(f"{names[n - k]} (>= 1)" for k in range(1, 7) if n >= k))
        for n, name in enumerate(names)
    ]
    base = locked(*stanzas)
    subject = Subject(path=PATH, lock=base)
    empty = Subject(path=PATH, lock=Lock(request=(), pins=()))
    start = time.process_time()
    for _ in range(2):
        assert check.problems(subject, (), ()) == []
        assert check.problems(empty, (("base", base),), ()) == []
        assert check.problems(empty, (("base", base),), ()) == []
    assert time.process_time() - start < 0.15
