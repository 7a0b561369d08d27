"""What a repository holds, page by page, and how it goes; registries that refuse, mislead, or never end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.net import Client
from builder.transports import deletion
from builder.transports.registry import Registry
from tests.fake_uploads import FakeUploads, Request, uploads


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUploads]:
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
    with uploads() as found:
        yield found


@pytest.fixture
def registry(fake: FakeUploads, tmp_path: Path) -> Registry:
    environ = {"HOME": str(tmp_path)}
    return Registry(Client(environ=environ), fake.host, "team/cache", environ)


def fill(fake: FakeUploads, *names: str, body: bytes = b"{}") -> Digest:
    for name in (*names, Digest.of(body)):
        fake.manifests["team/cache", name] = body
    return Digest.of(body)


@pytest.mark.parametrize("page", [1, 3, 7, 1000])
def test_all_pages_are_read(fake: FakeUploads, registry: Registry, page: int) -> None:
    names = tuple(f"v{number}" for number in range(7))
    fill(fake, *names)
    fake.page = page
    assert deletion.tags(registry) == names
    assert fake.count("GET") == -(-7 // page)


def test_repository_that_is_not_there(registry: Registry) -> None:
    assert deletion.tags(registry) == ()


def answering(fake: FakeUploads, status: int, body: bytes, link: str = "", *, method: str = "GET") -> None:
    def answer(request: Request) -> bool:
        request.body()
        request.reply(status, {"Link": link} if link else {}, body)
        return True

    fake.breaks(method, "/", answer, times=20_000)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"tags": [1]}', b'{"tags": ["../x"]}', b'{"tags": "v1"}'])
def test_what_is_no_list_of_tags(fake: FakeUploads, registry: Registry, body: bytes) -> None:
    answering(fake, 200, body)
    with pytest.raises(HostileInput, match="not a list of tags"):
        deletion.tags(registry)


@pytest.mark.parametrize(
    "link", ["<http://other.example.com/v2/team/cache/tags/list?last=a>", "</v2/team/other/tags/list?last=a>", "<//[>"]
)
def test_list_that_leads_elsewhere(fake: FakeUploads, registry: Registry, link: str) -> None:
    answering(fake, 200, b'{"tags": ["a"]}', f'{link}; rel="next"')
    with pytest.raises(HostileInput, match="goes on elsewhere"):
        deletion.tags(registry)


def test_list_without_end(fake: FakeUploads, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "_PAGES", 50)
    answering(fake, 200, b'{"tags": ["a"]}', '</v2/team/cache/tags/list?last=a>; rel="next"')
    with pytest.raises(HostileInput, match="too many tags"):
        deletion.tags(registry)
    assert fake.count("GET") == 50


def test_manifest_goes_with_its_tags(fake: FakeUploads, registry: Registry) -> None:
    digest = fill(fake, "a", "b")
    fill(fake, "c", body=b'{"other": 1}')
    deletion.delete(registry, digest)
    assert deletion.tags(registry) == ("c",)
    deletion.delete(registry, digest)  # Somebody else has.


@pytest.mark.parametrize(
    ("status", "body"),
    [(405, b""), (400, b'{"errors": [{"code": "UNSUPPORTED", "message": "The operation is unsupported."}]}')],
)
def test_registry_that_deletes_nothing(fake: FakeUploads, registry: Registry, status: int, body: bytes) -> None:
    digest = fill(fake, "a")
    answering(fake, status, body, method="DELETE")
    with pytest.raises(StackbuildError, match="lets nothing be deleted") as caught:
        deletion.delete(registry, digest)
    assert "REGISTRY_STORAGE_DELETE_ENABLED" in caught.value.next_step


def test_registry_that_does_not_let_us(fake: FakeUploads, registry: Registry) -> None:
    digest = fill(fake, "a")
    answering(fake, 403, b'{"errors": [{"code": "DENIED", "message": "no"}]}', method="DELETE")
    with pytest.raises(StackbuildError, match="the registry refuses") as caught:
        deletion.delete(registry, digest)
    assert "DENIED" in caught.value.got
