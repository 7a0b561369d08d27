"""What every runtime promises, asked of each in real containers."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from builder import runtimes
from builder.built import ROOT, Image, User
from builder.errors import StackbuildError
from builder.processes import give_address
from builder.runtimes import Container, Start, Starter, named, volume
from tests.runtimes.conftest import RUNTIMES

STRANGER = User(uid=54321, gid=0)
ASLEEP = ("/bin/sleep", "60")
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200 if self.path == "/right" else 404)
        self.send_header("X-Method", self.command)
        self.end_headers()
        self.wfile.write(b"got " + body)
    do_GET = do_PUT = answer
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", 8888), Handler).serve_forever()
"""
DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"


def sh(script: str, **more: object) -> Start:
    return Start(argv=("/bin/sh", "-c", script), **more)  # type: ignore[arg-type]


def said(container: Starter, start: Start) -> str:
    with container(start) as running:
        assert running.wait(60) == 0, running.output()
        return running.output()


def until(running: Container, words: str) -> None:
    for _ in range(3000):
        if words in running.output():
            return
        time.sleep(0.01)
    raise AssertionError(f"{words!r} was never said: {running.output()}")


def test_names() -> None:
    assert runtimes.names() == RUNTIMES
    with pytest.raises(StackbuildError, match="unknown runtime: podman"):
        named("podman")


# Who, where and with what ---------------------------------------------------------------------------------------


def test_the_images_own_user_environment_and_folder(container: Starter) -> None:
    lines = said(container, sh("id -u; id -g; id -G; pwd; umask; echo $HOME $FROM_IMAGE $HOSTNAME; cat /proc/1/comm"))
    assert lines.splitlines() == ["1000", "0", "0 100", "/work", "0022", "/home/somebody yes notebook", "sh"]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (STRANGER, "54321:0:0:/"),
        (ROOT, "0:0:0:/root"),
        (User(uid=1000, gid=100, groups=(7, 9)), "1000:100:100 7 9:/home/somebody"),
    ],
)
def test_another_user(container: Starter, user: User, words: str) -> None:
    """Its groups are those that were given and no others; HOME is what the image's passwd says."""
    assert said(container, sh('echo "$(id -u):$(id -g):$(id -G):$HOME"', user=user)).strip() == words


def test_variables_are_added_and_replace_the_images(container: Starter) -> None:
    env = {"FROM_IMAGE": "no", "MORE": "two\nlines =", "HOME": "/elsewhere"}
    assert said(container, sh('echo "$FROM_IMAGE $MORE $HOME"', env=env)) == "no two\nlines = /elsewhere\n"


def test_the_images_entry_point_and_command(container: Starter) -> None:
    with container(Start()) as running:
        until(running, "entry point and command\n")


def test_a_program_takes_the_place_of_entry_point_and_command(container: Starter) -> None:
    assert said(container, Start(argv=("/bin/sh", "-c", "echo $0 $1", "a", "b"))) == "a b\n"
    assert said(container, Start(argv=("/usr/bin/true",))) == ""


@pytest.mark.parametrize("on", [True, False])
def test_no_new_privileges(container: Starter, on: bool) -> None:
    start = Start(argv=ASLEEP, no_new_privs=on)
    with container(start) as running:
        (one,) = running.processes("sleep")
        assert one.no_new_privs is on
        code, text = running.run("/bin/sh", "-c", "cat /proc/self/status")
        assert (code, f"NoNewPrivs:\t{int(on)}\n" in text) == (0, True)


def test_root_has_the_capabilities_that_engines_leave(container: Starter) -> None:
    """No CAP_SYS_ADMIN: nobody mounts."""
    status = said(container, Start(argv=("cat", "/proc/self/status"), user=ROOT))
    assert "\nCapBnd:\t00000000a80425fb\n" in status


# Volumes ---------------------------------------------------------------------------------------------------------


def test_a_volume_is_the_users_own_and_what_is_written_is_seen(container: Starter, image: Image) -> None:
    with volume(image.store, STRANGER) as home:
        (home / "there").write_text("before\n")
        script = "cd /home/somebody && cat there && echo after >new"
        assert said(container, sh(script, user=STRANGER, volumes=((home, "/home/somebody"),))) == "before\n"
        info = (home / "new").stat()
        assert ((home / "new").read_text(), info.st_uid, info.st_gid) == ("after\n", 54321, 0)
    assert not home.exists()


def test_what_a_container_wrote_elsewhere_is_gone_with_it(container: Starter) -> None:
    start = sh("cat /tmp/mine; echo x >/tmp/mine; echo $?")
    for _ in range(2):
        with container(start) as running:
            running.wait(60)
            assert "0" in running.output().splitlines()  # Where among the lines, no runtime promises.
            assert "x\n" not in running.output()


# The network ------------------------------------------------------------------------------------------------------


def test_a_container_can_be_given_an_address(container: Starter) -> None:
    """Of an interface that is no loopback, as some packages want one when they are imported; it leads nowhere."""
    script = """
import socket
print("net0" in [name for _, name in socket.if_nameindex()], socket.create_server(("192.0.2.1", 0)).getsockname()[0])
"""
    with container(Start(argv=("/bin/sleep", "1000"))) as running:
        give_address(running.pid, "192.0.2.1")
        assert running.run("python3", "-c", script) == (0, "True 192.0.2.1\n")


def test_there_is_a_loopback_and_no_other_network(container: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"""
import socket
print(sorted(name for _, name in socket.if_nameindex() if not name.startswith(("tunl", "sit", "ip", "gre", "erspan"))))
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
except OSError as error:
    print(type(error).__name__)
try:
    socket.create_connection(("192.0.2.1", 80), 2)
except OSError as error:
    print(error.strerror)
"""
        lines = said(container, Start(argv=("python3", "-c", script))).splitlines()
    assert lines == ["['lo']", "ConnectionRefusedError", "Network is unreachable"]


def test_the_hosts_network_if_asked_for(container: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        assert said(container, Start(argv=("python3", "-c", script), network=True)) == ""


def test_requests_from_inside(container: Starter) -> None:
    with container(Start(argv=("python3", "-c", SERVER), user=STRANGER)) as running:
        assert running.wait_for(8888, "/right", 60) > 0
        status, headers, body = running.ask(8888, "/wrong", method="PUT", body=b"this")
        assert (status, headers["x-method"], body) == (404, "PUT", b"got this")
        with pytest.raises(ConnectionRefusedError):
            running.connect(8889)
        with pytest.raises(StackbuildError, match="HTTP 404 after"):
            running.wait_for(8888, "/wrong", 0.2)


def test_what_a_container_calls(container: Starter) -> None:
    """A socket of ours listens on the container's loopback, and on no other one."""
    script = 'while [ ! -e /work/port ]; do sleep 0.02; done; exec python3 -c "$CALL"'
    call = (
        "import socket; s = socket.create_connection(('127.0.0.1', int(open('/work/port').read()))); s.send(b'hello')"
    )
    with container(sh(script, env={"CALL": call}, user=ROOT)) as running, running.listen() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            running.listen(port)
        with socket.create_server(("127.0.0.1", port)):
            (running.root / "work/port").write_text(str(port))
            listener.settimeout(60)
            with listener.accept()[0] as talk:
                assert talk.recv(100) == b"hello"


def test_a_server_that_ends_is_not_waited_for(container: Starter) -> None:
    began = time.monotonic()
    with container(sh("echo last words; exit 3")) as running:
        with pytest.raises(StackbuildError, match="exit code 3") as caught:
            running.wait_for(8888, "/", 60)
        assert "last words" in str(caught.value)
    assert time.monotonic() - began < 50


# Looking in ------------------------------------------------------------------------------------------------------


def test_another_program_in_it(container: Starter) -> None:
    with container(Start(argv=ASLEEP, user=STRANGER, env={"A": "1"})) as running:
        code, text = running.run(
            "/bin/sh", "-c", "id -u; pwd; echo $A$B$FROM_IMAGE; echo e >&2; exit 4", env={"B": "2"}
        )
        assert (code, sorted(text.splitlines())) == (4, ["/work", "12yes", "54321", "e"])
        assert running.run("id", "-u", user=ROOT) == (0, "0\n")
        assert running.run("id", "-u", user=User(uid=1000, gid=100)) == (0, "1000\n")
        (running.root / "tmp/mine").write_text("seen\n")
        assert running.run("cat", "/tmp/mine") == (0, "seen\n")
        code, text = running.run("/nowhere")
        assert code in {126, 127}
        assert "/nowhere" in text
        assert running.output() == "", "what it writes is not the container's output"


def test_processes(container: Starter) -> None:
    """Of this container and of no other one, with who they are."""
    start = sh("sleep 61 & exec sleep 62", user=User(uid=1000, gid=100, groups=(7,)), env={"A": "1"})
    with container(start) as running, container(start):
        while len(found := running.processes("sleep\0" + "6")) != 2:
            time.sleep(0.01)
        first = next(one for one in found if one.argv[1] == "62")
        assert (first.pid, first.uid, first.gid, first.env["A"]) == (running.pid, 1000, 100, "1")
        assert set(first.groups) - {100} == {7}
        assert next(one for one in found if one is not first).parent == running.pid
        assert {one.pid for one in found} <= {one.pid for one in running.processes()}


def test_files(container: Starter, tmp_path: Path) -> None:
    """Links are the container's own, whatever lies at that path on the host."""
    (tmp_path / "secret").write_text("host")
    with container(Start(argv=ASLEEP)) as running:
        (running.root / "tmp/link").symlink_to(tmp_path / "secret")
        (running.root / "tmp/own").symlink_to("/etc/group")
        files = running.files
        assert (files.read("/etc/group") or b"").startswith(b"root:x:0:\n")
        assert files.exists("/tmp/link")
        assert files.read("/tmp/link") is None
        assert {"link", "own"} <= set(files.names("/tmp"))


# Output and end --------------------------------------------------------------------------------------------------


def test_output_of_both_streams_as_it_comes(container: Starter) -> None:
    """Each in its own order."""
    with container(sh("echo one; echo two >&2; echo three; sleep 60")) as running:
        until(running, "three\n")
        until(running, "two\n")
        lines = running.output().splitlines()
        assert sorted(lines) == ["one", "three", "two"]
        assert lines.index("one") < lines.index("three")
        assert running.said(1) == lines[-1]


def test_long_output_is_whole(container: Starter) -> None:
    script = "import sys; sys.stdout.buffer.write(b'x' * 100_000 + b'\\n\\xff' + 'é'.encode() * 1000)"
    text = said(container, Start(argv=("python3", "-c", script)))
    assert text == "x" * 100_000 + "\n\ufffd" + "é" * 1000


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$; sh -c 'kill -9 $$'", 137)])
def test_exit_codes(container: Starter, script: str, code: int) -> None:
    """Process 1 cannot kill itself; what its child was killed by is 128 and the signal."""
    with container(sh(script)) as running:
        assert running.wait(60) == code
        assert running.wait() == code, "as often as one asks"
        assert running.pid == 0
        with pytest.raises(OSError):
            running.connect(8888)


def test_signals(container: Starter) -> None:
    script = "trap 'echo got USR1' USR1; trap 'echo got TERM; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with container(sh(script)) as running:
        until(running, "ready")
        running.signal(signal.SIGUSR1)
        until(running, "got USR1")
        assert running.stop(60) == 5
        assert running.output().endswith("got TERM\n")
        running.signal(signal.SIGTERM)


def test_who_hears_no_signal_is_killed_in_the_end(container: Starter) -> None:
    with container(sh(DEAF)) as running:
        until(running, "deaf")
        began = time.monotonic()
        assert running.stop(0.5) == 137
        assert time.monotonic() - began >= 0.5


def test_an_end_that_does_not_come(container: Starter) -> None:
    with container(Start(argv=ASLEEP)) as running:
        with pytest.raises(StackbuildError, match="did not end within 0 s"):
            running.wait(0.1)
        threading.Timer(0.3, running.signal, [signal.SIGKILL]).start()
        assert running.wait() == 137


@pytest.mark.parametrize(("path", "codes"), [("/nowhere", {127}), ("no-such-program", {127}), ("/etc/passwd", {126})])
def test_what_cannot_be_executed(container: Starter, path: str, codes: set[int]) -> None:
    """As a container that has ended, with the codes of a shell."""
    with container(Start(argv=(path, "argument"))) as running:
        assert running.wait(60) in codes
        assert path in running.output()
        with pytest.raises(StackbuildError, match="exit code 12"):
            running.wait_for(8888, "/", 5)


class Fault(Exception):
    """Of a contract's own."""


@pytest.mark.parametrize("error", [Fault, KeyboardInterrupt, OSError])
def test_nothing_is_left_after_an_error(container: Starter, image: Image, error: type[BaseException]) -> None:
    """Nor is the error another one afterwards."""
    seen = []
    with (
        pytest.raises(error),
        volume(image.store, ROOT) as folder,
        container(Start(argv=ASLEEP, volumes=((folder, "/mnt"),))) as running,
    ):
        seen.append(running.pid)
        raise error
    assert not os.path.exists(f"/proc/{seen[0]}")
    assert not folder.exists()
