"""The host's end: start the program that makes a sandbox, tell it what is wanted, and end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from builder.errors import StackbuildError

_START = """
import sys
sys.path.append(sys.argv[3])
from builder.sandbox_child.main import main
main(int(sys.argv[1]), int(sys.argv[2]))
"""
_OURS = str(Path(__file__).parents[2])
"""Where `builder` is. It comes after the standard library, of which nothing beside it may take the place."""
_LOADER = ("LD_LIBRARY_PATH",)
"""All that our own interpreter may need of the host's environment: process 1's is readable in the sandbox."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started command; `pid` is its process 1 as the host sees it."""

    process: subprocess.Popen[bytes]
    pid: int


@contextmanager
def begun(
    wanted: Mapping[str, Any],
    stdin: int | IO[bytes] | None,
    stdout: int | IO[bytes] | None,
    stderr: int | IO[bytes] | None,
) -> Iterator[Running]:
    """Start a command that `wanted` describes; at the end of the block whatever of it still runs is killed.

    Raises:
        StackbuildError: the sandbox could not be made.
    """
    spec = json.dumps(wanted).encode()
    spec_r, spec_w = os.pipe()
    status_r, status_w = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, str(spec_r), str(status_w), _OURS],
        pass_fds=(spec_r, status_w),
        env={name: os.environ[name] for name in _LOADER if name in os.environ},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=stdin is not None,
    )
    os.close(spec_r)
    os.close(status_w)
    init = 0
    try:
        with os.fdopen(spec_w, "wb") as stream:
            stream.write(spec)
        with os.fdopen(status_r, "rb") as stream:
            said = [json.loads(line) for line in stream.read().splitlines()]
        failed = next((line for line in said if "error" in line), None)
        if failed is not None or not said:
            process.wait()
            raise _refused(failed or {"error": "the sandbox process died", "errno": 0})
        init = said[0]["pid"]
        yield Running(process, init)
    finally:
        if process.poll() is None:
            # The death of process 1 ends its whole namespace, and `process`, its parent, ends once that is done.
            with suppress(ProcessLookupError):  # It may have ended by itself, and `process` be about to.
                os.kill(init or process.pid, signal.SIGKILL)
            process.wait()


def _refused(failed: Mapping[str, Any]) -> StackbuildError:
    if failed.get("errno") == 1:
        return StackbuildError(
            "this host refuses the sandbox",
            got=str(failed["error"]),
            expected="user, mount, pid, ipc, uts and network namespaces",
            next_step="run as root, or as a user with subordinate ids (/etc/subuid) on a kernel that allows them",
        )
    return StackbuildError("the sandbox could not be made", got=str(failed["error"]))
