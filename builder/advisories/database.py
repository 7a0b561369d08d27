"""Databases by what a person calls them: files and folders, and URLs of services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from builder.advisories.entry import Advisory
from builder.advisories.hits import orders
from builder.advisories.index import Index, open_index, together
from builder.advisories.service import Service
from builder.ecosystem import Known
from builder.errors import StackbuildError
from builder.net import Client
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """Several databases that are asked as one."""

    each: tuple[Index | Service, ...]

    def about(self, packages: frozenset[Known]) -> Mapping[tuple[str, str], tuple[Advisory, ...]]:
        """What any of them says; see `Index.about` and `Service.about`."""
        return together(one.about(packages) for one in self.each)


def open_databases(places: Sequence[str], store: Store, client: Client) -> Databases:
    """The databases of these names.

    Args:
        places: a path, or the URL of a service above `/v1`.

    Raises:
        StackbuildError: nothing is named, or a thing that is none.
    """
    if not places:
        raise StackbuildError(
            "no database of advisories is named",
            expected="files that OSV publishes (all.zip of each ecosystem), or a service that speaks OSV's API",
            next_step="name one: --database PATH_OR_URL, or [advisories] in the user's configuration",
        )
    return Databases(each=tuple(_open(place, store, client) for place in places))


def _open(place: str, store: Store, client: Client) -> Index | Service:
    if place.startswith(("https://", "http://")):
        path = urlsplit(place).path
        if path.endswith((".zip", ".json", ".jsonl")):
            raise StackbuildError(
                f"a file, and no service: {place}",
                expected="a path, or the URL of a service above /v1",
                next_step="download it, and name the file: --database PATH",
            )
        return Service(place=place.rstrip("/").removesuffix("/v1"), client=client)
    return open_index(Path(place), store, {one.partition(":")[0] for one in orders()})
