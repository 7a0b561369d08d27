"""The servers that Kubeflow knows: what starts each of them, and how one asks whether it serves.

Kubeflow sends requests in three ways. Jupyter gets them as they came, below `NB_PREFIX`. For code-server the prefix is
taken off on the way (`notebooks.kubeflow.org/http-rewrite-uri: /`), and for RStudio as well, which gets it in a header
(`notebooks.kubeflow.org/http-headers-request-set`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from builder.built import Image
from builder.checks import Broken, expect
from builder.processes import Process
from builder.runtimes import Container

PORT: Final = 8888
PREFIX: Final = "/notebook/team/example"
_REDIRECTIONS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server, from the outside.

    Attributes:
        service: the folder below /etc/services.d that starts it.
        processes: words, one of which is in its command line.
        alive: what answers once it serves, with `answers`.
        pages: path → a word of what must come with 200, without a login.
        base: what stands before every path, "" where Kubeflow takes the prefix off.
        answers: the HTTP status of `alive`.
        headers: what Kubeflow adds to every request.
        any_origin: whether it must let pages of any origin read what it says.
        outside: variables that must name folders outside of the home.
        poison: files of a home volume, by path, that must not keep it from starting.
        writes: writes `new.txt` in the home through the server; None where it has no simple way to do so.
    """

    service: str
    processes: tuple[str, ...]
    alive: str
    pages: Mapping[str, str]
    base: str = ""
    answers: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    any_origin: bool = False
    outside: tuple[str, ...] = ("XDG_RUNTIME_DIR", "XDG_DATA_HOME")
    poison: Mapping[str, str] = field(default_factory=dict)
    writes: Callable[[Container], None] | None = None

    def ask(self, running: Container, path: str, **more: str) -> tuple[int, Mapping[str, str], bytes]:
        """One request as Kubeflow would pass it on, and where it leads to, as a browser goes; `more` are headers.

        Raises:
            Broken: a redirection leads out of what Kubeflow gives to the server.
        """
        cookies: dict[str, str] = {}
        for _ in range(_REDIRECTIONS):
            sent = {**self.headers, **more}
            if cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
            status, headers, body = running.ask(PORT, self.base + path, headers=sent)
            for line in headers.get("set-cookie", "").splitlines():
                name, _, value = line.partition(";")[0].partition("=")
                cookies[name.strip()] = value.strip()
            if status not in {301, 302, 303, 307} or self.answers == 200:
                return status, headers, body
            path = _below(headers.get("location", ""))
        raise Broken(f"more than {_REDIRECTIONS} redirections, the last to {path}")

    def process(self, running: Container) -> Process | None:
        """The server's process, None if there is none."""
        return next((found[-1] for word in self.processes if (found := running.processes(word))), None)


def _below(location: str) -> str:
    """The path of a redirection without the prefix, which a browser would send and Kubeflow take off.

    Raises:
        Broken: it is not below the prefix.
    """
    parts = urlsplit(location)
    if not f"{parts.path}/".startswith(f"{PREFIX}/"):
        raise Broken(f"a redirection leads out of {PREFIX}: {location}")
    return (parts.path.removeprefix(PREFIX) or "/") + (f"?{parts.query}" if parts.query else "")


def _write(running: Container) -> None:
    """Through Jupyter's contents API, with the cookie and header that a page of the server sends (double submit)."""
    _, headers, _ = running.ask(PORT, f"{PREFIX}/lab")
    token = headers.get("set-cookie", "").partition("_xsrf=")[2].partition(";")[0]
    browser = {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}
    body = json.dumps({"type": "file", "format": "text", "content": "x"}).encode()
    status, _, _ = running.ask(PORT, f"{PREFIX}/api/contents/new.txt", method="PUT", body=body, headers=browser)
    expect(status, 201, "writing a file through the server")


_SITES: Final = tuple(f".local/lib/python3.{version}/site-packages" for version in range(8, 16))
_MODULES: Final = ("jupyter_server", "tornado", "jupyterlab", "traitlets")

JUPYTER: Final = Server(
    service="jupyterlab",
    processes=("jupyter-lab", "jupyter"),
    base=PREFIX,
    alive="/api/status",
    pages={"/api/status": "", "/api/kernels": "", "/api/contents": "", "/lab": ""},
    any_origin=True,
    outside=("JUPYTER_RUNTIME_DIR", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"),
    poison={
        f"{site}/{module}.py": "raise SystemExit('the home volume shadows a module of the image')\n"
        for site in _SITES
        for module in _MODULES
    },
    writes=_write,
)
CODE_SERVER: Final = Server(
    service="code-server",
    processes=("code-server",),
    alive="/healthz",
    pages={"/healthz": "", "/?folder=/home": "vscode-workbench-web-configuration"},
    poison={".config/code-server/config.yaml": "bind-addr: 127.0.0.1:1\nauth: password\npassword: stale\n"},
)
RSTUDIO: Final = Server(
    service="rstudio",
    processes=("rserver",),
    alive="/",
    answers=302,  # To where one signs in, which nobody is asked to.
    pages={"/": "RStudio"},
    headers={"X-RStudio-Root-Path": f"{PREFIX}/"},
    outside=("XDG_RUNTIME_DIR",),  # What XDG_DATA_HOME has is the user's: open files, what was not saved yet.
    poison={
        ".Renviron": "R_HOME=/nowhere\n",
        ".config/rstudio/rstudio-prefs.json": "{ cut off",
        ".local/share/rstudio/sources": "no folder\n",
    },
)
SERVERS: Final = (JUPYTER, CODE_SERVER, RSTUDIO)


def server(image: Image) -> Server:
    """What the image starts, of its uppermost layer that starts one of these; Jupyter where none does."""
    for folder in reversed(image.folders()):
        for one in SERVERS:
            if _is_folder(folder, f"etc/services.d/{one.service}"):
                return one
    return JUPYTER


def _is_folder(layer: Path, path: str) -> bool:
    """Whether an unpacked layer has a folder; a link on the way would lead out of the layer."""
    for part in path.split("/"):
        layer = layer / part
        if layer.is_symlink():
            return False
    return layer.is_dir()
