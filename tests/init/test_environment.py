"""What scripts and services see: /command/with-contenv and /run/s6/container_environment."""

import pytest

from .container import RANDOM, Image, Options

FOREVER = "exec sleep infinity"
VALUES = {
    "PLAIN": "value",
    "EMPTY": "",
    "SPACED": "  two  words  ",
    "QUOTED": """it's "$HOME" `id` \\n %s""",
    "LINES": "first\nEXPORTED=not a variable\n\nlast",
    "TRAILING": "line\n\n",
    "spark.master": "local[*]",
    "UTF8": "größe",
    "LONG": "x" * 131000,
}
DUMP = ("/command/with-contenv", "cat", "/proc/self/environ")  # a shell would drop odd names


def parsed(dump: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in dump.split("\0") if entry)


def test_with_contenv_gives_every_value_whole(image: Image) -> None:
    outcome = image.start(*DUMP, env=VALUES).end()
    seen = parsed(outcome.out)
    assert {name: seen.get(name) for name in VALUES} == VALUES
    assert outcome.err == ""


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_with_contenv_is_an_interpreter(image: Image, shell: str) -> None:
    body = f'echo "$A" "$0" "$(readlink /proc/$$/exe)"; {FOREVER}'
    image.script("etc/services.d/web/run", body, shebang=f"/command/with-contenv {shell}")
    container = image.start(env={"A": "one\ntwo"})
    container.wait_for("one\ntwo ./run /usr/bin/" + {"sh": "dash", "bash": "bash"}[shell])


def test_with_contenv_drops_what_the_caller_has(image: Image) -> None:
    container = image.start("sh", "-c", "echo up; exec sleep infinity", env={"A": "container"})
    container.wait_for("up\n")
    seen = parsed(container.execute("env", "A=caller", "B=caller", *DUMP))
    assert (seen.get("A"), seen.get("B")) == ("container", None)


def test_with_contenv_looks_a_program_up_along_the_containers_path(image: Image) -> None:
    image.script("opt/venv/bin/tool", "echo container")
    image.script("opt/other/tool", "echo caller")
    path = {"PATH": "/opt/venv/bin:/usr/bin:/bin"}
    container = image.start("sh", "-c", "echo up; exec sleep infinity", env=path)
    container.wait_for("up\n")
    seen = container.execute("env", "PATH=/opt/other:/usr/bin", "/command/with-contenv", "tool")
    assert seen == "container\n"


def test_without_it_nothing_but_path_is_seen(image: Image) -> None:
    """A service that does not ask for the environment has no secret to leak."""
    image.script("etc/cont-init.d/01", "echo init; env; echo")
    image.script("etc/services.d/web/run", f"echo service; env; echo up; {FOREVER}")
    container = image.start(env={"SECRET": "s3cr3t", "S6_X": "1"})
    container.wait_for("up\n")
    names = {line.split("=")[0] for line in container.out.splitlines() if "=" in line}
    assert names <= {"PATH", "PWD", "SHLVL", "OLDPWD", "_"}


def test_a_start_script_may_change_it(image: Image) -> None:
    folder = "/run/s6/container_environment"
    image.script("etc/cont-init.d/01", f"printf new >{folder}/A; rm {folder}/B")
    image.script(
        "etc/services.d/web/run",
        f'echo "$A ${{B-gone}}"; {FOREVER}',
        shebang="/command/with-contenv sh",
    )
    image.start(env={"A": "old", "B": "old"}).wait_for("new gone\n")


def test_path_keeps_the_images_order_and_finds_the_tools(image: Image) -> None:
    outcome = image.start("sh", "-c", "echo $PATH; which with-contenv s6-svc", env={"PATH": "/opt/venv/bin:/bin"}).end()
    assert outcome.out.split() == [
        "/opt/venv/bin:/bin:/command:/usr/bin",
        "/command/with-contenv",
        "/bin/s6-svc",
    ]


def test_no_path_at_all(image: Image) -> None:
    entrypoint = ("/usr/bin/env", "-u", "PATH", "/init")
    outcome = image.start("sh", "-c", "which with-contenv s6-svc", options=Options(entrypoint=entrypoint)).end()
    assert outcome.out.split() == ["/command/with-contenv", "/usr/bin/s6-svc"]


def test_execline_scripts_find_their_tools(image: Image) -> None:
    image.script(
        "etc/services.d/web/run",
        "importas A A\nforeground { echo $A }\nsleep infinity",
        shebang="/command/with-contenv execlineb",
    )
    image.start(env={"A": "one two"}, user=RANDOM).wait_for("one two\n")
