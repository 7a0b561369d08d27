"""Containers of a Docker daemon on this machine, through Docker's own SDK.

The image is brought into the daemon, which keeps it only if it had it before. Every container has a label, by which
what a killed command left behind is found: `docker ps --all --filter label=stackbuild.runtime`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.built import Image, User
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.runtimes import HOSTNAME, Container, Start, Starter, watched
from builder.transports import daemon

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container as Theirs

LABEL = "stackbuild.runtime"
"""Its value is one for all containers of a block of `ready`."""
NAME = "stackbuild/runtime"
_NOTHING_TO_EXECUTE = (126, 127)
_LOG = "64m"
_LOOKS, _OFTEN = 100, 0.05
"""How often a container is looked for before it counts as another machine's, and the seconds between."""


@contextmanager
def ready(image: Image) -> Iterator[Starter]:
    """Bring the image into the daemon; after the block, it and all containers of the block are gone.

    Raises:
        StackbuildError: no daemon answers, or it is another machine's, or it refuses.
    """
    if not daemon.is_local():
        raise StackbuildError(
            "containers of another machine's Docker daemon cannot be looked into",
            got=f"DOCKER_HOST={os.environ['DOCKER_HOST']}",
            expected="a daemon on this machine: unix://…",
            next_step="run this command there, or take --runtime native",
        )
    mine = uuid.uuid4().hex[:12]

    def path_of(digest: Digest) -> Path:
        return image.store.checked(image.store.blob(digest))

    with daemon.loaded(image.result, f"{NAME}:{mine}", path_of) as name:
        client = daemon.client()
        try:
            yield lambda start: _container(client, name, mine, start)
        finally:
            _clear(client, mine)


class _Engine:
    """A container of Docker's."""

    def __init__(self, client: DockerClient, theirs: Theirs, pid: int) -> None:
        self._client = client
        self._theirs = theirs
        self.pid = pid

    def exit_code(self) -> int:
        with daemon.asked("Docker does not say how a container ended"):
            return int(self._theirs.wait()["StatusCode"])

    def signal(self, number: int) -> None:
        from docker.errors import APIError

        with daemon.asked("Docker sends no signal"):
            try:
                self._theirs.kill(number)
            except APIError as error:
                if error.status_code not in {404, 409, 500}:
                    raise

    def output(self) -> bytes:
        with daemon.asked("Docker does not give a container's output"):
            return self._theirs.logs()

    def run(self, argv: tuple[str, ...], user: User | None, env: Mapping[str, str]) -> tuple[int, bytes]:
        with daemon.asked(f"Docker does not run {argv[0]} in a container"):
            api = self._client.api
            one = api.exec_create(self._theirs.id, list(argv), user=_user(user), environment=dict(env))["Id"]
            said: bytes = api.exec_start(one)
            return int(api.exec_inspect(one)["ExitCode"]), said


class _NotExecuted:
    """A container whose program Docker could not execute."""

    pid = 0

    def __init__(self, code: int, said: str) -> None:
        self._code = code
        self._said = said

    def exit_code(self) -> int:
        return self._code

    def signal(self, number: int) -> None:
        pass

    def output(self) -> bytes:
        return self._said.encode()

    def run(self, argv: tuple[str, ...], user: User | None, env: Mapping[str, str]) -> tuple[int, bytes]:
        raise StackbuildError("the container has ended", got=self._said)


@contextmanager
def _container(client: DockerClient, image: str, mine: str, start: Start) -> Iterator[Container]:
    from docker.errors import APIError, NotFound

    name = f"stackbuild-{uuid.uuid4().hex[:12]}"
    try:
        with daemon.asked("Docker makes no container"):
            theirs = client.containers.create(image, name=name, labels={LABEL: mine}, **_settings(start))
        engine: _Engine | _NotExecuted
        with daemon.asked("Docker does not start a container"):
            try:
                theirs.start()
                theirs.reload()
                engine = _Engine(client, theirs, int(theirs.attrs["State"]["Pid"]))
            except APIError as error:
                theirs.reload()
                state = theirs.attrs["State"]
                if state["ExitCode"] not in _NOTHING_TO_EXECUTE:
                    raise
                engine = _NotExecuted(int(state["ExitCode"]), str(state["Error"] or error))
        if engine.pid:
            _seen(engine.pid, theirs)
        with watched(engine) as running:
            yield running
    finally:
        with suppress(NotFound):
            client.api.remove_container(name, v=True, force=True)


def _settings(start: Start) -> dict[str, Any]:
    """Everything is said that a daemon's own configuration could otherwise decide."""
    user = start.user
    found: dict[str, Any] = {
        "environment": dict(start.env),
        "hostname": HOSTNAME,
        "init": False,
        "log_config": {"type": "json-file", "config": {"max-size": _LOG}},
        "mounts": [{"Type": "bind", "Source": str(host), "Target": path} for host, path in start.volumes],
        "network_mode": "host" if start.network else "none",
        "security_opt": [f"no-new-privileges:{str(start.no_new_privs).lower()}"],
        "use_config_proxy": False,
    }
    if start.network:
        del found["hostname"]  # That is the host's too, then.
    if user is not None:
        found |= {"user": _user(user), "group_add": [str(group) for group in user.groups]}
    if start.argv is not None:
        found |= {"entrypoint": [start.argv[0]], "command": list(start.argv[1:])}
    return found


def _user(user: User | None) -> str:
    return f"{user.uid}:{user.gid}" if user else ""


def _seen(pid: int, theirs: Theirs) -> None:
    """Make sure that the process of that number is the container's, and that we may look into it.

    Docker mounts a container's /etc/hosts and its like from a folder whose name is the container's ID. It says that a
    container is started shortly before runc's own process (`runc:[2:INIT]`) gives way to the container's program.

    Raises:
        StackbuildError: it is another one, of this machine, or we may not.
    """
    for _ in range(_LOOKS):
        try:
            its = str(theirs.id) in Path(f"/proc/{pid}/mountinfo").read_text(errors="replace")
            if its and not Path(f"/proc/{pid}/comm").read_text(errors="replace").startswith("runc:["):
                return
        except PermissionError:
            raise StackbuildError(
                "this user may not look into Docker's containers",
                expected="root: a contract reads a container's files and joins its network",
                next_step="run it as root, or take --runtime native",
            ) from None
        except OSError:
            pass  # It has ended, and Docker may learn of it later than we.
        with daemon.asked("Docker does not say how a container is"):
            theirs.reload()
        if theirs.status != "running":
            return
        time.sleep(_OFTEN)
    raise StackbuildError(
        "the Docker daemon's containers are not to be seen from here",
        got=f"process {pid} is not that of container {theirs.short_id}",
        expected="a daemon that shares this machine's processes, not one in a virtual machine or a container",
        next_step="take --runtime native",
    )


def _clear(client: DockerClient, mine: str) -> None:
    """Remove containers that were made while somebody pressed ^C, their volumes too."""
    from docker.errors import DockerException

    with suppress(DockerException, OSError):
        for one in client.containers.list(all=True, filters={"label": f"{LABEL}={mine}"}):
            one.remove(v=True, force=True)
    client.close()
