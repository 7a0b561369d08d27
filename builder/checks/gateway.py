"""The contract of gateways: Enterprise Gateway, and a kernel gateway or JupyterLab with Gateway Provisioners.

What starts kernels elsewhere is not tried here, as there is neither Docker nor Kubernetes in a container without a
network: the launchers are only asked whether they would run.

A container of a network has a name that resolves to an address of its own, and both programs want one when they are
imported; here /etc/hosts gives them one.

Sources: Enterprise Gateway 3.3, "Configuration Options"; Gateway Provisioners 0.5; jupyter_client, "Kernel specs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from builder.checks import Broken, Outcome, Subject, expect, kept, outcomes
from builder.checks._hosts import named
from builder.runtimes import Container, Start

PORT: Final = 8888
_SECONDS: Final = 90.0
_FOLDER: Final = "/usr/local/share/jupyter/kernels"
_TOKEN: Final = "a-token-of-the-check"
_TOKENS: Final = dict.fromkeys(("EG_AUTH_TOKEN", "KG_AUTH_TOKEN", "JUPYTER_TOKEN"), _TOKEN)
_ALLOWED: Final = ("EG_ALLOWED_KERNELS", "GP_ALLOWED_KERNELS")
_LISTENS: Final = {"EG_RESPONSE_IP": "127.0.0.1", "GP_RESPONSE_IP": "127.0.0.1"}
_DIGEST: Final = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")


def check(subject: Subject) -> Iterator[Outcome]:
    """The points of the contract, each in containers of its own."""
    yield from outcomes(
        {
            "answers, and lists exactly its kernelspecs, each of an image by digest": lambda: _lists(subject),
            "runs as the layout's user, not as root": lambda: _identity(subject),
            "wants a token if one is set": lambda: _token(subject),
            "is open if no token is set, or makes one up and prints it": lambda: _open(subject),
            "an allow-list leaves the other kernelspecs out": lambda: _allowed(subject),
            "launchers have what they import": lambda: _launchers(subject),
        }
    )


@contextmanager
def _server(subject: Subject, env: Mapping[str, str]) -> Iterator[tuple[Container, float]]:
    """A started gateway, its first HTTP 200 seen."""
    with named(subject) as hosts:
        start = Start(env={**_LISTENS, **env}, volumes=((hosts, "/etc/hosts"),))
        with subject.container(start) as running:
            yield running, running.wait_for(PORT, "/api", _SECONDS) if not env.get("EG_AUTH_TOKEN") else _up(running)


def _up(running: Container) -> float:
    """Wait for the first answer to a request with the token; Enterprise Gateway tells nothing without it."""
    return running.wait_for(PORT, f"/api?token={_TOKEN}", _SECONDS)


def _specs(running: Container) -> dict[str, Any]:
    """What `/api/kernelspecs` says of each kernelspec."""
    status, _, body = running.ask(PORT, "/api/kernelspecs", headers={"Authorization": f"token {_TOKEN}"})
    expect(status, 200, "/api/kernelspecs")
    found = json.loads(body)["kernelspecs"]
    return {name: found[name]["spec"] for name in sorted(found)}


def _lists(subject: Subject) -> float:
    promised = subject.promised().kernelspecs
    with _server(subject, _TOKENS) as (running, seconds):
        found = _specs(running)
    expect(sorted(found), sorted(promised), "kernelspecs")
    kept(_wrong(found, promised))
    return seconds


def _wrong(found: Mapping[str, Any], promised: Mapping[str, str]) -> Iterator[str]:
    for name, spec in found.items():
        image = _image(spec)
        if not _DIGEST.fullmatch(image) or image.partition("@")[0] != promised[name]:
            yield f"{name}: expected {promised[name]}@sha256:…, got {image or 'no image'}"


def _image(spec: Mapping[str, Any]) -> str:
    """The image that a kernel.json names, "" if it names none."""
    metadata = spec.get("metadata", {})
    starter = metadata.get("process_proxy") or metadata.get("kernel_provisioner") or {}
    return str(starter.get("config", {}).get("image_name", ""))


def _identity(subject: Subject) -> float:
    wanted = subject.image.user()
    with _server(subject, _TOKENS) as (running, seconds):
        for one in running.processes("jupyter"):
            expect((one.uid, one.gid), (wanted.uid, wanted.gid), "uid and gid of the server")
            expect(0 in (one.uid, one.gid, *one.groups), False, "root, or root's group, among its ids")
    return seconds


def _token(subject: Subject) -> float:
    with _server(subject, _TOKENS) as (running, seconds):
        for headers in ({}, {"Authorization": "token wrong"}):
            status, _, _ = running.ask(PORT, "/api/kernelspecs", headers=headers)
            expect(status in {401, 403}, True, f"a request with {headers or 'no token'} refused (HTTP {status})")
        _specs(running)
    return seconds


def _open(subject: Subject) -> float:
    with _server(subject, {}) as (running, seconds):
        status, _, _ = running.ask(PORT, "/api/kernelspecs")
        if status != 200 and not re.search(r"[?&]token=[0-9a-f]{32}", running.said(1000)):
            raise Broken(f"/api/kernelspecs answers {status} although no token is set, and it has printed none")
    return seconds


def _allowed(subject: Subject) -> float:
    names = sorted(subject.promised().kernelspecs)
    if len(names) < 2:
        return 0.0
    for wanted, said in ((names[:1], names[0]), (names[:2], json.dumps(names[:2]))):
        with _server(subject, {**_TOKENS, **dict.fromkeys(_ALLOWED, said)}) as (running, _):
            expect(sorted(_specs(running)), wanted, f"kernelspecs with the allow-list {said}")
    return 0.0


def _launchers(subject: Subject) -> float:
    """Each launcher prints its usage once it has imported what it needs."""
    with named(subject) as hosts:
        for name in sorted(subject.promised().kernelspecs):
            path = f"{_FOLDER}/{name}"
            script = f'for one in {path}/scripts/launch_*.py; do python "$one" --help >/dev/null || exit 1; done'
            start = Start(argv=("/bin/sh", "-c", script), volumes=((hosts, "/etc/hosts"),))
            with subject.container(start) as running:
                if (code := running.wait(_SECONDS)) != 0:
                    raise Broken(f"{name}: exit code {code}\n{running.said(8)}")
    return 0.0
