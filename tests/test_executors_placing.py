"""Which worker may perform a step, and what is said when none may."""

from __future__ import annotations

import pytest

from builder.action import Action
from builder.digest import Digest
from builder.executors.placing import missing, offer, taken, told
from builder.lock import Pin

PINS = {"p": Pin(kind="conda", name="p", version="1", filename="p.conda", digest=Digest.of(b""), size=100)}
LARGE = Action(kind="conda", version=1, name="conda of x", options={}, sources=PINS, platform="linux/arm64")
PLAIN = Action(kind="overlay", version=1, name="overlays of x", options={})
SMALL_WORKER = offer("1-a", 300, ["linux/amd64", "linux/arm64"], 4)
LARGE_WORKER = offer("1-a", 900, ["linux/amd64", "linux/arm64"], 4)
NATIVE_ONLY = offer("1-a", 9000, ["linux/amd64"], 4)
NO_SANDBOX = offer("1-a", 90000, [], 4)
OTHER = offer("1-b", 90000, ["linux/amd64", "linux/arm64"], 4)


def test_a_step_goes_where_its_root_has_room() -> None:
    """A conda package takes five times its size."""
    wanted = taken(LARGE, "1-a", [SMALL_WORKER, LARGE_WORKER])
    assert wanted["memory"] == 500
    assert missing(wanted, [SMALL_WORKER]) == ("memory",)
    assert not missing(wanted, [SMALL_WORKER, LARGE_WORKER])


def test_a_step_that_is_too_large_takes_all_of_the_largest_that_can_perform_it() -> None:
    """A worker with more memory and no sandbox, or of another platform or program, does not count."""
    offers = [SMALL_WORKER, NATIVE_ONLY, NO_SANDBOX, OTHER]
    wanted = taken(LARGE, "1-a", offers)
    assert wanted["memory"] == 300
    assert not missing(wanted, offers)
    assert missing(wanted, offers[1:]) == ("linux/arm64",)


def test_only_what_runs_programs_takes_a_sandbox() -> None:
    assert not missing(taken(PLAIN, "1-a", [NO_SANDBOX]), [NO_SANDBOX])
    assert missing(taken(LARGE, "1-a", [NO_SANDBOX]), [NO_SANDBOX]) == ("linux/arm64", "sandbox")


def test_another_stackbuild_performs_nothing() -> None:
    assert missing(taken(PLAIN, "1-a", [OTHER]), [OTHER]) == ("program:1-a",)


@pytest.mark.parametrize(
    ("action", "offers", "said"),
    [
        (PLAIN, [], "the scheduler has none"),
        (PLAIN, [OTHER], "waiting for a worker of the same stackbuild as this, 1-a: overlays of x"),
        (LARGE, [NO_SANDBOX, NATIVE_ONLY], "waiting for a worker that offers linux/arm64, as conda of x takes it"),
        (LARGE, [dict.fromkeys(["gpu"], 1.0)], "of the same stackbuild"),
    ],
)
def test_who_waits_is_told_for_what(action: Action, offers: list[dict[str, float]], said: str) -> None:
    lacking = missing(taken(action, "1-a", offers), offers)
    assert said in told(action, lacking, len(offers))
