"""A lock is judged without a network: does it answer the request, and is it a solution?"""

from __future__ import annotations

import time

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip.check import misplaced, moved, problems
from builder.kinds.pip.lockfile import PipLock, dumps
from builder.lock import Pin

PATH = "locks/child/linux-amd64.pip.txt"


def pin(name: str, version: str, *requires: str, via: tuple[str, ...] = ("stacks.toml",), file: str = "") -> Pin:
    return Pin(
        kind="pip",
        name=name,
        version=version,
        filename=file or f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        digest=Digest.of(f"{name} {version}".encode()),
        size=1,
        via=via,
        fields=tuple(("requires", one) for one in requires),
    )


def lock(request: tuple[str, ...], *pins: Pin, constraints: tuple[str, ...] = ()) -> PipLock:
    return PipLock(
        request=request,
        constraints=constraints,
        pins=tuple(sorted(pins, key=lambda one: one.name)),
        python="3.11.2",
        platform="linux/amd64",
        glibc="2.36",
    )


PARENT = lock(("numpy",), pin("numpy", "2.3.5"), pin("six", "1.17.0", via=("numpy",)))
GOOD = lock(
    ("pandas==3.0.3",), pin("pandas", "3.0.3", "numpy>=1.26", "tzdata"), pin("tzdata", "2026.1", via=("pandas",))
)


def told(found: list[StackbuildError]) -> str:
    return "\n".join(str(one) for one in found)


def line(one: PipLock, text: str) -> int:
    return dumps(one).split("\n").index(text) + 1


def test_a_solution_has_no_problems() -> None:
    assert problems(GOOD, [("base", PARENT)], ("Pandas == 3.0.3",), PATH) == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("pandas==3.0.4", "stacks.toml asks pandas==3.0.4\n  got: the lock answers pandas==3.0.3"),
        ("pandas[all]==3.0.3", "the lock answers pandas==3.0.3"),
    ],
)
def test_a_stale_lock_names_the_request_and_its_line(asked: str, words: str) -> None:
    found = problems(GOOD, [("base", PARENT)], (asked,), PATH)
    assert len(found) == 1
    assert words in told(found)
    assert f"{PATH}:{line(GOOD, '# request: pandas==3.0.3')}\n" in told(found)


def test_new_and_gone_requests_are_stale() -> None:
    assert "the lock does not answer it" in told(problems(GOOD, [], ("pandas==3.0.3", "dask"), PATH))
    assert "nothing in stacks.toml asks pandas==3.0.3 any more" in told(problems(GOOD, [], (), PATH))
    limited = lock(("six",), pin("six", "1.17.0"), constraints=("six<2",))
    assert "nothing in stacks.toml limits six<2 any more" in told(problems(limited, [], ("six",), PATH))


def test_a_requirement_that_no_pin_meets_names_the_pin() -> None:
    """Two branches bumped, git merged, and the result is no solution."""
    merged = lock(("pandas==3.0.3",), pin("pandas", "3.0.3", "numpy>=2.4", "tzdata"))
    found = told(problems(merged, [("base", PARENT)], ("pandas==3.0.3",), PATH))
    where = f"{PATH}:{line(merged, 'pandas==3.0.3 ' + chr(92))}"
    assert f"lock is no solution: numpy>=2.4 is not met\n  {where}\n" in found
    assert "got: numpy==2.3.5" in found
    assert f"lock is no solution: tzdata is not met\n  {where}\n" in found
    assert "got: no pin of tzdata" in found


def test_a_request_that_no_pin_meets() -> None:
    edited = lock(("pandas==3.0.3",), pin("pandas", "3.0.2"))
    assert "lock is no solution: pandas==3.0.3 is not met" in told(problems(edited, [], ("pandas==3.0.3",), PATH))


def test_markers_are_the_targets() -> None:
    windows = lock(('colorama ; sys_platform == "win32"',))
    assert problems(windows, [], windows.request, PATH) == []
    arm = lock(('six ; platform_machine == "x86_64"',))
    assert "six is not met" in told(problems(arm, [], arm.request, PATH))


def test_pins_may_be_prereleases() -> None:
    early = lock(("six>=1",), pin("six", "2.0rc1"))
    assert problems(early, [], ("six>=1",), PATH) == []


def test_a_child_neither_moves_nor_repeats_its_parent() -> None:
    moves = lock(("numpy",), pin("numpy", "2.4.6"))
    assert "child may not move its parent: numpy" in told(problems(moves, [("base", PARENT)], ("numpy",), PATH))
    repeats = lock(("numpy",), pin("numpy", "2.3.5"))
    found = told(problems(repeats, [("base", PARENT)], ("numpy",), PATH))
    assert "child may not repeat its parent: numpy" in found
    assert "numpy==2.3.5 from base alone" in found


def test_what_nobody_asks_for_is_a_problem() -> None:
    left = lock(("six",), pin("six", "1.17.0"), pin("orphan", "1", via=("gone",)))
    assert "lock holds what nobody asks for: orphan" in told(problems(left, [], ("six",), PATH))
    extra = lock(("numpy[blas]",), pin("openblas", "1", via=("numpy",)))
    assert problems(extra, [("base", PARENT)], ("numpy[blas]",), PATH) == []


def test_a_wheel_for_another_platform_is_a_problem() -> None:
    for file, fits in (
        ("six-1.17.0-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("six-1.17.0-cp39-abi3-manylinux2014_x86_64.whl", True),
        ("six-1.17.0-cp311-cp311-manylinux_2_28_aarch64.whl", False),
        ("six-1.17.0-cp311-cp311-manylinux_2_38_x86_64.whl", False),
        ("six-1.17.0-cp312-cp312-manylinux_2_28_x86_64.whl", False),
    ):
        found = problems(lock(("six",), pin("six", "1.17.0", file=file)), [], ("six",), PATH)
        assert ("wheel is not for this target" in told(found)) is not fits


def test_a_moved_target_is_stale() -> None:
    assert moved(GOOD, PATH, python="3.11.2", platform="linux/amd64", glibc="2.36") == []
    found = told(moved(GOOD, PATH, python="3.11.5", platform="linux/amd64", glibc="2.36"))
    assert f"{PATH}:3\n" in found
    assert "solved for python 3.11.2" in found


def test_six_locks_are_checked_in_no_time() -> None:
    """6 locks of 150 pins, six requirements each: below 200 ms, parsing included."""
    locks = []
    for n in range(6):
        pins = [
            pin(f"p{n}-{m}", f"{n}.{m}", *(f"p{n}-{(m + k) % 150}>={n}.0,!={n}.999{k}" for k in range(1, 7)))
            for m in range(150)
        ]
        locks.append(lock((f"p{n}-0",), *pins))
    start = time.process_time()
    for one in locks:
        assert problems(one, [], one.request, PATH) == []
    assert time.process_time() - start < 0.2


def test_a_line_that_is_no_requirement_is_a_problem() -> None:
    for one in (lock(("six",), pin("six", "1", "numpy >>> 2")), lock(("six", "si x"), pin("six", "1"))):
        assert "broken lock: not a requirement" in told(problems(one, [], ("six",), PATH))


def test_a_source_archive_that_is_allowed_no_more() -> None:
    archive = lock(("six",), pin("six", "1.17.0", file="six-1.17.0.tar.gz"))
    assert list(misplaced(archive, PATH, sources={}, sdists=("six",))) == []
    found = list(misplaced(archive, PATH, sources={}, sdists=("other",)))
    assert [(one.expected, one.got) for one in found] == [
        ("a wheel of six, or its name in sdists", "six-1.17.0.tar.gz")
    ]
