"""The contract of Kubeflow's notebook servers: docs of the notebook controller and of its example images."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.checks import Broken, Outcome, Subject, expect, outcomes
from builder.runtime import Container, Start, User, container, volume

PORT = 8888
PREFIX = "/notebook/team/example"
STRANGER = User(uid=54321, gid=0)
ROOT = User(uid=0, gid=0)
_SECONDS = 90.0
_OUTSIDE = ("JUPYTER_RUNTIME_DIR", "XDG_RUNTIME_DIR", "XDG_DATA_HOME")
_POISON = "raise SystemExit('the home volume shadows a module of the image')\n"


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, each in containers of its own."""
    yield from outcomes(
        {
            "answers under NB_PREFIX, to any origin, without a login": lambda: _serves(subject),
            "user, groups, HOME; runtime folders outside of HOME": lambda: _identity(subject),
            "fills an empty volume once, and overwrites nothing": lambda: _volume(subject),
            "starts as a random uid of group 0 without privileges": lambda: _as_user(subject, STRANGER),
            "starts as root": lambda: _as_user(subject, ROOT),
            "starts with a poisoned ~/.local in the volume": lambda: _poisoned(subject),
        }
    )


@contextmanager
def _server(subject: Subject, home: Path, user: User | None = None) -> Iterator[tuple[Container, float]]:
    """A started server, its first HTTP 200 seen."""
    start = Start(user=user, env={"NB_PREFIX": PREFIX}, volumes=((home, subject.env["HOME"]),))
    with container(subject.image, start) as running:
        yield running, running.wait_for(PORT, f"{PREFIX}/api/status", _SECONDS)


def _serves(subject: Subject) -> float:
    with volume(subject.image.store, subject.image.user()) as home, _server(subject, home) as (running, seconds):
        status, headers, _ = running.ask(PORT, f"{PREFIX}/api/status", headers={"Origin": "https://elsewhere.example"})
        expect(status, 200, "a request with an Origin")
        expect(headers.get("access-control-allow-origin"), "*", "Access-Control-Allow-Origin")
        for path in ("/api/kernels", "/api/contents", "/lab"):
            expect(running.ask(PORT, PREFIX + path)[0], 200, f"{path} without token or password")
        return seconds


def _identity(subject: Subject) -> float:
    layout = subject.env
    with volume(subject.image.store, subject.image.user()) as home, _server(subject, home) as (running, seconds):
        pid = _server_process(running)
        told = _status(pid)
        expect(told["Uid"].split()[0], layout["NB_UID"], "uid of the server")
        expect(told["Gid"].split()[0], layout["NB_GID"], "gid of the server")
        if layout.get("USERS_GID"):
            expect(layout["USERS_GID"] in told["Groups"].split(), True, f"group {layout['USERS_GID']} among its groups")
        env = _environ(pid)
        expect(env.get("HOME"), layout["HOME"], "HOME")
        for name in _OUTSIDE:
            value = env.get(name, "")
            if not value or (value + "/").startswith(layout["HOME"] + "/"):
                raise Broken(f"{name} must lie outside of HOME: {value or 'unset'}")
        return seconds


def _volume(subject: Subject) -> float:
    template = subject.env.get("HOME_TMP", "").strip("/")
    with volume(subject.image.store, subject.image.user()) as home:
        (home / "mine.txt").write_text("mine\n")
        with _server(subject, home) as (running, seconds):
            wanted = _names(Path(f"/proc/{running.pid}/root") / template) if template else set()
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
    with volume(subject.image.store, user) as home, _server(subject, home, user) as (running, seconds):
        body = json.dumps({"type": "file", "format": "text", "content": "x"}).encode()
        status, _, _ = running.ask(
            PORT, f"{PREFIX}/api/contents/new.txt", method="PUT", body=body, headers=_as_browser(running)
        )
        expect(status, 201, "writing a file through the server")
        mode = stat.S_IMODE((home / "new.txt").stat().st_mode)
        expect(bool(mode & stat.S_IWGRP), True, f"new file group-writable (mode {mode:04o})")
        expect(_status(_server_process(running))["Uid"].split()[0], str(user.uid), "uid of the server")
        return seconds


def _as_browser(running: Container) -> dict[str, str]:
    """Cookie and header that a page of the server sends, without which it refuses to write (double submit)."""
    _, headers, _ = running.ask(PORT, f"{PREFIX}/lab")
    token = headers.get("set-cookie", "").partition("_xsrf=")[2].partition(";")[0]
    return {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}


def _poisoned(subject: Subject) -> float:
    user = subject.image.user()
    with volume(subject.image.store, user) as home:
        for version in range(8, 16):
            site = home / f".local/lib/python3.{version}/site-packages"
            site.mkdir(parents=True)
            for module in ("jupyter_server", "tornado", "jupyterlab", "traitlets"):
                (site / f"{module}.py").write_text(_POISON)
        with _server(subject, home) as (_, seconds):
            return seconds


def _server_process(running: Container) -> int:
    found = running.processes("jupyter-lab") or running.processes("jupyter")
    if not found:
        raise Broken("no process of JupyterLab is there")
    return found[-1]


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _environ(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(one.split("=", 1) for one in text.split("\0") if "=" in one)


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
