"""Supervision: restarts, `finish`, halt, the exit code, zombies, the standard streams, loggers."""

from signal import SIGTERM

import pytest

from .container import UNTIL_UP, Image, Options

FOREVER = "exec sleep infinity"
RESULTS = "/run/s6-linux-init-container-results/exitcode"
HALT = "/run/s6/basedir/bin/halt"


def test_a_service_that_dies_is_restarted(image: Image) -> None:
    image.script("etc/services.d/web/run", "echo life; exit 1")
    image.start().wait_for("life\nlife\n")


@pytest.mark.parametrize(
    ("death", "told"),
    [
        ("exit 7", "finish 7 web"),
        ("kill -9 $$", "finish 256 9 web"),
        ("kill $$", "finish 256 15 web"),
    ],
)
def test_finish_is_told_how_the_service_died(image: Image, death: str, told: str) -> None:
    """Without a signal its number is undefined, so it is not looked at."""
    image.script("etc/services.d/web/run", death)
    image.script("etc/services.d/web/finish", '[ "$1" -eq 256 ] || set -- "$1" "" "$3"; echo finish $1 $2 $3')
    image.start().wait_for(f"{told}\n")


def test_finish_may_give_up_on_the_service(image: Image) -> None:
    image.script("etc/services.d/web/run", "echo life; exit 1")
    image.script("etc/services.d/web/finish", "exit 125")
    cmd = "s6-svwait -D /run/service/web; sleep 1.3; s6-svstat -o up /run/service/web"  # s6 restarts after a second.
    container = image.start("sh", "-c", cmd)
    assert container.end().out == "life\nfalse\n"


@pytest.mark.parametrize(("death", "code"), [("exit 7", 7), ("exit 0", 0), ("kill -9 $$", 137)])
def test_finish_may_stop_the_container_with_a_code(image: Image, death: str, code: int) -> None:
    """The recipe of s6-overlay's README, word for word but for the shell's style."""
    image.script("etc/services.d/web/run", f"sleep 0.1; {death}")
    image.script(
        "etc/services.d/web/finish",
        f'[ "$1" -eq 256 ] && e=$((128 + $2)) || e=$1\necho "$e" >{RESULTS}\n{HALT}\necho halted',
    )
    image.script("etc/cont-finish.d/01", "echo finished")
    outcome = image.start().end()
    assert (outcome.code, outcome.err) == (code, "")
    assert outcome.out == "halted\nfinished\n"


def test_a_cmd_does_not_change_the_code_of_a_halt(image: Image) -> None:
    image.script("etc/services.d/web/run", f"sleep 0.1; echo 9 >{RESULTS}; {HALT}; {FOREVER}")
    assert image.start("sleep", "infinity").end().code == 9


def test_finish_code_counts_when_the_engine_stops_the_container(image: Image) -> None:
    image.script("etc/services.d/web/run", "trap 'exit 6' TERM; echo up; sleep 30 & wait")
    image.script("etc/services.d/web/finish", f'echo "$1" >{RESULTS}')
    container = image.start()
    container.wait_for("up\n")
    assert container.end(send=SIGTERM).code == 6


def test_a_code_that_is_no_number_is_an_error(image: Image) -> None:
    outcome = image.start("sh", "-c", f"echo oops >{RESULTS}; {HALT}; {FOREVER}").end()
    assert outcome.code == 111
    assert "not an exit code: 'oops'" in outcome.err


def test_zombies_are_reaped(image: Image) -> None:
    """Fifty orphans die in process 1's care; none may stay as a zombie."""
    image.script("orphan", "(sleep 0.05 &) ")
    image.script(
        "cmd",
        "for i in $(seq 50); do /orphan; done\n"
        "while cat /proc/[0-9]*/cmdline 2>/dev/null | grep -aq '[o]rphan\\|[0]\\.05'; do sleep 0.01; done\n"
        "for i in $(seq 100); do\n"
        "    zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c ^Z)\n"
        '    [ "$zombies" -gt 0 ] || break; sleep 0.05\n'
        "done\n"
        "echo $zombies",
    )
    assert image.start("/cmd").end().out == "0\n"


def test_streams_pass_through_and_cmd_alone_reads(image: Image) -> None:
    image.script("etc/cont-init.d/01", "cat; echo init; echo init-error >&2")
    image.script("etc/services.d/web/run", f"cat; echo service; echo error >&2; : >/run/s6/up; {FOREVER}")
    outcome = image.start("sh", "-c", f"{UNTIL_UP}; cat", options=Options(stdin=b"typed\n")).end()
    assert outcome.out == "init\nservice\ntyped\n"
    assert outcome.err == "init-error\nerror\n"


def test_a_logger_gets_every_line_up_to_the_last(image: Image) -> None:
    run = "trap 'echo last; exit 0' TERM; echo first; sleep 30 >/dev/null & wait"
    image.script("etc/services.d/web/run", run)
    image.script("etc/services.d/web/finish", "echo finish")
    image.script("etc/services.d/web/log/run", 'while read -r l; do echo "log: $l"; done')
    container = image.start()
    container.wait_for("log: first\n")
    outcome = container.end(send=SIGTERM)
    assert (outcome.code, outcome.out) == (0, "log: first\nlog: last\nlog: finish\n")
