"""The contract of kernel images: what Enterprise Gateway and Gateway Provisioners ask of a container with one kernel.

The check is the gateway: it starts containers with the variables that a gateway sets, listens for the launcher's
message inside of the container's network, and talks to the kernel as a notebook would.

Sources: Enterprise Gateway 3.3 and Gateway Provisioners 0.5, launchers and `bootstrap-kernel.sh`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket
from typing import Any, Final

from builder.checks import Broken, Outcome, Subject, expect, outcomes
from builder.checks._gateway import PORTS, Key, heard, quiet, tell
from builder.checks._jupyter import Client, client
from builder.errors import StackbuildError
from builder.runtimes import Container, Start

_RESPONSES: Final = 8877
"""The port that the gateway listens on. It begins to when the container runs: a launcher takes far longer to call."""
_SECONDS: Final = 180.0
"""For what takes a kernel: to start, to answer."""
_SOON: Final = 60.0
"""For what a launcher has to notice."""
_WIDE: Final = (40000, 41000)
_NARROW: Final = "40000..40999"
_UID: Final = 1000
_GID: Final = 100
"""What gateways start containers as unless they are told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language's cells.

    Attributes:
        answer: its result has 42 in it.
        endless: says a word and never ends.
        job: a Spark job.
        before: what must have run before an interrupt; Toree's handler asks for Spark's context, and can make none.
    """

    answer: str
    endless: str
    job: str
    before: str = ""


_SUM: Final = "499500"
_LANGUAGES: Final = {
    "python": Language(
        answer="6 * 7",
        endless="import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(0.1)",
        job="print(sc.master, spark.range(1000).selectExpr('sum(id)').first()[0])",
    ),
    "r": Language(
        answer="6 * 7",
        endless="cat('begun\\n')\nrepeat Sys.sleep(0.1)",
        job="cat(SparkR::sparkR.conf('spark.master')[[1]], "
        "SparkR::collect(SparkR::sql('SELECT sum(id) AS total FROM range(1000)'))$total)",
    ),
    "scala": Language(
        answer="6 * 7",
        endless='println("begun")\nwhile (true) Thread.sleep(100)',
        before="sc.version",
        job='println(sc.master + " " + spark.range(1000).selectExpr("sum(id)").first().getLong(0))',
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel in a container, as a gateway has it: the container, what the launcher told, a client."""

    running: Container
    told: Mapping[str, Any]
    client: Client
    seconds: float


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, each in containers of its own."""
    points = {
        "starts, tells the gateway once where it is, and runs a cell": lambda: _runs(subject),
        "is interrupted by signum 2, and goes on": lambda: _interrupted(subject),
        "stops to listen on shutdown, and ends": lambda: _ends(subject),
        "knows Enterprise Gateway's names, and its language in any case": lambda: _other_names(subject),
        "ends with 1 without a language, and without an id": lambda: _refuses(subject),
        "keeps to its range of ports, and refuses one narrower than 1000": lambda: _ports(subject),
        f"runs as user {_UID} of group {_GID}": lambda: _identity(subject),
    }
    if "SPARK_HOME" in subject.env:
        points["runs a Spark job in local mode"] = lambda: _spark(subject)
    return outcomes(points)


def _language(subject: Subject) -> Language:
    said = subject.env.get("KERNEL_LANGUAGE", "")
    if said.lower() not in _LANGUAGES:
        raise Broken(f"KERNEL_LANGUAGE: expected one of {', '.join(_LANGUAGES)}, got {said or 'nothing'}")
    return _LANGUAGES[said.lower()]


@contextmanager
def _kernel(subject: Subject, env: Mapping[str, str] | None = None, *, prefix: str = "") -> Iterator[Kernel]:
    """A started kernel that answers. `prefix`: of the names of variables that Enterprise Gateway has its own for."""
    key, ident = Key(), str(uuid.uuid4())
    given = {
        "KERNEL_ID": ident,
        "KERNEL_USERNAME": "somebody",
        "KERNEL_SPARK_CONTEXT_INIT_MODE": "none",
        f"{prefix}PUBLIC_KEY": key.public,
        f"{prefix}RESPONSE_ADDRESS": f"127.0.0.1:{_RESPONSES}",
        f"{prefix}PORT_RANGE": "0..0",
        "SPARK_LOCAL_IP": "127.0.0.1",  # Spark asks for the address of its host, which has but a loopback here.
        **(env or {}),
    }
    began = time.monotonic()
    with subject.container(Start(env=given)) as running, running.listen(_RESPONSES) as listener:
        message = heard(listener, _SECONDS, lambda: _over(running))
        if message is None:
            raise Broken(f"no message to the gateway\n{running.said(15)}".strip())
        told = key.opened(message)
        expect(told["kernel_id"], ident, "kernel_id in the message")
        with client(lambda port: _connect(running, port), told) as talks:
            try:
                talks.ready(time.monotonic() + _SECONDS)
                yield Kernel(running=running, told=told, client=talks, seconds=time.monotonic() - began)
            except Broken as broken:
                raise Broken(f"{broken}\n{running.said(15)}".strip()) from None
        if not quiet(listener):
            raise Broken("the launcher called the gateway twice")


def _connect(running: Container, port: int) -> socket:
    """A connection to a port of the kernel; a container that has ended will not have one later."""
    if _over(running):
        raise Broken(f"the container ended with exit code {running.wait()}")
    return running.connect(port)


def _over(running: Container) -> bool:
    try:
        running.wait(0)
    except StackbuildError:
        return False
    return True


def _answers(subject: Subject, kernel: Kernel) -> None:
    found = kernel.client.execute(_language(subject).answer, _SECONDS)
    expect(found.status, "ok", "a cell")
    expect("42" in found.text, True, f"42 in the result of {_language(subject).answer}, {found.text!r}")


def _runs(subject: Subject) -> float:
    _language(subject)
    with _kernel(subject) as kernel:
        _answers(subject, kernel)
        return kernel.seconds


def _interrupted(subject: Subject) -> float:
    language = _language(subject)
    with _kernel(subject, {"KERNEL_SPARK_CONTEXT_INIT_MODE": "lazy"} if language.before else None) as kernel:
        port = kernel.told["comm_port"]
        if language.before:
            expect(kernel.client.execute(language.before, _SECONDS).status, "ok", "a cell before the interrupt")
        tell(kernel.running.connect, port, {"signum": 0})  # How gateways ask whether it lives: nothing may come of it.
        _answers(subject, kernel)
        found = kernel.client.execute(
            language.endless, _SOON, lambda: tell(kernel.running.connect, port, {"signum": 2})
        )
        expect(found.status != "ok", True, f"an interrupted cell fails, {found.status}")
        if language.before:  # Toree may say `lastException = null` in place of the next cell's result.
            expect(kernel.client.execute(language.before, _SECONDS).status, "ok", "the cell after the interrupt")
        _answers(subject, kernel)
        return kernel.seconds


def _ends(subject: Subject) -> float:
    with _kernel(subject) as kernel:
        port = kernel.told["comm_port"]
        tell(kernel.running.connect, port, {"shutdown": 1})
        ends = time.monotonic() + _SOON
        while _listens(kernel.running, port):
            if time.monotonic() > ends:
                raise Broken(f"the launcher listens still, {_SOON:.0f} s after shutdown")
            time.sleep(0.1)
        kernel.client.shut_down(_SECONDS)
        try:
            kernel.running.wait(_SOON)
        except StackbuildError as error:
            raise Broken(str(error)) from None
        return kernel.seconds


def _listens(running: Container, port: int) -> bool:
    try:
        running.connect(port).close()
    except OSError:
        return False
    return True


def _other_names(subject: Subject) -> float:
    _language(subject)
    said = subject.env["KERNEL_LANGUAGE"]
    other = said.swapcase() if len(said) > 1 else said.lower() if said.isupper() else said.upper()
    env = {"KERNEL_LANGUAGE": other}
    if said.lower() == "python":
        env["KERNEL_CLASS_NAME"] = "ipykernel.ipkernel.IPythonKernel"
    with _kernel(subject, env, prefix="EG_") as kernel:
        _answers(subject, kernel)
        return kernel.seconds


def _refuses(subject: Subject) -> float:
    config = subject.image.config
    command = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    gateway = {"PUBLIC_KEY": Key().public, "RESPONSE_ADDRESS": f"127.0.0.1:{_RESPONSES}"}
    starts = {
        "a language": Start(
            env={**gateway, "KERNEL_ID": "1"}, argv=("/usr/bin/env", "-u", "KERNEL_LANGUAGE", *command)
        ),
        "a language that it knows": Start(env={**gateway, "KERNEL_ID": "1", "KERNEL_LANGUAGE": "unheard-of"}),
        "an id": Start(env=gateway),
    }
    for what, start in starts.items():
        with subject.container(start) as running:
            expect(running.wait(_SOON), 1, f"exit code without {what}")
    return 0.0


def _ports(subject: Subject) -> float:
    first, last = _WIDE
    with _kernel(subject, {"PORT_RANGE": f"{first}..{last}"}) as kernel:
        wrong = [
            f"{name} {kernel.told[name]}" for name in (*PORTS, "comm_port") if not first <= kernel.told[name] <= last
        ]
        expect(wrong, [], f"ports outside of {first}..{last}")
        seconds = kernel.seconds
    try:
        with _kernel(subject, {"PORT_RANGE": _NARROW}):
            raise Broken(f"a kernel was started with the range {_NARROW}")
    except Broken as broken:
        if not str(broken).startswith("no message to the gateway"):
            raise
    return seconds


def _identity(subject: Subject) -> float:
    with _kernel(subject) as kernel:
        found = {(one.uid, one.gid) for one in kernel.running.processes()}
        expect(found, {(_UID, _GID)}, "users and groups of the container's processes")
        return kernel.seconds


def _spark(subject: Subject) -> float:
    with _kernel(subject, {"KERNEL_SPARK_CONTEXT_INIT_MODE": "lazy"}) as kernel:
        found = kernel.client.execute(_language(subject).job, _SECONDS)
        expect(found.status, "ok", f"a cell with a Spark job, {found.text[-2000:]}")
        expect("local" in found.text and _SUM in found.text, True, f"{_SUM} from a local master, {found.text[-200:]!r}")
        return kernel.seconds
