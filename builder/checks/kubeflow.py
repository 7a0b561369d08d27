"""The contract of Kubeflow's notebook servers: docs of the notebook controller and of its example images."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.built import ROOT, User
from builder.checks import Broken, Outcome, Subject, expect, outcomes
from builder.checks._servers import PORT, PREFIX, server
from builder.processes import Process
from builder.runtimes import Container, Start

STRANGER = User(uid=54321, gid=0)
_SECONDS = 90.0


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, each in containers of its own."""
    yield from outcomes(
        {
            "answers as Kubeflow asks it, without a login": lambda: _serves(subject),
            "user, groups, HOME; runtime folders outside of HOME": lambda: _identity(subject),
            "fills an empty volume once, and overwrites nothing": lambda: _volume(subject),
            "starts as a random uid of group 0 without privileges": lambda: _as_user(subject, STRANGER),
            "starts as root": lambda: _as_user(subject, ROOT),
            "starts with a poisoned home in the volume": lambda: _poisoned(subject),
        }
    )


@contextmanager
def _server(subject: Subject, home: Path, user: User | None = None) -> Iterator[tuple[Container, float]]:
    """A started server, its first answer seen."""
    start = Start(user=user, env={"NB_PREFIX": PREFIX}, volumes=((home, subject.env["HOME"]),))
    one = server(subject.image)
    with subject.container(start) as running:
        yield running, running.wait_for(PORT, one.base + one.alive, _SECONDS, one.answers)


def _serves(subject: Subject) -> float:
    one = server(subject.image)
    with subject.volume() as home, _server(subject, home) as (running, seconds):
        if one.any_origin:
            status, headers, _ = one.ask(running, one.alive, Origin="https://elsewhere.example")
            expect(status, 200, "a request with an Origin")
            expect(headers.get("access-control-allow-origin"), "*", "Access-Control-Allow-Origin")
        for path, word in one.pages.items():
            status, _, body = one.ask(running, path)
            expect(status, 200, f"{path} without token or password")
            expect(word.encode() in body, True, f"{word} in what {path} says")
        return seconds


def _identity(subject: Subject) -> float:
    layout = subject.env
    with subject.volume() as home, _server(subject, home) as (running, seconds):
        told = _process(subject, running)
        expect(str(told.uid), layout["NB_UID"], "uid of the server")
        expect(str(told.gid), layout["NB_GID"], "gid of the server")
        if group := layout.get("USERS_GID"):
            expect(int(group) in told.groups, True, f"group {group} among its groups")
        expect(told.env.get("HOME"), layout["HOME"], "HOME")
        for name in server(subject.image).outside:
            value = told.env.get(name, "")
            if not value or (value + "/").startswith(layout["HOME"] + "/"):
                raise Broken(f"{name} must lie outside of HOME: {value or 'unset'}")
        return seconds


def _volume(subject: Subject) -> float:
    template = subject.env.get("HOME_TMP", "").strip("/")
    with subject.volume() as home:
        (home / "mine.txt").write_text("mine\n")
        with _server(subject, home) as (running, seconds):
            wanted = _names(running.root / template) if template else set()
        if not wanted:
            raise Broken("there are no default files for the home")
        expect(wanted - _names(home), set(), "default files that did not appear")
        expect((home / "mine.txt").read_text(), "mine\n", "a file that was there")
        chosen = home / sorted(wanted)[0]
        chosen.write_text("changed by the user\n")
        with _server(subject, home):
            expect(chosen.read_text(), "changed by the user\n", f"{chosen.name} after a second start")
        return seconds


def _as_user(subject: Subject, user: User) -> float:
    write = server(subject.image).writes
    with subject.volume(user) as home, _server(subject, home, user) as (running, seconds):
        told = _process(subject, running)
        expect(told.uid, user.uid, "uid of the server")
        expect(bool(told.umask & stat.S_IWGRP), False, f"group rights taken by umask {told.umask:04o}")
        if write is not None:
            write(running)
            mode = stat.S_IMODE((home / "new.txt").stat().st_mode)
            expect(bool(mode & stat.S_IWGRP), True, f"new file group-writable (mode {mode:04o})")
        return seconds


def _poisoned(subject: Subject) -> float:
    user = subject.image.user()
    with subject.volume(user) as home:
        for path, text in server(subject.image).poison.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text)
        for left in home.rglob("*"):
            os.chown(left, user.uid, user.gid)  # As an earlier life of the container left it.
        with _server(subject, home) as (_, seconds):
            return seconds


def _process(subject: Subject, running: Container) -> Process:
    one = server(subject.image)
    found = one.process(running)
    if found is None:
        raise Broken(f"no process of {one.service} is there")
    return found


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
