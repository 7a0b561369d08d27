"""A service that speaks OSV's API (https://google.github.io/osv.dev/api/): it names entries, and is asked for these.

    POST /v1/querybatch   1,000 packages with their versions at a time → ids, in pages
    GET  /v1/vulns/ID     an entry

The service learns what one has. It is asked with versions, so that it need not send what is long fixed; whether an
entry is about a version is then judged here as it is for files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from builder.advisories.entry import LONGEST, Advisory, parse
from builder.ecosystem import Known
from builder.errors import HostileInput, StackbuildError
from builder.net import Client

_BATCH: Final = 1000
_PAGES: Final = 100
_IDS: Final = 100_000
_ANSWER: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service, by the URL above `/v1`."""

    place: str
    client: Client
    entries: int | None = None
    damaged: int = 0
    unread: tuple[str, ...] = ()

    def about(self, packages: Collection[Known]) -> Mapping[tuple[str, str], tuple[Advisory, ...]]:
        """By ecosystem and name, the entries that the service names for these packages and versions; sorted by id.

        Raises:
            Unreachable: it does not answer, or this run may use no network.
            HostileInput: it answers something else.
        """
        wanted = sorted(set(packages))
        ids: set[str] = set()
        rest = iter(wanted)
        while batch := list(islice(rest, _BATCH)):
            ids.update(self._ids(batch))
            if len(ids) > _IDS:
                raise self._wrong("fewer entries", f"{len(ids)} ids")
        names = {(one.ecosystem, one.name) for one in wanted}
        found: dict[tuple[str, str], list[Advisory]] = {}
        for advisories in self.client.each(self._entry, sorted(ids)):
            for one in advisories:
                if (one.ecosystem, one.name) in names:
                    found.setdefault((one.ecosystem, one.name), []).append(one)
        return {key: tuple(sorted(own, key=lambda one: one.id)) for key, own in found.items()}

    def _ids(self, packages: Sequence[Known]) -> Iterator[str]:
        queries = [_query(one) for one in packages]
        for _ in range(_PAGES):
            results = self._ask(queries)
            more = []
            for query, result in zip(queries, results, strict=True):
                for one in result.get("vulns") or ():
                    yield str(one["id"])
                if token := result.get("next_page_token"):
                    more.append({**query, "page_token": token})
            if not more:
                return
            queries = more
        raise self._wrong(f"at most {_PAGES} pages", "more")

    def _ask(self, queries: Sequence[Mapping[str, Any]]) -> list[Any]:
        answer = self.client.exchange(
            "POST",
            f"{self.place}/v1/querybatch",
            headers={"Content-Type": "application/json"},
            body=json.dumps({"queries": queries}).encode(),
            limit=_ANSWER,
        )
        if answer.status != 200:
            raise self._wrong("HTTP 200", f"HTTP {answer.status}")
        try:
            results = json.loads(answer.body)["results"]
            if len(results) == len(queries) and all(_shaped(one) for one in results):
                return list(results)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise self._wrong(f"a result for each of {len(queries)} queries", "something else")

    def _entry(self, ident: str) -> tuple[Advisory, ...]:
        url = f"{self.place}/v1/vulns/{quote(ident, safe='')}"
        return parse(self.client.get(url, limit=LONGEST), url)

    def _wrong(self, expected: str, got: str) -> StackbuildError:
        return HostileInput(
            "not what OSV's API answers",
            where=f"{self.place}/v1/querybatch",
            expected=expected,
            got=got,
            next_step="give the URL above /v1, or a database in files: --database PATH",
        )


def _query(one: Known) -> dict[str, Any]:
    return {"package": {"ecosystem": one.ecosystem, "name": one.name}, "version": one.version}


def _shaped(result: Any) -> bool:
    rows = result.get("vulns") or []
    token = result.get("next_page_token") or ""
    return isinstance(token, str) and isinstance(rows, list) and all(isinstance(one["id"], str) for one in rows)
