"""The contract of OpenShift's notebook images: any user of group 0, a password, and Source-to-Image.

Sources: OpenShift, "Creating images", guidelines for arbitrary user ids; Source-to-Image, docs/builder_image.md; the
OpenShift Jupyter stacks, for PASSWORD, ~/work and the labels.
"""

from __future__ import annotations

import json
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import urlencode

from builder.built import ROOT, User
from builder.checks import Broken, Outcome, Subject, expect, kept, outcomes
from builder.checks._probe import MODULE, sources, unwritable, wheel
from builder.processes import Process
from builder.runtimes import Container, Start

PORT = 8888
STRANGER = User(uid=54321, gid=0)
ANOTHER = User(uid=54322, gid=0)
_SECONDS = 90.0
_PASSWORD = "correct horse: battery 'staple'"
_PROBE = "/tmp/probe"
_SCRIPTS = "io.openshift.s2i.scripts-url"
_DESCRIBED = ("io.k8s.description", "io.k8s.display-name", "io.openshift.tags")
_SERVICES = "io.openshift.expose-services"
_ENVIRONMENTS = """
IFS=:
for folder in $PATH; do
    prefix=${folder%/bin}
    [ -x "$folder/python3" ] || continue
    if [ -e "$prefix/pyvenv.cfg" ] || [ -d "$prefix/conda-meta" ]; then echo "$prefix"; fi
done
"""


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, each in containers of its own."""
    yield from outcomes({name: partial(point, subject) for name, point in POINTS.items()})


@contextmanager
def _server(subject: Subject, start: Start) -> Iterator[tuple[Container, float]]:
    """A started server, its first HTTP 200 seen."""
    with subject.container(start) as running:
        yield running, running.wait_for(PORT, "/api", _SECONDS)


def _user(subject: Subject) -> float:
    user = str(subject.image.config.get("User", ""))
    if not re.fullmatch(r"[0-9]+(:0)?", user) or int(user.partition(":")[0]) == 0:
        raise Broken(f"User: expected a number that is not 0, of group 0, got {user or 'nothing'}")
    expect(subject.image.user().gid, 0, "primary group of User")
    with _server(subject, Start(user=STRANGER)) as (running, seconds):
        server = _process(running)
        expect((server.uid, server.gid), (STRANGER.uid, STRANGER.gid), "uid and gid of the server")
        return seconds


def _writes(subject: Subject) -> float:
    prefixes = _prefixes(subject)
    lines = [unwritable([subject.env["HOME"], *prefixes]), 'touch "$HOME/probe"']
    for prefix in prefixes:
        lines += [_pip(prefix, f"{_PROBE}/*.whl"), _imports(prefix)]
    with subject.volume(ROOT, mode=0o755) as folder:
        wheel(folder)
        kept(_run(subject, lines, Start(user=STRANGER, volumes=((folder, _PROBE),))))
    return 0.0


def _home(subject: Subject) -> float:
    names = {str(one).partition("=")[0] for one in subject.image.config.get("Env", ())}
    expect("HOME" in names, True, "HOME among the image's variables")
    home = subject.env["HOME"]
    lines = [f'[ "$HOME" = {shlex.quote(home)} ] || echo "HOME is $HOME"', '[ -d "$HOME" ] || echo "no folder: $HOME"']
    return kept(_run(subject, lines, Start(user=STRANGER)))


def _password(subject: Subject) -> float:
    with _server(subject, Start(user=STRANGER)) as (running, seconds):
        for path in ("/api/contents", "/lab"):
            expect(running.ask(PORT, path)[0], 200, f"{path} without PASSWORD and without a login")
    with _server(subject, Start(user=STRANGER, env={"PASSWORD": _PASSWORD})) as (running, _):
        expect(running.ask(PORT, "/api/contents")[0], 403, "/api/contents with PASSWORD and without a login")
        code, headers, _ = running.ask(PORT, "/lab")
        expect((code, "/login" in headers.get("location", "")), (302, True), "/lab leads to a login")
        expect(_login(running, "another")[0], 401, "login with another password")
        known = _login(running, _PASSWORD)[1]
        expect(running.ask(PORT, "/api/contents", headers=known)[0], 200, "/api/contents after a login")
        server = _process(running)
        expect("PASSWORD" in server.env, False, "PASSWORD in the server's environment")
        told = [*server.env.values(), *server.argv]
        expect(any(_PASSWORD in one for one in told), False, "the password in its environment or command line")
    return seconds


def _labels(subject: Subject) -> float:
    labels = subject.image.config.get("Labels") or {}
    wrong = [f"{name} is missing" for name in _DESCRIBED if not labels.get(name)]
    if f"{PORT}:http" not in str(labels.get(_SERVICES, "")).split(","):
        wrong.append(f"{_SERVICES}: expected {PORT}:http, got {labels.get(_SERVICES) or 'nothing'}")
    if not str(labels.get(_SCRIPTS, "")).startswith("image:///"):
        wrong.append(f"{_SCRIPTS}: expected image:///…, got {labels.get(_SCRIPTS) or 'nothing'}")
    return kept(wrong)


def _s2i(subject: Subject) -> float:
    """As `s2i build` does, in one container: what assemble wrote is there when run begins, as after a commit."""
    label = str((subject.image.config.get("Labels") or {}).get(_SCRIPTS, ""))
    scripts = shlex.quote(label.removeprefix("image://"))
    prefixes = _prefixes(subject)
    lines = [f"{scripts}/assemble", unwritable([f"{subject.env['HOME']}/work", *prefixes])]
    lines += [_imports(prefix) for prefix in prefixes[:1]]
    lines += [f"exec {scripts}/run"]
    entry = tuple(subject.image.config.get("Entrypoint") or ())
    with subject.volume(mode=0o755) as folder:
        names = sources(folder)
        argv = (*entry, "/bin/sh", "-ec", "\n".join(lines))
        with _server(subject, Start(argv=argv, volumes=((folder, "/tmp/src"),))) as (running, seconds):
            kept(_wrong(running))
            for name in names:
                expect(running.ask(PORT, f"/api/contents/{name}")[0], 200, f"{name} in the server's folder")
            server = _process(running)
            waiting = [one for one in running.processes() if f"{scripts}/run" in one.argv]
            if waiting or running.pid not in {server.pid, server.parent}:
                raise Broken("run must exec the server: nobody else passes signals on to it")
            return seconds


def _volume(subject: Subject) -> float:
    place = f"{subject.env['HOME']}/work"
    with subject.volume(ROOT) as work:
        (work / "mine.txt").write_text("mine\n")
        (work / "mine.txt").chmod(0o664)
        with _server(subject, Start(user=STRANGER, volumes=((work, place),))) as (running, seconds):
            expect(running.ask(PORT, "/api/contents/mine.txt")[0], 200, "a file of the volume")
            _save(running, "new.txt")
        if not (work / "new.txt").is_file():
            raise Broken(f"a new file does not come to {place}")
        mode = stat.S_IMODE((work / "new.txt").stat().st_mode)
        expect(bool(mode & stat.S_IWGRP), True, f"new file group-writable (mode {mode:04o})")
        with _server(subject, Start(user=ANOTHER, volumes=((work, place),))) as (running, _):
            for name in ("mine.txt", "new.txt"):
                _save(running, name)
        return seconds


POINTS: Final[Mapping[str, Callable[[Subject], float]]] = {
    "User is a number, and needs no passwd entry": _user,
    "a random uid of group 0 can write HOME and the environment": _writes,
    "HOME is set": _home,
    "PASSWORD asks for a login, and nothing else does": _password,
    "labels of an S2I builder": _labels,
    "S2I: assemble puts sources into ~/work, run execs the server": _s2i,
    "a volume at ~/work": _volume,
}
"""Each returns the seconds until the first answer, or raises `Broken`."""


# ------------------------------------------------------------------------------------------------------------------


def _process(running: Container) -> Process:
    found = [one for one in running.processes("jupyter") if not one.argv[0].endswith("tini")]
    if not found:
        raise Broken(f"no process of a Jupyter server is there\n{running.said(15)}")
    return found[0]


def _as_browser(running: Container, page: str) -> dict[str, str]:
    """Cookie and header that a page of the server sends, without which it refuses to write (double submit)."""
    _, headers, _ = running.ask(PORT, page)
    token = headers.get("set-cookie", "").partition("_xsrf=")[2].partition(";")[0]
    return {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}


def _login(running: Container, password: str) -> tuple[int, dict[str, str]]:
    """Fill in the form for logins: the answer's status, and the headers that say from then on who one is."""
    sent = _as_browser(running, "/login")
    form = urlencode({"password": password, "_xsrf": sent["X-XSRFToken"]}).encode()
    headers = {**sent, "Content-Type": "application/x-www-form-urlencoded"}
    code, answer, _ = running.ask(PORT, "/login", method="POST", headers=headers, body=form)
    return code, {"Cookie": f"{sent['Cookie']}; {answer.get('set-cookie', '').partition(';')[0]}"}


def _save(running: Container, name: str) -> None:
    body = json.dumps({"type": "file", "format": "text", "content": "x"}).encode()
    headers = _as_browser(running, "/lab")
    status, _, _ = running.ask(PORT, f"/api/contents/{name}", method="PUT", body=body, headers=headers)
    expect(status in {200, 201}, True, f"saving {name} through the server (HTTP {status})")


def _prefixes(subject: Subject) -> tuple[str, ...]:
    """Where Python environments are, in the order of PATH; an image built elsewhere has no locks that would say so."""
    found = _run(subject, [_ENVIRONMENTS], Start(user=STRANGER))
    if not found:
        raise Broken("no Python environment in PATH")
    return tuple(found)


def _pip(prefix: str, what: str) -> str:
    options = "--disable-pip-version-check --no-cache-dir --no-index --no-deps --quiet"
    return f"{prefix}/bin/python3 -m pip install {options} {what} || echo 'pip cannot install into {prefix}'"


def _imports(prefix: str) -> str:
    return f"{prefix}/bin/python3 -c 'import {MODULE}' || echo '{MODULE} is not in {prefix}'"


def _run(subject: Subject, lines: Sequence[str], start: Start) -> list[str]:
    """What a script says in a container of its own, which is nothing if all is well."""
    whole = replace(start, argv=("/bin/sh", "-c", "\n".join(lines)))
    with subject.container(whole) as running:
        code = running.wait(_SECONDS)
        return running.output().splitlines() or ([f"exit code {code}"] if code else [])


def _wrong(running: Container) -> list[str]:
    """The lines that `unwritable` said, among all others."""
    words = ("not writable for the group:", f"{MODULE} is not in")
    return [line for line in running.output().splitlines() if line.startswith(words)]
