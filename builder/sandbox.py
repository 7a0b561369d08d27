"""The only place that starts a process inside a root file system.

A `Root` is an overlay of unpacked layers with a writable upper folder; a `Command` is what runs in it. Both go as
JSON to a program of its own, `sandbox_child`, which does the namespaces and mounts. There is no network, no host
folder, and a fixed environment, host name, umask and time zone, unless the command says otherwise.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from builder.errors import StackbuildError
from builder.sandbox_child.start import Running, begun
from builder.tree import NEWEST

_IDS = 65536
_LONGEST = 6 * 60 * 60.0
_LOG = 64 << 20
"""Bytes of output that are kept of one command."""

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "SOURCE_DATE_EPOCH": str(NEWEST),
    "FORCE_SOURCE_DATE": "1",  # TeX's programs ask for this word too.
    "PYTHONHASHSEED": "0",
    "PERL_HASH_SEED": "0",  # Else fmtutil makes TeX's formats in any order, and they name files that others left.
    "PERL_PERTURB_KEYS": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root file system to be mounted.

    Attributes:
        workspace: an empty folder for mount point and work folder.
        lowers: unpacked layers, uppermost first; may be empty when `upper` is a whole root.
        upper: where changes go; None throws them away.
        plain: a folder that is the root itself, with no overlay: the only way to write an overlay's own whiteouts.
    """

    workspace: Path
    lowers: tuple[Path, ...] = ()
    upper: Path | None = None
    plain: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A process to run in a root.

    Attributes:
        enter: pivot into the root; otherwise the host stays visible and the root is mounted beside it.
        as_init: be process 1 oneself, as a container's entry point is.
        ids: how many ids exist inside, mapped onto themselves from 0.
        program: a module of ours whose `main` is called in the root instead of executing `argv`; `argv` then is its
            argument as JSON. It may import the standard library at its top only, as the host's is gone later.
        tmpfs: (path, mount options).
        binds: (path on the host, path in the root, read-only).
        longest: seconds after which `run` ends it.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    umask: int = 0o022
    hostname: str = "stackbuild"
    network: bool = False
    enter: bool = True
    as_init: bool = False
    program: str = ""
    no_new_privs: bool = False
    ids: int = _IDS
    tmpfs: tuple[tuple[str, str], ...] = (("tmp", "mode=1777"), ("run", "mode=0755"))
    binds: tuple[tuple[str, str, bool], ...] = ()
    longest: float = _LONGEST


@contextmanager
def started(
    root: Root,
    command: Command,
    *,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> Iterator[Running]:
    """Start a command; at the end of the block whatever of it still runs is killed.

    Raises:
        StackbuildError: the sandbox could not be made.
    """
    with begun(_spec(root, command), stdin, stdout, stderr) as running:
        yield running


def run_beside(pid: int, command: Command) -> tuple[int, bytes]:
    """Run a command to its end in all namespaces of a process that `started` began, and in its root.

    Args:
        command: its host name, network, ids and mounts are that process's, whatever it says.

    Returns:
        Exit code, and what it wrote to both standard streams.

    Raises:
        StackbuildError: that process has ended, or we may not join it.
    """
    spec = {**_inside(command), "join": pid, "cwd": command.cwd, "parent": os.getpid()}
    with begun(spec, subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT) as running:
        said, _ = running.process.communicate()
        return running.process.returncode, said


def signalled(running: Running, number: int) -> None:
    """Send a signal to a command's process 1, unless it has ended."""
    if running.process.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)


def run(root: Root, command: Command, *, log: Path | None = None) -> int:
    """Run a command to its end and return its exit code; its output is appended to `log`, as much as is sensible.

    Raises:
        StackbuildError: the sandbox could not be made, or the command did not end in time.
    """
    end = time.monotonic() + command.longest
    # A pipe: the log itself is a file of the host, whose mode and content would be the command's.
    with (
        (log or Path(os.devnull)).open("ab") as output,
        started(root, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running,
    ):
        try:
            _noted(running.process, output, end)
            return running.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise StackbuildError(
                f"a command in the sandbox did not end: {command.program or command.argv[0]}",
                where=f"log: {log}" if log else "",
                expected=f"at most {command.longest:g} seconds",
            ) from None


def _noted(process: subprocess.Popen[bytes], output: IO[bytes], end: float) -> None:
    """Append what a process writes to `output`, up to `_LOG` bytes, until nobody can write any more.

    Raises:
        TimeoutExpired: somebody still can at that time.
    """
    assert process.stdout is not None
    poll, left = select.poll(), _LOG
    with process.stdout as pipe:
        poll.register(pipe, select.POLLIN)
        while (seconds := end - time.monotonic()) > 0:
            if not poll.poll(1000 * min(seconds, 1e6)):
                continue
            if not (data := os.read(pipe.fileno(), 1 << 16)):
                return
            if left:
                output.write(data if len(data) < left else data[:left] + b"\n(what follows was left out)\n")
                output.flush()
                left = max(0, left - len(data))
    raise subprocess.TimeoutExpired(process.args, 0)


def _spec(root: Root, command: Command) -> dict[str, Any]:
    mountpoint, work, links = root.workspace / "root", root.workspace / "work", root.workspace / "l"
    for folder in (mountpoint, work, links):
        folder.mkdir(exist_ok=True)
    lowers, upper = list(root.lowers), root.upper
    if root.plain is None:
        upper = upper or root.workspace / "upper"
        upper.mkdir(exist_ok=True)
        empty = root.workspace / "empty"
        empty.mkdir(exist_ok=True)
        lowers = lowers or [empty]
    named = {str(number): lower for number, lower in enumerate(lowers)}
    named |= {"upper": upper, "work": work} if upper else {}
    for name, folder in named.items():
        (links / name).unlink(missing_ok=True)
        (links / name).symlink_to(folder.absolute())
    faketime = os.environ.get("STACKBUILD_SANDBOX_CLOCK", "")
    env, binds = dict(command.env), list(command.binds)
    if faketime and command.enter:
        library, shift = faketime.split("@", 1)
        binds.append((library, "run/stackbuild/clock.so", True))
        env |= {"LD_PRELOAD": "/run/stackbuild/clock.so", "FAKETIME": shift}
        env |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}  # Files keep the times that they have.
    return {
        **_inside(command),
        "binds": binds,
        "cwd": command.cwd if command.enter else str(root.plain or mountpoint),
        "env": env,
        "hostname": command.hostname,
        "ids": command.ids,
        "join": 0,
        "lowers": [str(number) for number in range(len(lowers))],
        "lowers_folder": str(links.absolute()),
        "network": command.network,
        "parent": os.getpid(),
        "root": str((root.plain or mountpoint).absolute()),
        "tmpfs": list(command.tmpfs) if command.enter else [],
        "upper": "upper" if upper else "",
        "user_namespace": True,
        "volatile": True,
        "work": "work",
    }


def _inside(command: Command) -> dict[str, Any]:
    """What a command is once namespaces and mounts are there."""
    return {
        "argv": list(command.argv),
        "as_init": command.as_init,
        "enter": command.enter,
        "env": dict(command.env),
        "gid": command.gid,
        "groups": list(command.groups),
        "no_new_privs": command.no_new_privs,
        "program": command.program,
        "uid": command.uid,
        "umask": command.umask,
    }
