"""Indexes by their names: where they are, which files they have of a project (the Simple API, PEP 503 and 691).

A lock names an index only by its name in the stacks manifest. Where that index is, this machine says:
`STACKBUILD_INDEX_<NAME>`, else the manifest's URL; for the default index else pip's or uv's environment variables,
pip's configuration, and at last what pip itself has built in. So a mirror's host is in no lock and no source file.

pip's `extra-index-url` and `find-links` are ignored on purpose: with several indexes for every name, whoever
registers an internal name on a public index decides what is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock as Mutex
from urllib.parse import urlsplit, urlunsplit

from builder.errors import StackbuildError, Unreachable
from builder.kinds.pip.page import IndexFile, read_page
from builder.lock import Pin
from builder.net import Client, redact

DEFAULT = "pypi"
"""The default index's name in the stacks manifest; a lock leaves it out."""

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


class Indexes:
    """The indexes of one run; every page is asked for once. Safe with many threads.

    Args:
        named: index name → URL, as the stacks manifest has them.
        environ: the process's environment.
    """

    def __init__(self, client: Client, named: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._client = client
        self._named = dict(named)
        self._environ = environ
        self._pages: dict[tuple[str, str], tuple[IndexFile, ...]] = {}
        self._busy: dict[tuple[str, str], Mutex] = {}
        self._mutex = Mutex()

    def url(self, index: str = "") -> str:
        """Where an index is, perhaps with user info; `""` and `pypi` mean the default index.

        Raises:
            StackbuildError: nothing says where that index is.
        """
        index = index or DEFAULT
        variable = "STACKBUILD_INDEX_" + re.sub(r"[^A-Z0-9]", "_", index.upper())
        found = self._environ.get(variable) or self._named.get(index, "")
        if not found and index == DEFAULT:
            with self._mutex:
                found = self._named[DEFAULT] = default_url(self._environ)
        if not found:
            raise StackbuildError(
                f"no such index: {index}",
                expected=f"one of {', '.join(sorted({DEFAULT, *self._named}))}",
                next_step=f"add {index} to [indexes] in stacks.toml, or set {variable}",
            )
        if urlsplit(found).scheme not in ("http", "https", "file"):
            raise StackbuildError(f"index {index} is no http, https or file URL", got=redact(found))
        return found.rstrip("/")

    def files(self, project: str, index: str = "") -> tuple[IndexFile, ...]:
        """The wheels and sdists of a project (its PEP 503 name), sorted by file name.

        Raises:
            Unreachable: the index has no such project, or does not answer.
            HostileInput: the page is no page of the Simple API.
        """
        key = (index or DEFAULT, project)
        with self._mutex:
            busy = self._busy.setdefault(key, Mutex())
        with busy:
            if key not in self._pages:
                self._pages[key] = self._ask(project, index)
            return self._pages[key]

    def _ask(self, project: str, index: str) -> tuple[IndexFile, ...]:
        base = self.url(index)
        url = f"{base}/{project}/" + ("index.html" if base.startswith("file:") else "")
        try:
            answered, body = self._client.page(url, headers={"Accept": _ACCEPT})
        except Unreachable as error:
            raise Unreachable(f"index {index or DEFAULT} has no answer for {project}", got=error.got) from None
        found = read_page(body.decode("utf-8", "replace"), answered, project)
        return tuple(replace(file, url=_with_login(file.url, base)) for file in found) if "@" in base else found

    def urls(self, pin: Pin) -> list[str]:
        """Where the pinned file is today; the bytes are judged by the pin's digest, whatever the index says now.

        Raises:
            Unreachable: the index no longer has the file.
        """
        found = [file.url for file in self.files(pin.name, pin.source) if file.name == pin.filename]
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


def _with_login(url: str, base: str) -> str:
    """The URL of a file with the user info of its index, if it lies on the very same host, as pip does it."""
    there, here = urlsplit(url), urlsplit(base)
    login, _, host = here.netloc.rpartition("@")
    if not login or (there.scheme, there.netloc) != (here.scheme, host):
        return url
    return urlunsplit(there._replace(netloc=here.netloc))
