"""The Simple API: which files an index has of a project (PEP 503 in HTML, PEP 691 in JSON, PEP 592, 658, 700).

A lock names an index only by its name in the stacks manifest. Where that index is, this machine says:
`STACKBUILD_INDEX_<NAME>`, else the manifest's URL; for the default index else pip's or uv's environment variables,
pip's configuration, and at last what pip itself has built in. So a mirror's host is in no lock and no source file.

pip's `extra-index-url` and `find-links` are ignored on purpose: with several indexes for every name, whoever
registers an internal name on a public index decides what is installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html.parser import HTMLParser
from threading import Lock as Mutex
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.version import InvalidVersion, Version

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.lock import Pin
from builder.net import Client, redact

DEFAULT = "pypi"
"""The default index's name in the stacks manifest; a lock leaves it out."""

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a project, as its index tells it.

    Attributes:
        name: the file name, checked to be only that.
        url: absolute; http, https, or file where the index itself is a folder.
        digest: sha256, None where the index names none.
        size: bytes, None where the index does not say (PEP 503 never does).
        requires_python: a specifier of versions, "" for any.
        yanked: PEP 592.
        uploaded: with time zone; None where the index does not say.
        metadata: PEP 658: None where no sidecar is offered, "" where it is without a digest, else its sha256.
    """

    name: str
    url: str
    digest: Digest | None = None
    size: int | None = None
    requires_python: str = ""
    yanked: bool = False
    uploaded: datetime | None = None
    metadata: str | None = None

    @property
    def is_wheel(self) -> bool:
        return self.name.endswith(".whl")


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
            raise Unreachable(
                f"index {index or DEFAULT} has no answer for {project}", got=error.got
            ) from None
        return read_page(body.decode("utf-8", "replace"), answered, project)

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


def read_page(text: str, url: str, project: str) -> tuple[IndexFile, ...]:
    """The files on a page; what is no wheel or sdist of that project is left out, as pip does.

    Raises:
        HostileInput: the page is JSON but not the Simple API's.
    """
    rows = _json_rows(text, url) if text.lstrip().startswith("{") else _html_rows(text)
    found: dict[str, IndexFile] = {}
    for base, href, name, attributes in rows:
        file = _file(base, href, name, attributes, url, project)
        if file is not None:
            found.setdefault(file.name, file)
    return tuple(found[name] for name in sorted(found))


_Row = tuple[str, str, str, Mapping[str, str | None]]
"""The page's base or "", href, file name or "", and the anchor's attributes (data-requires-python, …)."""


def _html_rows(text: str) -> Iterator[_Row]:
    reader = _Anchors()
    reader.feed(text)
    reader.close()
    for attributes in reader.found:
        yield reader.base, attributes["href"] or "", "", attributes


class _Anchors(HTMLParser):
    """Collects the attributes of every `<a href>`, and the page's `<base>`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            attributes = dict(attrs)
            if attributes.get("href"):
                self.found.append(attributes)
        elif tag == "base" and not self.base:
            self.base = dict(attrs).get("href") or ""


def _json_rows(text: str, url: str) -> Iterator[_Row]:
    try:
        page = json.loads(text)
        version = str(page["meta"]["api-version"])
        files: Sequence[Mapping[str, Any]] = page["files"]
        if version.partition(".")[0] != "1":
            raise HostileInput(f"unknown Simple API: {redact(url)}", expected="version 1", got=version[:20])
        for file in files:
            core = file.get(
                "core-metadata", file.get("data-dist-info-metadata", file.get("dist-info-metadata"))
            )
            yield (
                "",
                str(file["url"]),
                str(file["filename"]),
                {
                    "sha256": str(file.get("hashes", {}).get("sha256") or ""),
                    "size": str(file.get("size") or ""),
                    "data-requires-python": str(file.get("requires-python") or ""),
                    "data-yanked": "" if file.get("yanked") else None,
                    "data-upload-time": str(file.get("upload-time") or ""),
                    "data-core-metadata": _core(core),
                },
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostileInput(f"not a page of the Simple API: {redact(url)}", got=type(error).__name__) from None


def _core(value: object) -> str | None:
    if isinstance(value, Mapping):
        return f"sha256={value.get('sha256', '')}"
    return "true" if value else None


def _file(
    base: str, href: str, name: str, row: Mapping[str, str | None], page: str, project: str
) -> IndexFile | None:
    try:
        # Nearly every link is absolute, and some pages have five thousand.
        target, _, fragment = _joined(page, base, href).partition("#")
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") and not (parts.scheme == "file" and page.startswith("file:")):
        return None
    name = name or unquote(parts.path.rpartition("/")[2])
    if not _FILENAME.fullmatch(name) or released(name, project) is None:
        return None
    found = re.search(r"(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|$)", fragment)
    hexdigest = (row.get("sha256") or (found.group(1) if found else "")).lower()
    sidecar = row.get("data-core-metadata", row.get("data-dist-info-metadata"))
    size = row.get("size") or ""
    return IndexFile(
        name=name,
        url=target,
        digest=Digest("sha256:" + hexdigest) if _SHA256.fullmatch(hexdigest) else None,
        size=int(size) if size.isdigit() else None,
        requires_python=row.get("data-requires-python") or "",
        yanked=row.get("data-yanked") is not None if "sha256" in row else "data-yanked" in row,
        uploaded=_time(row.get("data-upload-time") or ""),
        metadata=sidecar.removeprefix("sha256=").removeprefix("true") if sidecar else None,
    )


def _joined(page: str, base: str, href: str) -> str:
    return href if href.startswith("https://") else urljoin(urljoin(page, base), href)


def _time(text: str) -> datetime | None:
    """PEP 700's upload time; in HTML it is an attribute that uv reads too. A time without zone is none at all."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def released(filename: str, project: str) -> Version | None:
    """The version that a file name tells; None if it is no wheel or sdist, or another project's (PEP 427, 625)."""
    if filename.endswith(".whl"):
        parts = filename[:-4].split("-")
        name, text = parts[0], parts[1] if len(parts) in (5, 6) else ""
    else:
        suffix = next((one for one in (".tar.gz", ".zip") if filename.endswith(one)), None)
        name, _, text = filename.removesuffix(suffix or filename).rpartition("-")
    return _version(text.replace("_", "-")) if _canonical(name) == project else None


@lru_cache(maxsize=1 << 12)
def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=1 << 14)
def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
