"""The sandbox, from inside: what foreign code finds there, and what it cannot reach."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.sandbox import ENVIRONMENT, Command, Root, run, started
from builder.scan import scan
from tests.tools import Host


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def _word(number: int) -> str:
    """A number of seconds to sleep that no other run of these tests sleeps for."""
    return f"3141.{os.getpid()}{number:02}"


def _alive(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _gone(word: str) -> bool:
    """Whether no process with that argument is left, after a moment for the kernel."""
    return _becomes(lambda: not _alive(word))


def _becomes(true: Callable[[], bool]) -> bool:
    """Whether something is so within a minute."""
    end = time.monotonic() + 60
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("no-such-program", 127), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_exit_codes(script: str, code: int, host: Host, folder: Path) -> None:
    assert host.shell(script, folder)[0] == code


def test_program_that_is_not_there(host: Host, folder: Path) -> None:
    folder.mkdir()
    command = Command(argv=("/no/such",), binds=host.binds)
    log = folder.parent / "log"
    assert run(Root(workspace=folder, lowers=(host.lower,)), command, log=log) == 127
    assert "cannot execute /no/such" in log.read_text()


def test_no_network(host: Host, folder: Path) -> None:
    code, said = host.shell("sed 1,2d /proc/net/dev | cut -d: -f1; sed 1d /proc/net/route", folder)
    assert (code, said.split()) == (0, ["lo"])


def test_nothing_of_the_host_is_visible(host: Host, folder: Path) -> None:
    code, said = host.shell("ls / /run /tmp; cut -d' ' -f5 /proc/self/mountinfo | grep -v '^/dev'", folder)
    assert code == 0
    top, _, rest = said.partition("/run:")
    assert set(top.split()) - {"/:"} <= {"bin", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "tmp", "usr"}
    mounts = {line for line in rest.splitlines() if line.startswith("/") and not line.endswith(":")}
    assert {one for one in mounts if not one.startswith("/proc/")} == {"/", "/proc", "/run", "/tmp", "/usr"}


def test_host_paths_are_not_told(host: Host, folder: Path) -> None:
    code, said = host.shell("cat /proc/self/mountinfo", folder)
    assert code == 0
    assert str(folder.parent) not in said


def test_ids_are_mapped_onto_themselves(host: Host, folder: Path) -> None:
    code, said = host.shell("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; id -G", folder)
    assert (code, said.split()) == (0, ["0", "0", "65536", "0", "0", "65536", "0", "0", "0"])


def test_environment_is_fixed(host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    folder.mkdir()
    log = folder.parent / "log"
    command = Command(argv=("/usr/bin/env",), binds=host.binds)
    assert run(Root(workspace=folder, lowers=(host.lower,)), command, log=log) == 0
    assert dict(line.split("=", 1) for line in log.read_text().splitlines()) == dict(ENVIRONMENT)


@pytest.mark.parametrize(
    "program",
    [
        """perl -e 'my %found = map { $_ => 1 } 1..99; print join(" ", keys %found), "\\n"'""",
        "python3 -c 'print({str(one) for one in range(99)})'",
    ],
)
def test_hashes_have_one_order(program: str, host: Host, folder: Path) -> None:
    """Both languages draw another one for each process: fmtutil, in Perl, made TeX's formats in that order."""
    code, said = host.shell("; ".join([program] * 3), folder)
    assert code == 0
    first, second, third = said.splitlines()
    assert len(first) > 99
    assert first == second == third


def test_host_environment_is_not_in_proc(host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 1 inherited the host's whole environment, and /proc/1/environ showed it: tokens, proxies, passwords."""
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    folder.mkdir()
    log = folder.parent / "log"
    command = Command(argv=("/bin/sh", "-c", "cat /proc/*/environ; id -u"), binds=host.binds)
    run(Root(workspace=folder, lowers=(host.lower,)), command, log=log)
    assert "hunter2" not in log.read_text(errors="replace")
    with started(Root(workspace=_fresh(folder), lowers=(host.lower,)), _sleep(host, _word(1))) as running:
        assert b"hunter2" not in Path(f"/proc/{running.pid}/environ").read_bytes()


def _fresh(folder: Path) -> Path:
    made = folder.with_name(folder.name + "-2")
    made.mkdir()
    return made


def _sleep(host: Host, word: str) -> Command:
    return Command(argv=("/bin/sleep", word), binds=host.binds)


def test_host_name_umask_and_time_zone(host: Host, folder: Path) -> None:
    old = os.umask(0o077)
    try:
        code, said = host.shell("uname -n; umask; date +%Z", folder)
    finally:
        os.umask(old)
    assert (code, said.split()) == (0, ["stackbuild", "0022", "UTC"])


def test_umask_of_the_host_is_not_the_root_mode(host: Host, folder: Path) -> None:
    """Under umask 077 the root folder was 0700, so that no other user could do anything in the root."""
    old = os.umask(0o077)
    try:
        folder.mkdir()
        command = Command(argv=("/bin/ls", "/", "/usr/bin/env"), binds=host.binds, uid=1000, gid=1000)
        code = run(Root(workspace=folder, lowers=(host.lower,)), command)
    finally:
        os.umask(old)
    assert code == 0


@pytest.mark.parametrize(
    "script",
    [
        "mknod /tmp/disk b 254 0",
        "mknod /tmp/memory c 1 1",
        "mount -t tmpfs none /mnt",
        "mount --bind / /tmp",
        "umount /proc/sys",
        "chroot /proc/1/root true && cat /proc/1/environ",
        "echo x > /usr/evil",
        "date -s 2001-01-01",
        "hostname evil",
    ],
)
def test_root_in_there_may_not(script: str, host: Host, folder: Path) -> None:
    code, said = host.shell(f"{script} || exit 42", folder)
    assert code == 42, said


def test_kernel_settings_of_the_host_cannot_be_written(host: Host, folder: Path) -> None:
    """Ids map onto themselves, and the kernel lets the host's uid 0 write /proc/sys without any capability: a package
    script could have set core_pattern, and with it run a program of its own as root on the host."""
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    script = """
        for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger; do
            test -e $path || continue
            if ( : > $path ) 2> /dev/null; then echo "open: $path"; fi
        done
        unshare --user --map-root-user --mount sh -c '
            umount /proc/sys; mount -o remount,rw,bind /proc/sys; mount -t proc proc /tmp; ls /tmp
            ( : > /proc/sys/kernel/core_pattern ) && echo "open: after all"
        '
        true
    """
    code, said = host.shell(script, folder)
    assert code == 0
    assert "open:" not in said
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_capabilities_are_those_of_a_container(host: Host, folder: Path) -> None:
    code, said = host.shell("grep -E 'Cap(Eff|Bnd)' /proc/self/status | cut -f2", folder)
    assert (code, said.split()) == (0, ["00000000a80425fb"] * 2)


def test_package_scripts_may_own_and_change_files(host: Host, folder: Path) -> None:
    script = "cd /etc; touch a; chown 1234:4321 a; chmod 6755 a; stat -c '%u:%g %a' a; mknod fifo p"
    assert host.shell(script, folder) == (0, "1234:4321 6755\n")


def test_other_user(host: Host, folder: Path) -> None:
    folder.mkdir()
    log = folder.parent / "log"
    command = Command(
        argv=("/bin/sh", "-c", "id -u; id -g; id -G; grep NoNewPrivs /proc/self/status"), binds=host.binds
    )
    command = replace(command, uid=1000, gid=100, groups=(100, 500), no_new_privs=True, as_init=True)
    assert run(Root(workspace=folder, lowers=(host.lower,)), command, log=log) == 0
    assert log.read_text().split() == ["1000", "100", "100", "500", "NoNewPrivs:", "1"]


def test_input_is_passed(host: Host, folder: Path) -> None:
    folder.mkdir()
    root, command = Root(workspace=folder, lowers=(host.lower,)), Command(argv=("/bin/cat",), binds=host.binds)
    with started(root, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        said, _ = running.process.communicate(b"hello" * 1000)
    assert said == b"hello" * 1000


def test_missing_layer_is_a_clear_error(host: Host, folder: Path) -> None:
    folder.mkdir()
    with pytest.raises(StackbuildError, match="the sandbox could not be made") as caught:
        run(Root(workspace=folder, lowers=(folder / "nowhere",)), Command(argv=("/bin/true",)))
    assert "overlay" in caught.value.got


def test_missing_bind_is_a_clear_error(host: Host, folder: Path) -> None:
    folder.mkdir()
    command = Command(argv=("/bin/true",), binds=(*host.binds, (str(folder / "nowhere"), "mnt/x", True)))
    with pytest.raises(StackbuildError, match="the sandbox could not be made") as caught:
        run(Root(workspace=folder, lowers=(host.lower,)), command)
    assert "nowhere" in caught.value.got


@pytest.mark.parametrize("name", ["proc", "dev", "run", "tmp", "mnt"])
def test_mount_point_through_a_link_of_the_image(name: str, host: Host, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "layer" / name).symlink_to(tmp_path / "outside")
    folder.mkdir()
    command = Command(argv=("/bin/true",), binds=(*host.binds, (str(tmp_path), "mnt/x", True)))
    with pytest.raises(StackbuildError, match="the sandbox could not be made") as caught:
        run(Root(workspace=folder, lowers=(tmp_path / "layer", host.lower)), command)
    assert "leads through a link in the image" in caught.value.got
    assert list((tmp_path / "outside").iterdir()) == []


def test_orphans_end_with_the_command(host: Host, folder: Path) -> None:
    word = _word(21)
    assert host.shell(f"setsid sleep {word} & sleep {word} & exit 0", folder)[0] == 0
    assert _gone(word)


def test_what_runs_is_killed_at_the_end_of_the_block(host: Host, folder: Path) -> None:
    """Only the parent of process 1 was killed: the command went on, without anybody to wait for it."""
    folder.mkdir()
    word = _word(22)
    with started(Root(workspace=folder, lowers=(host.lower,)), _sleep(host, word)) as running:
        assert _becomes(lambda: bool(_alive(word)))
        assert Path(f"/proc/{running.pid}").exists()
    assert not _alive(word)


@pytest.mark.parametrize("init", [False, True])
def test_kill_9_of_stackbuild_ends_its_sandbox(init: bool, host: Host, folder: Path) -> None:
    """Package scripts of a killed build went on in the background, in a folder that the next build sweeps away."""
    folder.mkdir()
    word = _word(30 + init)
    program = (
        "import sys; from pathlib import Path; from builder.sandbox import *\n"
        f"command = Command(argv=('/bin/sleep', {word!r}), binds={host.binds!r}, as_init={init}, uid={1000 * init})\n"
        f"run(Root(workspace=Path({str(folder)!r}), lowers=(Path({str(host.lower)!r}),)), command)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen([sys.executable, "-c", program], env=environ) as process:
        _becomes(lambda: bool(_alive(word)) or process.poll() is not None)
        assert _alive(word)
        process.send_signal(signal.SIGKILL)
    assert _gone(word)


def test_strange_store_path(host: Host, tmp_path: Path) -> None:
    """Commas and colons part the options of an overlay mount; such a folder could not hold a store."""
    folder = tmp_path / "a,b:c\\d e"
    upper = tmp_path / "up,per:x"
    upper.mkdir()
    assert host.shell("echo 1 > /etc/new", folder, upper=upper)[0] == 0
    assert (upper / "etc/new").read_text() == "1\n"


def test_deletions_become_whiteouts(host: Host, folder: Path, tmp_path: Path) -> None:
    layer, upper = tmp_path / "layer", tmp_path / "upper"
    for name in ("d/gone", "d/stays", "whole/x", "again/old"):
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).write_text(name)
    upper.mkdir()
    folder.mkdir()
    script = "rm /d/gone; rm -r /whole; rm -r /again; mkdir /again; echo new > /again/new"
    command = Command(argv=("/bin/sh", "-c", script), binds=host.binds)
    assert run(Root(workspace=folder, lowers=(layer, host.lower), upper=upper), command) == 0
    skipped = frozenset({"dev", "proc", "run", "tmp", "usr"})
    found = {(entry.path, entry.kind) for entry in scan(str(upper), {}, skipped)}
    assert found == {
        ("d", "dir"),
        ("d/gone", "whiteout"),
        ("whole", "whiteout"),
        ("again", "dir"),
        ("again/.wh..opq", "whiteout"),
        ("again/new", "file"),
    }
