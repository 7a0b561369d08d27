"""Targets packed into jobs."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.keytable import Step
from builder.manifest.model import Target
from builder.packing import Job, pack

MB = 1_000_000
AMD, ARM = "linux/amd64", "linux/arm64"


def action(name: str, size: int) -> Step:
    digest = Digest.of(name.encode())
    return Step(key=digest, name=name, seconds=0.07 * size / MB, disk=2 * MB, pins={digest.hex: size})


def target(name: str, platform: str = AMD) -> Target:
    return Target(name, "cpu", platform)


def packed(todo: Mapping[Target, list[Step]], *, most: int = 256, **limits: int) -> list[list[str]]:
    return [[one.image for one in job.targets] for job in _pack(todo, most, **limits)]


def _pack(todo: Mapping[Target, list[Step]], most: int, **limits: int) -> tuple[Job, ...]:
    return pack(todo, most=most, **limits)


def test_what_is_shared_is_built_in_one_job() -> None:
    wheel, other = action("wheel", 400 * MB), action("other", 0)
    todo = {target("a"): [wheel], target("b"): [other], target("c"): [wheel, action("c", 0)]}
    assert packed(todo) == [["a", "c"], ["b"]]
    first, second = _pack(todo, 256)
    assert (first.disk, second.disk) == (404 * MB, 2 * MB)
    assert first.minutes > second.minutes >= 2


def test_platforms_are_machines_of_their_own() -> None:
    wheel = action("pure", MB)
    assert packed({target("a"): [wheel], target("a", ARM): [wheel]}, most=1) == [["a"], ["a"]]


def test_what_takes_too_long_parts() -> None:
    shared = action("shared", 100 * MB)
    todo = {target(name): [shared, action(name, 3_000 * MB)] for name in "abc"}
    assert packed(todo, longest=30) == [["a", "b", "c"]]
    assert packed(todo, longest=20) == [["a", "b"], ["c"]]
    assert packed(todo, longest=1) == [["a"], ["b"], ["c"]]
    assert packed(todo, largest=7_000 * MB) == [["a", "b"], ["c"]]


def test_at_most_so_many() -> None:
    todo = {target(f"t{number:03}"): [action(f"t{number}", number * MB)] for number in range(300)}
    jobs = _pack(todo, 256)
    assert len(jobs) == 256 and sorted(one for job in jobs for one in job.targets) == sorted(todo)


def test_nothing_to_do() -> None:
    assert pack({}, most=1) == ()


@given(
    st.lists(st.tuples(st.sampled_from([AMD, ARM]), st.sets(st.integers(0, 5), max_size=3)), max_size=12),
    st.integers(1, 8),
)
def test_each_target_once(asked: list[tuple[str, set[int]]], most: int) -> None:
    actions = [action(f"a{number}", number * 500 * MB) for number in range(6)]
    todo = {
        target(f"t{number}", platform): [actions[one] for one in sorted(found)]
        for number, (platform, found) in enumerate(asked)
    }
    jobs = _pack(todo, most)
    assert sorted(map(str, (one for job in jobs for one in job.targets))) == sorted(map(str, todo))
    assert len(jobs) <= max(most, len({platform for platform, _ in asked}))
    assert all(len({one.platform for one in job.targets}) == 1 for job in jobs)
