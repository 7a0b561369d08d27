"""One page of the Simple API: what an index says of a project's files (PEP 503 HTML, PEP 691 JSON).

Pages come from elsewhere: a link that is no file of that project, under a plain name, over http or https, is left
out, as pip does. Where both forms say more than PEP 503: PEP 592 (yanked), PEP 658 (metadata), PEP 700 (size, time).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.version import InvalidVersion, Version

from builder.digest import Digest
from builder.digits import digits
from builder.errors import HostileInput
from builder.redaction import redact

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


def read_page(text: str, url: str, project: str, version: str = "") -> tuple[IndexFile, ...]:
    """The files on a page; what is no wheel or sdist of that project is left out, as pip does.

    Args:
        version: that release's files only, "" for all. Some pages have five thousand links, so that those which
            cannot be of that release are passed over before anything is parsed.

    Raises:
        HostileInput: the page is JSON but not the Simple API's.
    """
    wanted = _version(version) if version else None
    if wanted is None:
        return _read(text, url, project, "")
    # Who writes a dot as %2E is still understood.
    files = _read(text, url, project, _sign(wanted)) or _read(text, url, project, "")
    return tuple(file for file in files if released(file.name, project) == wanted)


def _read(text: str, url: str, project: str, sign: str) -> tuple[IndexFile, ...]:
    """The files whose name or link has `sign` in it."""
    rows = _json_rows(text, url) if text.lstrip().startswith("{") else _html_rows(_thinned(text, sign))
    found: dict[str, IndexFile] = {}
    for base, href, name, attributes in rows:
        file = _file(base, href, name, attributes, url, project) if sign in (name or href) else None
        if file is not None:
            found.setdefault(file.name, file)
    return tuple(found[name] for name in sorted(found))


def _sign(version: Version) -> str:
    """What every spelling of a version has in it: `2.0.post1`, `2.0-1` and `2` all have `2`."""
    release = list(version.release)
    while len(release) > 1 and not release[-1]:
        release.pop()
    return ".".join(map(str, release))


def _thinned(text: str, sign: str) -> str:
    """The page without the links that do not have `sign` in them."""
    if not sign:
        return text
    head, *links = re.split(r"(?=<a\s)", text, flags=re.IGNORECASE)
    return head + "".join(link for link in links if sign in link)


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
            core = file.get("core-metadata", file.get("data-dist-info-metadata", file.get("dist-info-metadata")))
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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HostileInput(f"not a page of the Simple API: {redact(url)}", got=type(error).__name__) from None


def _core(value: object) -> str | None:
    if isinstance(value, Mapping):
        return f"sha256={value.get('sha256', '')}"
    return "true" if value else None


def _file(base: str, href: str, name: str, row: Mapping[str, str | None], page: str, project: str) -> IndexFile | None:
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
        size=int(size) if digits(size) else None,
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
