"""`lock --check` of conda locks: stale, merged into no solution, written for other circumstances."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from builder.kinds.conda.check import Circumstances, Subject, moved, problems
from builder.kinds.conda.document import CondaLock, with_via
from builder.kinds.conda.lockfile import render
from builder.kinds.conda.record import Record
from builder.lock import Lock
from tests.conda_channel import Served
from tests.conda_world import MANIFEST, NOTEBOOK, Make


def record(text: str, *depends: str, constrains: Sequence[str] = ()) -> Record:
    name, _, version = text.partition("==")
    return Record(
        channel="main",
        subdir="noarch",
        file=f"{name}-{version}-0.conda",
        name=name,
        version=version,
        build="0",
        md5="0" * 32,
        sha256=f"{abs(hash_of(text)):064x}"[-64:],
        size=1,
        depends=tuple(sorted(depends)),
        constrains=tuple(constrains),
    )


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "big")


def lock(request: Sequence[str], *records: Record) -> CondaLock:
    return with_via(
        CondaLock(
            request=tuple(sorted(request)),
            pins=tuple(sorted((one.pin(()) for one in records), key=lambda pin: pin.name)),
            subdir="linux-64",
            channels=(("main", "https://conda.example.com/main"),),
            virtual=("__cuda==13.0", "__glibc==2.36"),
        )
    )


def said(one: CondaLock, request: Sequence[str], *inherited: tuple[str, Lock]) -> list[str]:
    subject = Subject(path="x.conda-lock.yml", lock=one, text=render(one), inherited=inherited)
    return [str(error) for error in problems(subject, request)]


GOOD = (
    record("a==1.2", "b >=2,<3.0a0", "__glibc >=2.17", "__cuda >=12"),
    record("b==2.5", constrains=["c <5", "d *"]),
    record("c==4.0"),
)


def test_a_solution_is_one() -> None:
    assert said(lock(["a>=1", "c"], *GOOD), ["c", "a >=1"]) == []


def test_conditions_are_the_solvers_business() -> None:
    one = lock(["a"], record("a==1", 'nobody[when="python >=3.13"]'))
    assert said(one, ["a"]) == []


@pytest.mark.parametrize(
    ("request_", "records", "says"),
    [
        (["a>=2"], GOOD[:2], "a >=2 is not met"),
        (["a"], GOOD[:1], "b >=2,<3.0a0 is not met"),
        (["a"], (GOOD[0], record("b==3.1")), "a==1.2 needs it"),
        (["a"], (GOOD[0], record("b==3.0a1")), "got: b==3.0a1=0"),
        (["a", "c"], (*GOOD[:2], record("c==5.1")), "b==2.5 allows only it"),
        (["a", "n"], (*GOOD[:2], record("n==1", "__glibc >=2.38")), "got: __glibc==2.36=0"),
        (["a", "n"], (*GOOD[:2], record("n==1", "__osx")), "got: no __osx"),
        (["a"], GOOD, "lock holds what nobody asks for: c"),
        (["a"], (*GOOD[:2], record("x==1", "y"), record("y==1", "x")), "nobody asks for: y"),
        (["a==not_a-version"], GOOD[:2], "lock is damaged"),
    ],
)
def test_what_is_no_solution(request_: list[str], records: tuple[Record, ...], says: str) -> None:
    assert says in "\n".join(said(lock(request_, *records), request_))


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (["a>=1.1", "c"], ["stacks.toml asks a>=1.1", "the lock answers a>=1"]),
        (["a>=1", "c", "d"], ["stacks.toml asks d", "the lock does not answer it"]),
        (["a>=1"], ["nothing in stacks.toml asks c any more"]),
    ],
)
def test_a_stale_lock_names_the_line(manifest: list[str], says: list[str]) -> None:
    one = lock(["a>=1", "c"], *GOOD)
    found = "\n".join(said(one, manifest))
    assert "lock is stale: x.conda-lock.yml" in found
    for text in says:
        assert text in found


def test_a_line_that_is_named_is_the_one() -> None:
    one = lock(["a"], GOOD[0], record("b==3.1"))
    (error,) = problems(Subject(path="x", lock=one, text=render(one)), ["a"])
    number = int(error.where.rpartition(":")[2])
    assert render(one).split("\n")[number - 1] == "- name: a"


def test_a_child_repeats_and_moves_nothing() -> None:
    parent = lock(["b"], GOOD[1])
    for child, says in ((GOOD[1], "may not repeat its parent: b"), (record("b==2.6"), "may not move its parent: b")):
        found = "\n".join(said(lock(["a", "b"], GOOD[0], child), ["a", "b"], ("base", parent)))
        assert says in found
        assert "b==2.5 from base alone" in found


def test_what_is_inherited_meets_and_limits() -> None:
    parent = lock(["b"], GOOD[1])
    assert said(lock(["a"], GOOD[0]), ["a"], ("base", parent)) == []
    found = said(lock(["c"], record("c==5.1")), ["c"], ("base", parent))
    assert "b==2.5 allows only it" in "\n".join(found)


NOW = Circumstances(
    platform="linux/amd64",
    channels=(("main", "https://conda.example.com/main"),),
    virtual=("__cuda==13.0", "__glibc==2.36"),
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda now: now, ""),
        (lambda now: replace(now, platform="linux/arm64"), "platform linux-aarch64"),
        (lambda now: replace(now, virtual=("__cuda==13.1", "__glibc==2.36")), "virtual packages __cuda==13.1"),
        (lambda now: replace(now, channels=(("new", "https://x"), *now.channels)), "channels new https://x, main"),
    ],
)
def test_circumstances_that_changed(change: Callable[[Circumstances], Circumstances], says: str) -> None:
    one = lock(["a"], *GOOD[:2])
    found = moved(Subject(path="x", lock=one, text=render(one)), change(NOW))
    assert (says in str(found[0])) if says else not found


def test_the_command_finds_what_is_missing_and_what_nobody_wants(channel: Served, world: Make) -> None:
    found = world(NOTEBOOK)
    assert {error.what for error in found.check()} == {
        f"lock is missing: notebook:{variant}@linux/{cpu}, conda"
        for variant in ("cpu", "cuda", "gaudi")
        for cpu in ("amd64", "arm64")
    }
    found.lock()
    assert found.check() == []
    bare = world(NOTEBOOK.replace("conda = ", "# conda = "))
    assert all("lock is stale" in error.what for error in bare.check())
    assert len(bare.check()) == 6


def test_a_variants_new_hardware_makes_its_locks_stale(channel: Served, world: Make) -> None:
    world(NOTEBOOK).lock()
    found = world(NOTEBOOK, head=MANIFEST.replace("__cuda==13.0", "__cuda==13.1")).check()
    assert len(found) == 2
    assert all("__cuda==13.1" in error.expected for error in found)


def test_projects_without_conda_pay_for_nothing() -> None:
    program = (
        "import sys, builder.kinds.conda.locking, builder.kinds.conda.places\n"
        "assert not {'rattler', 'conda_lock', 'yaml', 'zstandard'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
