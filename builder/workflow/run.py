"""Start built images natively: to use them, to look into them, to look at what failed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from builder import failed
from builder.built import ROOT
from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.offline import refuse
from builder.platforms import NATIVE
from builder.runtimes import Start, volume
from builder.runtimes.native import container
from builder.sandbox import ENVIRONMENT, Command, Root, started
from builder.store import Store
from builder.unpacked import held
from builder.workflow.check import open_image
from builder.workflow.forward import forward
from builder.workflow.project import Project, locked

_SHELL = ("/bin/bash", "-i")


def one_target(project: Project, wanted: str) -> Target:
    """The one target that a text means; this machine's platform where it leaves that out.

    Raises:
        StackbuildError: none, or several.
    """
    found = locked(project, [wanted])
    native = [target for target in found if target.platform == NATIVE] or list(found)
    plain = [target for target in native if target.variant == "cpu"] or native
    if len(plain) != 1:
        raise StackbuildError(f"{wanted} means several targets", expected="one of " + ", ".join(map(str, native)))
    return plain[0]


def run(
    project: Project, target: Target, start: Start, *, home: Path | None, port: int, told: Callable[[str], None]
) -> int:
    """Run an image until it ends or is interrupted; returns its exit code.

    Args:
        home: mounted over the image's home; None for a fresh volume that is thrown away.
        port: on this machine's loopback, carried to the image's first exposed port; 0 for any free one.
    """
    if start.network:
        refuse(os.environ, "the container would share this machine's network")
    image = open_image(project, target)
    inside = next((int(one.partition("/")[0]) for one in sorted(image.config.get("ExposedPorts", {}))), 0)
    with volume(project.store, image.user()) as fresh:
        folder = (home or fresh).absolute()
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, image.user().uid, image.user().gid)
            folder.chmod(0o2775)
        full = Start(env=start.env, network=start.network, volumes=((folder, image.env()["HOME"]),))
        with container(image, full, quiet=False) as running:
            project.store.release()  # It may run for days, and `gc` leaves it what it stands on.
            if not inside or start.network:
                return running.wait()
            with socket.create_server(("127.0.0.1", port)) as listener:
                prefix = {**image.env(), **start.env}.get("NB_PREFIX", "/")
                told(f"http://127.0.0.1:{listener.getsockname()[1]}{prefix}  (^C stops it)")
                threading.Thread(target=forward, args=(running, listener, inside), daemon=True).start()
                try:
                    return running.wait()
                except KeyboardInterrupt:
                    return running.stop()


def shell(project: Project, target: Target, argv: tuple[str, ...], *, as_root: bool) -> int:
    """A shell, or a command, in a built image instead of its entry point; returns the exit code."""
    image = open_image(project, target)
    start = Start(user=ROOT if as_root else None, argv=argv or _SHELL, no_new_privs=not as_root)
    with container(image, start, quiet=False) as running:
        project.store.release()
        return running.wait()


def shell_at(store: Store, name: str, argv: tuple[str, ...]) -> int:
    """A root shell in the root of a failed step, without network; changes in it stay there.

    Raises:
        StackbuildError: no such step failed.
    """
    upper, lowers = failed.find(store, name)
    with held((upper.parent, *lowers)), store.workspace() as workspace:
        store.release()
        root = Root(workspace=workspace, lowers=lowers, upper=upper)
        command = Command(argv=argv or _SHELL, env={**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")})
        with started(root, command, stdin=None) as running:
            return running.process.wait()
