"""The contract of images with services that run as root beside those of the user (docs/init.md).

Which are root's the image says itself: by a file `as-root` in the service's folder. What a service's processes are is
told by the kernel, through the supervisor that is their parent, so no tool of the image is asked.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator

from builder.built import ROOT, User
from builder.checks import Broken, Outcome, Subject, expect, kept, outcomes
from builder.processes import Process
from builder.runtimes import Container, Start

FOLDER = "/etc/services.d"
_SECONDS = 90.0
_STAYS = 2.0
"""Seconds for which a service must keep its process: s6 starts one that dies again after one second."""


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, each in a container of its own that is started as root."""
    yield from outcomes(
        {
            "every service comes up and stays up": lambda: _up(subject),
            "services are root's as the image declares, all others the user's": lambda: _whose(subject),
            "TERM ends all of them": lambda: _end(subject),
        }
    )


def services(running: Container) -> dict[str, bool]:
    """The services that are started by themselves, and whether the image declares them as root's."""
    files = running.files
    found = (name for name in files.names(FOLDER) if not files.exists(f"{FOLDER}/{name}/down"))
    return {name: files.exists(f"{FOLDER}/{name}/as-root") for name in found if not name.startswith(".")}


def processes(found: Iterable[Process], name: str) -> tuple[Process, ...]:
    """What a service's supervisor has started, and what came of it; nothing for one that is down."""
    rows = tuple(found)
    above = {one.pid for one in rows if one.argv[:1] and one.argv[0].endswith("s6-supervise") and name in one.argv[1:]}
    below: list[Process] = []
    while more := [one for one in rows if one.parent in above]:
        below += more
        above = {one.pid for one in more}
    return tuple(below)


def _first(running: Container) -> dict[str, int]:
    """Service → the process that its supervisor started; 0 for one that is down."""
    rows = running.processes()
    found = {name: processes(rows, name) for name in services(running)}
    return {name: below[0].pid if below else 0 for name, below in found.items()}


def _come_up(running: Container) -> float:
    """Wait until all services are up and have stayed so; the seconds until they were."""
    began = time.monotonic()
    before, since = _first(running), began
    if not before:
        raise Broken(f"there is no service in {FOLDER}")
    while time.monotonic() - began < _SECONDS:
        time.sleep(0.1)
        if not running.pid:
            raise Broken(f"the container ended with exit code {running.wait()}\n{running.said(15)}".strip())
        now = _first(running)
        if now != before or not all(now.values()):
            before, since = now, time.monotonic()
        elif time.monotonic() - since >= _STAYS:
            return since - began
    down = ", ".join(name for name, pid in before.items() if not pid) or "one is started again and again"
    raise Broken(f"not up and steady within {_SECONDS:.0f} s: {down}\n{running.said(15)}".strip())


def _in_container(subject: Subject, act: Callable[[Container], None]) -> float:
    """Start the image as root on an empty volume, all services up, and look at it; the seconds that coming up took."""
    with subject.volume(_owner(subject)) as home:
        start = Start(user=ROOT, volumes=((home, subject.env["HOME"]),))
        with subject.container(start) as running:
            seconds = _come_up(running)
            act(running)
            return seconds


def _owner(subject: Subject) -> User:
    """The layout's user, who need not be the one that the image starts as."""
    own = subject.image.user()
    uid, gid, users = (subject.env.get(name, "") for name in ("NB_UID", "NB_GID", "USERS_GID"))
    if own.uid or not uid:
        return own
    return User(uid=int(uid), gid=int(gid or 0), groups=(int(users),) if users else ())


def _up(subject: Subject) -> float:
    return _in_container(subject, lambda running: None)


def _whose(subject: Subject) -> float:
    owner = _owner(subject)

    def look(running: Container) -> None:
        rows = running.processes()
        wrong = []
        for name, roots in services(running).items():
            wanted = ROOT if roots else owner
            for one in processes(rows, name):
                if (one.uid, one.gid) != (wanted.uid, wanted.gid):
                    wrong.append(f"{name}: {one.argv[0]} is {one.uid}:{one.gid}, not {wanted.uid}:{wanted.gid}")
                elif missing := set(wanted.groups) - set(one.groups):
                    wrong.append(f"{name}: {one.argv[0]} is not in group {', '.join(map(str, sorted(missing)))}")
                elif not roots and 0 in set(one.groups) - {owner.gid, *owner.groups}:
                    wrong.append(f"{name}: {one.argv[0]} keeps root's groups")
        kept(wrong)

    return _in_container(subject, look)


def _end(subject: Subject) -> float:
    def stop(running: Container) -> None:
        running.signal(signal.SIGTERM)
        expect(running.wait(_SECONDS), 0, "exit code after TERM")

    return _in_container(subject, stop)
