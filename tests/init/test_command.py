"""CMD: its environment, folder and input, and its end as the container's."""

import pytest

from .container import UNTIL_UP, Image, Options

STOPPABLE = "trap 'echo stopped; exit' TERM; : >/run/s6/up; sleep 30 & wait"


@pytest.mark.parametrize(
    ("body", "code"),
    [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_its_end_is_the_containers(image: Image, body: str, code: int) -> None:
    image.script("etc/services.d/web/run", STOPPABLE)
    image.script("etc/cont-finish.d/01", "echo finished")
    outcome = image.start("sh", "-c", f"{UNTIL_UP}; {body}").end()
    assert (outcome.code, outcome.out) == (code, "stopped\nfinished\n")


def test_one_that_does_not_exist(image: Image) -> None:
    outcome = image.start("/no/such/program").end()
    assert outcome.code == 127
    assert "/no/such/program" in outcome.err


def test_one_that_may_not_be_run(image: Image) -> None:
    image.file("data", "")
    assert image.start("/data").end().code == 126


def test_its_arguments_arrive_as_they_are(image: Image) -> None:
    arguments = ("two words", "", "$HOME", "{ }", " leading", "-x", "a\nb", "*")
    image.script("show", 'printf "<%s>" "$@"')
    outcome = image.start("/show", *arguments).end()
    assert outcome.out == "".join(f"<{argument}>" for argument in arguments)


def test_it_runs_in_the_working_folder_with_the_environment(image: Image) -> None:
    image.folder("srv/some where")
    outcome = image.start("sh", "-c", 'pwd; echo "$A"', env={"A": "1"}, options=Options(workdir="/srv/some where"))
    assert outcome.end().out == "/srv/some where\n1\n"
