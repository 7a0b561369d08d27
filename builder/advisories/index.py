"""A database by package, made once for each content and kept in the store: `advisories/<digest>`.

    {"ecosystems": {"PyPI": {"numpy": [offset, length], …}, …}, "entries": …, "format": …, "unread": […]}
    [[id, aliases, …], …]                                                    a line for each package
    …
    sha256 of all above

So whoever asks about 500 packages reads 500 lines, not 60,000 entries. A file that is damaged counts as none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from builder.advisories import reading
from builder.advisories.entry import Advisory, of_row, parse, row
from builder.advisories.reading import Limits
from builder.digest import Digest, canonical
from builder.ecosystem import Known
from builder.errors import HostileInput
from builder.store import Store

ROOM: Final = "advisories"
_FORMAT: Final = 2
_SHOWN: Final = 20
_SEAL: Final = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A database in the store.

    Attributes:
        place: where it came from, for people.
        entries: how many it has of whatever ecosystem.
        damaged: how many of them could not be read; unread: what was wrong with the first of these.
    """

    place: str
    entries: int
    damaged: int
    unread: tuple[str, ...]
    _body: bytes
    _places: Mapping[str, Mapping[str, tuple[int, int]]]

    def about(self, packages: Collection[Known]) -> Mapping[tuple[str, str], tuple[Advisory, ...]]:
        """By ecosystem and name, what is said of these packages, whatever their version; sorted by id."""
        found: dict[tuple[str, str], tuple[Advisory, ...]] = {}
        for one in packages:
            place = self._places.get(one.ecosystem, {}).get(one.name)
            if place is not None and (one.ecosystem, one.name) not in found:
                start, length = place
                rows = json.loads(self._body[start : start + length])
                found[one.ecosystem, one.name] = tuple(of_row(each, one.ecosystem, one.name) for each in rows)
        return found


def open_index(place: Path, store: Store, ecosystems: Collection[str], limits: Limits | None = None) -> Index:
    """The index of a database in files, out of the store if it has one of the same content.

    Args:
        ecosystems: those that are kept, without releases.

    Raises:
        StackbuildError: there is no database there.
        HostileInput: it is larger than any, or hardly anything in it is an entry.
    """
    found = reading.files(place)
    content = f"{_FORMAT} {sorted(ecosystems)} {reading.digest(place, found)}"
    name = f"{ROOM}/{Digest.of(content.encode()).hex}"
    index = _read(store.path / name, str(place))
    if index is None:
        store.write(name, _made(found, ecosystems, limits or Limits()))
        index = _read(store.path / name, str(place))
    assert index is not None, name
    return index


def _made(files: tuple[Path, ...], ecosystems: Collection[str], limits: Limits) -> bytes:
    packages: dict[tuple[str, str], dict[str, Advisory]] = {}
    count, wrong = 0, list[str]()
    for where, data in reading.entries(files, limits):
        count += 1
        try:
            advisories = parse(data, where)
        except HostileInput as error:
            wrong.append(" ".join(filter(None, (error.what, error.where, error.got))))
            continue
        for one in advisories:
            if one.ecosystem.partition(":")[0] in ecosystems:
                own = packages.setdefault((one.ecosystem, one.name), {})
                if one.id not in own or own[one.id].modified < one.modified:
                    own[one.id] = one  # Databases overlap; the newer entry counts.
    if wrong and len(wrong) == count:
        raise HostileInput("no database of advisories: nothing in it is an entry", got=wrong[0])
    return _text(packages, {"format": _FORMAT, "entries": count, "damaged": len(wrong), "unread": wrong[:_SHOWN]})


def _text(packages: Mapping[tuple[str, str], Mapping[str, Advisory]], head: dict[str, Any]) -> bytes:
    lines, places, offset = [], dict[str, dict[str, list[int]]](), 0
    for (ecosystem, name), own in sorted(packages.items()):
        line = canonical([row(own[ident]) for ident in sorted(own)]) + b"\n"
        places.setdefault(ecosystem, {})[name] = [offset, len(line)]
        lines.append(line)
        offset += len(line)
    text = canonical({**head, "ecosystems": places}) + b"\n" + b"".join(lines)
    return text + hashlib.sha256(text).hexdigest().encode() + b"\n"


def _read(path: Path, place: str) -> Index | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if data[-_SEAL:] != hashlib.sha256(memoryview(data)[:-_SEAL]).hexdigest().encode() + b"\n":
        return None
    first = data.index(b"\n") + 1
    head = json.loads(data[:first])
    return Index(
        place=place,
        entries=head["entries"],
        damaged=head["damaged"],
        unread=tuple(head["unread"]),
        _body=data[first:-_SEAL],
        _places={
            ecosystem: {name: (start, length) for name, (start, length) in names.items()}
            for ecosystem, names in head["ecosystems"].items()
        },
    )


def together(
    found: Iterable[Mapping[tuple[str, str], tuple[Advisory, ...]]],
) -> Mapping[tuple[str, str], tuple[Advisory, ...]]:
    """What several databases say of packages; of an entry that several have, what the one that knows it newest says."""
    packages: dict[tuple[str, str], dict[str, Advisory]] = {}
    for each in found:
        for key, advisories in each.items():
            own = packages.setdefault(key, {})
            for one in advisories:
                if one.id not in own or own[one.id].modified < one.modified:
                    own[one.id] = one
    return {key: tuple(own[ident] for ident in sorted(own)) for key, own in packages.items()}
