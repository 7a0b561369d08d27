"""From the specification to the command: `main(SPEC_FD, STATUS_FD)`, which `start.py` calls in a process of its own.

On STATUS_FD it writes one JSON line: the command's first process id as the host sees it, or the step that failed.

    before ── host's process
    enter_namespaces | join_namespaces
      └─ fork: process 1 ── inside: root, mounts, pivot     (beside: of a sandbox that is there)
           └─ fork: become: limits, ids, execute
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from builder.sandbox_child.kernel import NO_NEW_PRIVS, PRIVATE, REC, call, die_with_parent, mount, numbered, personality
from builder.sandbox_child.mounts import make_root, pivot
from builder.sandbox_child.namespaces import enter_namespaces, join_namespaces, loopback_up
from builder.sandbox_child.privileges import drop_capabilities, limit_process, refuse_calls

ADDR_NO_RANDOMIZE = 0x0040000

Program = Callable[[Any], None]
"""One of ours, called in the root in place of a command."""


def main(spec_fd: int, status_fd: int) -> None:
    with os.fdopen(spec_fd, "rb") as stream:
        spec: dict[str, Any] = json.loads(stream.read())
    os.set_inheritable(status_fd, False)
    program: Program | None = importlib.import_module(spec["program"]).main if spec["program"] else None
    try:
        before(spec)
        if spec["join"]:
            join_namespaces(spec)
        else:
            enter_namespaces(spec)
        init = os.fork()
        if init == 0:
            if spec["join"]:
                beside(spec, program, status_fd)
            inside(spec, program, status_fd)
        os.write(status_fd, json.dumps({"pid": init}).encode() + b"\n")
        os.close(status_fd)
        forward_until_exit(init)
    except OSError as error:
        fail(status_fd, error)


def before(spec: dict[str, Any]) -> None:
    """What has to be done while this process still is one of the host's."""
    with suppress(OSError):  # A kernel without keys has none to hide.
        numbered("keyctl", 1, None)  # keyctl(2): a session of one's own.
    if spec["enter"] and not spec["as_init"]:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("1000")  # When memory runs out, a build step is ended before anything of the host's.


def fail(status_fd: int, error: OSError) -> NoReturn:
    os.write(status_fd, json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode() + b"\n")
    os._exit(125)


def inside(spec: dict[str, Any], program: Program | None, status_fd: int) -> NoReturn:
    """Process 1 of the sandbox."""
    try:
        die_with_parent()
        os.umask(0o022)
        mount("none", "/", flags=REC | PRIVATE)
        if not spec["network"]:
            loopback_up()
        socket.sethostname(spec["hostname"])
        root = make_root(spec)
        if spec["enter"]:
            pivot(root)
        os.chdir(spec["cwd"])
        if spec["as_init"]:
            become(spec, program, status_fd)
        command = os.fork()
        if command == 0:
            become(spec, program, status_fd)
    except Exception as error:
        fail(status_fd, error if isinstance(error, OSError) else OSError(0, f"{type(error).__name__}: {error}"))
    os.close(status_fd)
    reap_until_exit(command)


def beside(spec: dict[str, Any], program: Program | None, status_fd: int) -> NoReturn:
    """Another process of a sandbox that was made before."""
    try:
        os.chdir(spec["cwd"])
        become(spec, program, status_fd)
    except OSError as error:
        fail(status_fd, error)


def become(spec: dict[str, Any], program: Program | None, status_fd: int) -> NoReturn:
    """Drop to the wanted user and execute the command, or call the program that was loaded before the pivot."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.umask(spec["umask"])
    if not spec["as_init"]:
        # Programs that seed a hash table with an address (Lua, hence LuaTeX's formats) write the same bytes twice.
        personality(ADDR_NO_RANDOMIZE)
    if spec["enter"]:
        drop_capabilities()
        limit_process(spec["as_init"])
        refuse_calls()  # While we may: what gets root by setuid still can, in here.
    os.setgroups(spec["groups"])
    os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    if spec["as_init"]:
        die_with_parent()
    if spec["no_new_privs"]:
        call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    if program is not None:
        os.close(status_fd)  # An exec closes it by itself; the host reads it to its end before it goes on.
        call_program(program, spec)
    try:
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        sys.stderr.write(f"stackbuild: cannot execute {spec['argv'][0]}: {error.strerror}\n")
        os._exit(127 if error.errno == 2 else 126)


def call_program(program: Program, spec: dict[str, Any]) -> NoReturn:
    """Our own code inside of the root: it resolves foreign paths there, where no link can lead out to the host."""
    os.environ.clear()
    os.environ.update(spec["env"])
    code = 1
    try:
        program(json.loads(spec["argv"][0]))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def reap_until_exit(command: int) -> NoReturn:
    """Process 1 adopts orphans; it ends with its command, and the kernel ends the rest."""
    while True:
        pid, status = os.wait()
        if pid == command:
            os._exit(os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def forward_until_exit(init: int) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(init, number))
    while True:
        try:
            _, status = os.waitpid(init, 0)
            break
        except InterruptedError:
            continue
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
