"""The way out: who is told what, in which order, and how long it may take."""

import time
from signal import SIGINT, SIGQUIT, SIGTERM, Signals

import pytest

from .container import PATIENT, Image

DEAF = "trap '' TERM; echo up; while :; do sleep 30; done"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_services_then_scripts_then_all_the_rest(image: Image, number: Signals) -> None:
    stoppable = "trap 'sleep 0.1; echo {0}; exit 0' TERM; echo up; sleep 30 & wait"
    image.script("etc/services.d/web/run", stoppable.format("service"))
    image.script("etc/services.d/web/finish", "echo finish")
    image.script("etc/cont-finish.d/02", "echo two")
    image.script("etc/cont-finish.d/01", 'echo "one $A"; exit 5', shebang="/command/with-contenv sh")
    container = image.start("sh", "-c", stoppable.format("cmd"), env={"A": "1", **PATIENT})
    container.wait_for("up\nup\n")
    outcome = container.end(send=number)
    assert outcome.out == "up\nup\nservice\nfinish\none 1\ntwo\ncmd\n"
    assert (outcome.code, outcome.err) == (0, "")


def test_it_ends_as_soon_as_all_processes_have(image: Image) -> None:
    image.script("etc/services.d/web/run", "echo up; exec sleep infinity")
    container = image.start(env=PATIENT)
    container.wait_for("up\n")
    assert container.end(send=SIGTERM).code == 0


def test_a_second_signal_changes_nothing(image: Image) -> None:
    held = "until [ -e /tmp/enough ]; do sleep 0.01; done"
    image.script("etc/services.d/web/run", f"trap '{held}; exit' TERM; echo up; sleep 30 & wait")
    image.script("etc/cont-finish.d/01", "echo finished")
    container = image.start(env=PATIENT)
    container.wait_for("up\n")
    for _ in range(4):
        container.signal(SIGTERM)
        time.sleep(0.03)
    (image.tmp / "enough").touch()
    outcome = container.end()
    assert (outcome.code, outcome.out, outcome.err) == (0, "up\nfinished\n", "")


def test_a_deaf_service_has_both_grace_times_and_no_more(image: Image) -> None:
    image.script("etc/services.d/web/run", DEAF)
    image.script("etc/cont-finish.d/01", "echo finished")
    container = image.start(env={"S6_SERVICES_GRACETIME": "300", "S6_KILL_GRACETIME": "200"})
    container.wait_for("up\n")
    begin = time.monotonic()
    outcome = container.end(send=SIGTERM)
    assert 0.5 <= time.monotonic() - begin < 5, "less than the default"
    assert (outcome.code, outcome.out) == (0, "up\nfinished\n")
    assert "timed out" in outcome.err


def test_grace_times_are_three_seconds_each_by_default(image: Image) -> None:
    image.script("etc/services.d/web/run", DEAF)
    container = image.start()
    container.wait_for("up\n")
    begin = time.monotonic()
    assert container.end(send=SIGTERM).code == 0
    assert 6 <= time.monotonic() - begin < 15


def test_processes_outside_of_supervision_get_term_then_kill(image: Image) -> None:
    polite = "trap 'echo polite; exit 0' TERM; echo up; sleep 30 & wait"
    image.script("polite", polite)
    image.script("deaf", DEAF)
    container = image.start(
        "sh",
        "-c",
        "setsid /polite & setsid /deaf & exec sleep infinity",
        env={"S6_KILL_GRACETIME": "300"},
    )
    container.wait_for("up\nup\n")
    begin = time.monotonic()
    outcome = container.end(send=SIGTERM)
    assert 0.3 <= time.monotonic() - begin < 3, "less than the default"
    assert outcome.out == "up\nup\npolite\n"


def test_a_script_that_hangs_is_killed(image: Image) -> None:
    image.script("etc/cont-finish.d/01", f"{DEAF}")
    image.script("etc/cont-finish.d/02", "echo two")
    outcome = image.start("true", env={"S6_KILL_FINISH_MAXTIME": "200"}).end()
    assert (outcome.code, outcome.out) == (0, "up\ntwo\n")


def test_a_stop_interrupts_the_start_scripts(image: Image) -> None:
    image.script("etc/cont-init.d/01", "trap 'echo interrupted; exit 1' TERM; echo up; sleep 30 & wait")
    image.script("etc/cont-init.d/02", "echo never")
    image.script("etc/services.d/web/run", "echo never")
    image.script("etc/cont-finish.d/01", "echo finished")
    container = image.start("echo", "never", env={"S6_BEHAVIOUR_IF_STAGE2_FAILS": "2"})
    container.wait_for("up\n")
    outcome = container.end(send=SIGTERM)
    assert outcome.code == 0
    assert sorted(outcome.out.split()) == ["finished", "interrupted", "up"]
