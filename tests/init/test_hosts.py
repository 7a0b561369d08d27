"""Whom and what /init runs on: uids, umasks, a second start, and a /run that will not do."""

import stat
from signal import SIGTERM

import pytest

from .container import JOVYAN, RANDOM, ROOT, UNTIL_UP, Identity, Image, Options

EVERYONE = pytest.mark.parametrize("user", [ROOT, JOVYAN, RANDOM], ids=lambda user: user.name)


def life(image: Image) -> None:
    """An image that does all there is to do once."""
    image.script("etc/cont-init.d/01", 'echo "init $(id -u) $(id -g)"')
    image.script(
        "etc/services.d/web/run",
        'trap "echo term; exit 4" TERM; echo "run $A"; : >/run/s6/up; sleep 30 & wait',
        shebang="/command/with-contenv bash",
    )
    image.script("etc/services.d/web/finish", 'echo "finish $1"')
    image.script("etc/cont-finish.d/01", "echo finished")


@EVERYONE
@pytest.mark.parametrize("umask", ["0002", "0022", "0077"])
def test_a_whole_life_and_another_one(image: Image, user: Identity, umask: str) -> None:
    life(image)
    cmd = ("sh", "-c", f"{UNTIL_UP}; umask; exit 3")
    for value in ("one", "two"):
        outcome = image.start(*cmd, user=user, options=Options(umask=umask), env={"A": value}).end()
        assert outcome.out.splitlines() == [
            f"init {user.uid} 0",
            f"run {value}",
            umask,
            "term",
            "finish 4",
            "finished",
        ]
        assert (outcome.code, outcome.err) == (3, "")


@EVERYONE
def test_a_start_after_a_death_without_a_way_out(image: Image, user: Identity) -> None:
    """The engine's KILL, or the node's: stale pipes and locks are all that is left of it."""
    image.script("etc/services.d/web/run", "echo up; exec sleep infinity")
    image.script("etc/services.d/gone/run", "exec sleep infinity")
    first = image.start(user=user, env={"OLD": "1"})
    first.wait_for("up\n")
    first.kill()
    (image.folder("etc/services.d/gone") / "run").unlink()
    (image.folder("etc/services.d") / "gone").rmdir()
    second = image.start(user=user)
    second.wait_for("up\n")
    assert second.end(send=SIGTERM).code == 0
    assert not (image.run / "service/gone").exists()
    assert not (image.run / "s6/container_environment/OLD").exists()


def test_other_files_below_run_are_left_alone(image: Image) -> None:
    (image.run / "secrets").mkdir()
    (image.run / "secrets/token").write_text("t")
    assert image.start("true", user=ROOT).end().code == 0
    assert (image.run / "secrets/token").read_text() == "t"
    assert stat.S_IMODE(image.run.stat().st_mode) == 0o775


@pytest.mark.parametrize("user", [JOVYAN, RANDOM], ids=lambda user: user.name)
def test_a_run_that_is_not_writable_is_named(image: Image, user: Identity) -> None:
    image.run.chmod(0o755)
    outcome = image.start("echo", "never", user=user).end()
    assert (outcome.code, outcome.out) == (111, "")
    lines = outcome.err.splitlines()
    assert lines[0] == f"init: fatal: /run is not writable for uid {user.uid}, gid 0"
    assert lines[1].startswith("  got: drwxr-xr-x")
    assert lines[2].startswith("  next: ")


def test_a_read_only_run_is_named_even_to_root(image: Image) -> None:
    outcome = image.start("echo", "never", user=ROOT, options=Options(run_mount="ro")).end()
    assert (outcome.code, outcome.out) == (111, "")
    assert outcome.err.startswith("init: fatal: /run is not writable for uid 0, gid 0\n")


def test_a_run_mounted_noexec_is_named(image: Image) -> None:
    outcome = image.start("echo", "never", options=Options(run_mount="noexec")).end()
    assert (outcome.code, outcome.out) == (111, "")
    assert outcome.err.startswith("init: fatal: /run is mounted noexec")


def test_the_remains_of_another_uid_are_named(image: Image) -> None:
    assert image.start("true", user=ROOT).end().code == 0
    outcome = image.start("echo", "never", user=RANDOM).end()
    assert (outcome.code, outcome.out) == (111, "")
    assert outcome.err.startswith("init: fatal: cannot remove /run/s6\n  got: drwxr-xr-x")


def test_it_must_be_process_1(image: Image) -> None:
    outcome = image.start(options=Options(entrypoint=("/bin/sh", "-c", "/init; exit $?"))).end()
    assert outcome.code == 111
    assert outcome.err.startswith("init: fatal: must be process 1, is process ")


def test_no_capability_or_setuid_file_is_needed(image: Image) -> None:
    """Nothing of ours is setuid; the files are the overlay's, not Debian's."""
    outcome = image.start("find", "/init", "/command", "/usr/libexec/s6-init", "-perm", "/6000").end()
    assert (outcome.code, outcome.out) == (0, "")
