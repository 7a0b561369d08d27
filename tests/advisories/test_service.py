"""A service with OSV's API, played on the loopback interface: batches, pages, offline, and answers that are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.advisories.database import open_databases
from builder.advisories.service import Service
from builder.ecosystem import Known
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.net import Client
from builder.offline import VARIABLE
from builder.store import Store
from tests import osv
from tests.osv import affected, entry, folder

ENTRIES = [
    entry("PYSEC-1", affected("PyPI", "jinja2", {"introduced": "0"}, {"fixed": "3"})),
    entry("PYSEC-2", affected("PyPI", "jinja2", {"introduced": "0"})),
    entry("GHSA-3", affected("npm", "ws", {"introduced": "0"}), affected("npm", "other", {"introduced": "0"})),
]
WANTED = frozenset({Known("PyPI", "jinja2", "3.1"), Known("npm", "ws", "8.0.0"), Known("Debian:12", "bash", "5.2-1")})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[osv.Service]:
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
    with osv.serving(ENTRIES) as found:
        yield found


def ask(service: osv.Service, wanted: frozenset[Known] = WANTED) -> dict[tuple[str, str], list[str]]:
    found = Service(place=service.url, client=Client(environ={})).about(wanted)
    return {key: [one.id for one in each] for key, each in found.items()}


def test_it_is_asked_for_packages_with_versions_then_for_entries(service: osv.Service) -> None:
    assert ask(service) == {("PyPI", "jinja2"): ["PYSEC-1", "PYSEC-2"], ("npm", "ws"): ["GHSA-3"]}
    assert {"package": {"ecosystem": "Debian:12", "name": "bash"}, "version": "5.2-1"} in service.queries
    entries = sorted(path for path in service.paths if "vulns" in path)
    assert entries == ["/v1/vulns/GHSA-3", "/v1/vulns/PYSEC-1", "/v1/vulns/PYSEC-2"]


def test_pages_are_followed(service: osv.Service) -> None:
    service.page = 1
    assert ask(service)["PyPI", "jinja2"] == ["PYSEC-1", "PYSEC-2"]
    assert service.paths.count("/v1/querybatch") == 2


def test_a_thousand_at_a_time(service: osv.Service) -> None:
    many = frozenset(Known("PyPI", f"p{number}", "1") for number in range(2500))
    assert ask(service, many) == {}
    assert len(service.queries) == 2500
    assert service.paths == ["/v1/querybatch"] * 3


def test_offline_nobody_is_asked(service: osv.Service) -> None:
    with pytest.raises(Unreachable, match="offline"):
        Service(place=service.url, client=Client(environ={VARIABLE: "1"})).about(WANTED)
    assert service.paths == []


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"results": []}'),
        (200, b'{"results": [{}, {}, {"vulns": [{"id": 3}]}]}'),
        (200, b'{"results": [{}, {}, {"vulns": {"id": "A"}}]}'),
        (200, b'{"results": [{}, {}, {"next_page_token": 3}]}'),
        (200, b'{"results": [{}, {}, null]}'),
        (200, b"[" * 100_000),
        (404, b"{}"),
        (400, b"{}"),
    ],
)
def test_other_answers_are_errors(service: osv.Service, answer: tuple[int, bytes]) -> None:
    service.broken["/v1/querybatch"] = answer
    with pytest.raises(HostileInput, match="OSV's API"):
        ask(service)


def test_pages_without_end_are_refused(service: osv.Service) -> None:
    service.broken["/v1/querybatch"] = (200, b'{"results": [{"next_page_token": "again"}]}')
    with pytest.raises(HostileInput):
        ask(service, frozenset({Known("PyPI", "jinja2", "3.1")}))
    assert len(service.paths) <= 101


def test_an_id_is_no_path(service: osv.Service) -> None:
    service.broken["/v1/querybatch"] = (200, b'{"results": [{"vulns": [{"id": "../../admin?x=1"}]}]}')
    with pytest.raises(StackbuildError):
        ask(service, frozenset({Known("PyPI", "jinja2", "3.1")}))
    assert service.paths[-1] == "/v1/vulns/..%2F..%2Fadmin%3Fx%3D1"


def test_an_entry_that_is_none_is_an_error(service: osv.Service) -> None:
    service.broken["/v1/vulns/PYSEC-1"] = (200, b"{}")
    with pytest.raises(StackbuildError):
        ask(service)


def test_files_and_services_together(service: osv.Service, tmp_path: Path) -> None:
    own = folder(tmp_path / "own", [entry("OWN-1", affected("PyPI", "jinja2", {"introduced": "0"}))])
    store = Store.open(tmp_path / "store")
    databases = open_databases([f"{service.url}/v1/", str(own)], store, Client(environ={}))
    assert [one.id for one in databases.about(WANTED)["PyPI", "jinja2"]] == ["OWN-1", "PYSEC-1", "PYSEC-2"]


def test_a_file_is_no_service(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with pytest.raises(StackbuildError, match="no service"):
        open_databases(["https://osv.example.com/PyPI/all.zip"], store, Client(environ={}))
    with pytest.raises(StackbuildError, match="no database"):
        open_databases([], store, Client(environ={}))
