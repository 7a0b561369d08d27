"""Containers without an engine: an image's layers composed with overlayfs, in namespaces, as an engine would do it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from builder import unpacked
from builder.built import Image, User
from builder.errors import StackbuildError
from builder.runtimes import HOSTNAME, Container, Start, Starter, watched
from builder.sandbox import Command, Root, run_beside, signalled, started
from builder.sandbox_child.start import Running


@contextmanager
def ready(image: Image) -> Iterator[Starter]:
    """The image needs to be nowhere but in the store."""
    yield partial(container, image)


class Sandboxed:
    """A container of the sandbox's; `user` and `env` are what it was started with."""

    def __init__(self, running: Running, log: Path, command: Command) -> None:
        self._running = running
        self._log = log
        self._command = command

    @property
    def pid(self) -> int:
        return self._running.pid

    def exit_code(self) -> int:
        return self._running.process.wait()

    def signal(self, number: int) -> None:
        signalled(self._running, number)

    def output(self) -> bytes:
        return self._log.read_bytes()

    def run(self, argv: tuple[str, ...], user: User | None, env: Mapping[str, str]) -> tuple[int, bytes]:
        own = self._command
        who = user or User(uid=own.uid, gid=own.gid, groups=own.groups)
        command = Command(
            argv=argv,
            env={**own.env, **env},
            cwd=own.cwd,
            uid=who.uid,
            gid=who.gid,
            groups=who.groups,
            as_init=True,
            no_new_privs=own.no_new_privs,
        )
        return run_beside(self.pid, command)


_HOSTS = f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost ip6-localhost ip6-loopback\n"
"""What engines write for each container: without it, who asks for `localhost`, as Spark does, gets no answer."""


@contextmanager
def container(image: Image, start: Start, *, quiet: bool = True) -> Iterator[Container]:
    """Start an image; at the end of the block it is killed, and what it wrote is gone, volumes excepted.

    Once it runs, it needs nothing of the store but the unpacked layers, which it holds.

    Args:
        quiet: its output goes to the container's log only; otherwise to ours, and input is ours too.
    """
    user = start.user or image.user()
    argv = start.argv
    if argv is None:
        argv = (*(image.config.get("Entrypoint") or ()), *(image.config.get("Cmd") or ()))
    if not argv:
        raise StackbuildError("the image has no entry point", next_step="give a command")
    folders = image.folders()
    with unpacked.held(folders), image.store.workspace() as workspace:
        (workspace / "mount").mkdir()
        (workspace / "hosts").write_text(_HOSTS)
        command = Command(
            argv=tuple(argv),
            env={"HOSTNAME": HOSTNAME, **image.env(start.user), **start.env},
            cwd=str(image.config.get("WorkingDir") or "/"),
            uid=user.uid,
            gid=user.gid,
            groups=user.groups,
            hostname=HOSTNAME,
            network=start.network,
            as_init=True,
            no_new_privs=start.no_new_privs,
            tmpfs=(),
            binds=(
                (str(workspace / "hosts"), "/etc/hosts", False),
                *((str(host), path, False) for host, path in start.volumes),
            ),
        )
        log = workspace / "log"
        log.touch()
        root = Root(workspace=workspace / "mount", lowers=tuple(reversed(folders)))
        with ExitStack() as opened:
            if quiet:
                output = opened.enter_context(log.open("ab"))
                running = opened.enter_context(started(root, command, stdout=output, stderr=output))
            else:
                running = opened.enter_context(started(root, command, stdin=None))
            yield opened.enter_context(watched(Sandboxed(running, log, command)))
