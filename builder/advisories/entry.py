"""One entry of a database, foreign JSON, to what it says of each package (OSV schema 1.7, https://ossf.github.io/osv-schema/).

Ranges of commits (`GIT`) and members that nothing here needs are passed over, as the schema asks of readers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from builder.digest import Json
from builder.errors import HostileInput
from builder.manifest.shape import request_name

LONGEST: Final = 16 << 20
"""Bytes of one entry: those with the most are lists of a kernel's versions, and have less than one."""

_MOST: Final = 100_000
"""Versions, events, aliases or packages of one entry."""
_VERSION: Final = 256
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")
_URL: Final = re.compile(r"https://[A-Za-z0-9.-]{1,100}(/[A-Za-z0-9._~/%:=?&#+-]{0,200})?")
_EVENTS: Final = ("introduced", "fixed", "last_affected", "limit")
_RANGES: Final = frozenset({"ECOSYSTEM", "SEMVER"})

Event = tuple[str, str]
"""`introduced`, `fixed`, `last_affected` or `limit`, and the version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Versions of a package, in ranges or one by one.

    Attributes:
        ranges: the events of each, in the order of the entry.
    """

    ranges: tuple[tuple[Event, ...], ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """What one entry says of one package.

    Attributes:
        aliases: names of the same vulnerability elsewhere; upstream: those that it comes from, as DSAs have CVEs.
        modified: when the entry was changed last, RFC 3339 in UTC.
        vectors: type and score of each `severity`: (`CVSS_V3`, `CVSS:3.1/AV:N/…`).
        word: how severe its database calls it, "" where it does not.
        url: where it is described at length, by the first of its references that says so; "" where none does.
    """

    id: str
    ecosystem: str
    name: str
    aliases: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    summary: str = ""
    modified: str = ""
    vectors: tuple[tuple[str, str], ...] = ()
    word: str = ""
    url: str = ""
    affected: tuple[Affected, ...] = ()


def parse(data: bytes, where: str) -> tuple[Advisory, ...]:
    """What an entry says, sorted by package; nothing of one that was withdrawn.

    Args:
        where: for errors.

    Raises:
        HostileInput: it is no entry, or larger than any.
    """
    if len(data) > LONGEST:
        raise HostileInput("an advisory is too long", where=where, expected=f"at most {LONGEST} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _wrong(where, "JSON", type(error).__name__) from None
    try:
        return tuple(_advisories(document))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(where, "an entry in OSV's format", str(error)[:100]) from None


def _advisories(document: Mapping[str, Any]) -> Iterator[Advisory]:
    name = _text(document["id"])
    if not _ID.fullmatch(name):
        raise ValueError("an id of other characters than ids have")
    if "withdrawn" in document:
        return
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in _list(document, "affected"):
        package = one.get("package")
        if package is not None:  # An entry about commits alone has none.
            rows.setdefault(_package(package), []).append(one)
    for (ecosystem, package), own in sorted(rows.items()):
        vectors = [
            _vector(one) for one in (*_list(document, "severity"), *(v for row in own for v in _list(row, "severity")))
        ]
        yield Advisory(
            id=name,
            ecosystem=ecosystem,
            name=package,
            aliases=_ids(document, "aliases"),
            upstream=_ids(document, "upstream"),
            summary=_text(document.get("summary") or "", 10_000)[:200],
            modified=_text(document.get("modified", "")),
            vectors=tuple(dict.fromkeys(vectors)),
            word=_word(document, own),
            url=_url(document),
            affected=tuple(_affected(one) for one in own),
        )


def _package(row: Mapping[str, Any]) -> tuple[str, str]:
    """Ecosystem and name; of Python's, the name as PEP 503 normalises it, which entries do not always."""
    ecosystem, name = _text(row["ecosystem"]), _text(row["name"])
    return ecosystem, request_name(name) if ecosystem == "PyPI" else name


def _affected(row: Mapping[str, Any]) -> Affected:
    ranges = (one for one in _list(row, "ranges") if one["type"] in _RANGES)
    return Affected(
        ranges=tuple(tuple(_event(event) for event in _list(one, "events")) for one in ranges),
        versions=tuple(_text(one) for one in _list(row, "versions")),
    )


def _event(row: Mapping[str, Any]) -> Event:
    """An event has exactly one version (schema, `events`)."""
    ((kind, version),) = ((kind, row[kind]) for kind in _EVENTS if kind in row)
    return kind, _text(version)


def _vector(row: Mapping[str, Any]) -> tuple[str, str]:
    return _text(row["type"]), _text(row["score"])


def _word(document: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> str:
    """Where GitHub's, PyPA's and others' entries have it; it is in no place that the schema knows."""
    for one in (*rows, document):
        for key in ("ecosystem_specific", "database_specific"):
            said = one.get(key)
            if isinstance(said, dict) and isinstance(said.get("severity"), str):
                return _text(said["severity"])
    return ""


def _url(document: Mapping[str, Any]) -> str:
    """Of what a page or a terminal might act upon, nothing gets through: any other URL counts as none."""
    said = [one.get("url") for one in _list(document, "references") if one.get("type") == "ADVISORY"]
    return next((one for one in said if isinstance(one, str) and _URL.fullmatch(one)), "")


def _ids(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = [_text(one) for one in _list(document, key)]
    return tuple(sorted({one for one in found if _ID.fullmatch(one)}))


def _list(row: Mapping[str, Any], key: str) -> list[Any]:
    found = row.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > _MOST:
        raise TypeError(f"{key} is no list, or longer than any")
    return found


def _text(value: object, most: int = _VERSION) -> str:
    """Names and versions are data: whatever is printed of them goes through `printable`."""
    if not isinstance(value, str) or len(value) > most:
        raise TypeError(f"a text of at most {most} characters is expected")
    value.encode()  # Half a surrogate pair, which JSON can write and nobody print, is a ValueError.
    return value


def _wrong(where: str, expected: str, got: str) -> HostileInput:
    return HostileInput("an advisory is damaged", where=where, expected=expected, got=got)


def row(one: Advisory) -> Json:
    """As the index keeps it; `of_row` reads it. Ecosystem and name are where the row is found."""
    return [
        one.id,
        one.aliases,
        one.upstream,
        one.summary,
        one.modified,
        one.vectors,
        one.word,
        one.url,
        [[each.ranges, each.versions] for each in one.affected],
    ]


def of_row(found: Any, ecosystem: str, name: str) -> Advisory:
    """What `row` wrote."""
    ident, aliases, upstream, summary, modified, vectors, word, url, affected = found
    return Advisory(
        id=ident,
        ecosystem=ecosystem,
        name=name,
        aliases=tuple(aliases),
        upstream=tuple(upstream),
        summary=summary,
        modified=modified,
        vectors=tuple((kind, score) for kind, score in vectors),
        word=word,
        url=url,
        affected=tuple(
            Affected(
                ranges=tuple(tuple((kind, version) for kind, version in events) for events in ranges),
                versions=tuple(versions),
            )
            for ranges, versions in affected
        ),
    )
