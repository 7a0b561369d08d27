"""Indexes by their names: where they are, which files they have of a project (the Simple API, PEP 503 and 691).

A lock names an index only by its name in the stacks manifest. Where that index is, this machine says:
`STACKBUILD_INDEX_<NAME>` or the user's configuration, else the manifest's URL; for the default index else pip's or uv's
environment variables, pip's configuration, and at last what pip itself has built in. So a mirror's host is in no lock
and no source file. What login it wants, `credentials.py` says.

pip's `extra-index-url` and `find-links` are ignored on purpose: with several indexes for every name, whoever
registers an internal name on a public index decides what is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock as Mutex
from urllib.parse import urlsplit

from builder import credentials
from builder.errors import StackbuildError, Unreachable
from builder.kinds.pip.page import IndexFile, read_page
from builder.lock import Pin
from builder.net import Client
from builder.redaction import redact
from builder.user_config import variable

DEFAULT = "pypi"
"""The default index's name in the stacks manifest; a lock leaves it out."""

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


class Indexes:
    """The indexes of one run; every page is asked for once. Safe with many threads.

    Args:
        named: index name → URL, as the stacks manifest has them.
        environ: as `user_config.environment` gives it.
    """

    def __init__(self, client: Client, named: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._client = client
        self._named = dict(named)
        self._environ = environ
        self._pages: dict[tuple[str, str], tuple[str, str]] = {}
        self._busy: dict[tuple[str, str], Mutex] = {}
        self._mutex = Mutex()

    def url(self, index: str = "") -> str:
        """Where an index is, perhaps with a login in it; `""` and `pypi` mean the default index.

        Raises:
            StackbuildError: nothing says where that index is.
        """
        index = index or DEFAULT
        found = self._environ.get(variable("INDEX", index)) or self._named.get(index, "")
        if not found and index == DEFAULT:
            with self._mutex:
                found = self._named[DEFAULT] = default_url(self._environ)
        if not found:
            raise StackbuildError(
                f"no such index: {index}",
                expected=f"one of {', '.join(sorted({DEFAULT, *self._named}))}",
                next_step=f"add {index} to [indexes] in stacks.toml, or set {variable('INDEX', index)}",
            )
        if not re.match(r"(https?|file)://", found):
            raise StackbuildError(f"index {index} is no http, https or file URL", got=redact(found))
        own = credentials.named(index, self._environ) or _uvs_login(index, self._environ)
        return credentials.placed(found.rstrip("/"), own)

    def access(self, index: str = "") -> tuple[str, credentials.Login | None]:
        """Where an index is, without user info, and the login for it: for a program that takes them apart.

        Raises:
            StackbuildError: nothing says where that index is; the login would travel in clear.
        """
        url = self.url(index)
        return credentials.split(url)[0], credentials.Logins(self._environ).of(url)

    def files(self, project: str, index: str = "", version: str = "") -> tuple[IndexFile, ...]:
        """The wheels and sdists of a project (its PEP 503 name), sorted by file name; with `version` that release's.

        Raises:
            Unreachable: the index has no such project, or does not answer.
            HostileInput: the page is no page of the Simple API.
        """
        base = self.url(index)
        answered, text = self._page(project, index, base)
        found = read_page(text, answered, project, version)
        login = credentials.split(base)[1]
        return tuple(replace(file, url=_with_login(file.url, base, login)) for file in found) if login else found

    def _page(self, project: str, index: str, base: str) -> tuple[str, str]:
        """The URL that answered, and its text; asked for once."""
        key = (index or DEFAULT, project)
        with self._mutex:
            busy = self._busy.setdefault(key, Mutex())
        with busy:
            if key not in self._pages:
                self._pages[key] = self._ask(project, index, base)
            return self._pages[key]

    def _ask(self, project: str, index: str, base: str) -> tuple[str, str]:
        url = f"{base}/{project}/" + ("index.html" if base.startswith("file:") else "")
        try:
            answered, body = self._client.page(url, headers={"Accept": _ACCEPT})
        except Unreachable as error:
            raise Unreachable(
                f"index {index or DEFAULT} has no answer for {project}", got=error.got, next_step=error.next_step
            ) from None
        return answered, body.decode("utf-8", "replace")

    def urls(self, pin: Pin) -> list[str]:
        """Where the pinned file is today; the bytes are judged by the pin's digest, whatever the index says now.

        Raises:
            Unreachable: the index no longer has the file.
        """
        files = self.files(pin.name, pin.source, pin.version)
        found = [file.url for file in files if file.name == pin.filename]
        if not found:
            raise Unreachable(
                f"index {pin.source or DEFAULT} no longer has {pin.filename}",
                next_step=f"ask the project why it was removed, or: stackbuild lock --upgrade-package {pin.name}",
            )
        return found


def default_url(environ: Mapping[str, str]) -> str:
    """Where pip on this machine would look: environment, its configuration, what it has built in.

    Raises:
        StackbuildError: the environment says nothing, and no pip is installed to ask.
    """
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if found := environ.get(name):
            # uv allows NAME=URL.
            return re.sub(r"^[A-Za-z0-9._-]+=", "", found)
    try:
        from pip._internal.configuration import Configuration
        from pip._internal.models.index import PyPI
    except ImportError:
        raise StackbuildError(
            "no default package index: pip is not installed beside stackbuild",
            next_step="set UV_DEFAULT_INDEX",
        ) from None
    configuration = Configuration(isolated=False)
    configuration.load()
    for key in ("install.index-url", "global.index-url"):
        try:
            return str(configuration.get_value(key))
        except Exception:  # pip's own error class moved between releases; "not set" is all it can mean here
            continue
    return str(PyPI.simple_url)


def _uvs_login(index: str, environ: Mapping[str, str]) -> credentials.Login | None:
    """What uv's own variables say about an index of that name."""
    prefix = variable("INDEX", index).replace("STACKBUILD", "UV")
    user, password = environ.get(f"{prefix}_USERNAME"), environ.get(f"{prefix}_PASSWORD")
    return credentials.Login(user or "", password) if user or password else None


def _with_login(url: str, base: str, login: credentials.Login) -> str:
    """The URL of a file with the login of its index, if it lies on the very same host, as pip does it."""
    there, here = urlsplit(url), urlsplit(credentials.split(base)[0])
    return credentials.joined(url, login) if (there.scheme, there.netloc) == (here.scheme, here.netloc) else url
