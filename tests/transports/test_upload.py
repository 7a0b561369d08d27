"""Uploads to a registry that fails, forgets, closes and lies: what is there is whole, or an error says why."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.net import Client
from builder.transports.registry import Registry
from builder.transports.upload import Upload
from tests.fake_uploads import FakeUploads, Request, uploads

LARGE = random.Random(3).randbytes(5 << 20)
SMALL = b"a config"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUploads]:
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
    with uploads() as found:
        yield found


@pytest.fixture
def upload(registry: FakeUploads, tmp_path: Path) -> Upload:
    return _upload(registry, tmp_path)


def _upload(registry: FakeUploads, home: Path, repository: str = "family/lab") -> Upload:
    environ = {"HOME": str(home)}
    return Upload(Registry(Client(environ=environ), registry.host, repository, environ))


def send(upload: Upload, folder: Path, data: bytes, session: str = "") -> Digest:
    digest = Digest.of(data)
    path = folder / digest.hex
    path.write_bytes(data)
    upload.blob(digest, path, len(data), session)
    return digest


def status(code: int, **headers: str) -> object:
    """A fault: the body is read, and that status is the answer."""

    def answer(request: Request) -> bool:
        request.body()
        request.reply(code, {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return answer


def half(request: Request) -> bool:
    """A fault: takes half of what is sent, and breaks the connection."""
    data = request.registry.sessions[request.route.rpartition("/")[2]][1]
    request.registry.take(request, data, int(request.headers["Content-Length"]) // 2)
    request.cut()
    return True


def forgets(request: Request) -> bool:
    """A fault: the session is gone; the request is then answered as usual."""
    request.registry.sessions.pop(request.route.rpartition("/")[2], None)
    return False


def lost(request: Request) -> bool:
    """A fault: all is done as asked, and the answer gets lost."""
    request.reply = lambda *_, **__: request.cut()  # type: ignore[method-assign]
    return False


@pytest.mark.parametrize("data", [SMALL, LARGE, b""], ids=["small", "large", "empty"])
def test_a_blob(registry: FakeUploads, upload: Upload, tmp_path: Path, data: bytes) -> None:
    assert not upload.has(Digest.of(data))
    digest = send(upload, tmp_path, data)
    assert registry.blobs["family/lab", digest] == data
    assert upload.has(digest)
    assert registry.received == len(data)


def test_a_connection_that_breaks_goes_on_where_it_was(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    registry.breaks("PATCH", "/uploads/", half, times=3)
    digest = send(upload, tmp_path, LARGE)
    assert registry.blobs["family/lab", digest] == LARGE
    assert registry.received == len(LARGE), "nothing was sent twice"
    assert registry.count("POST") == 1


def test_a_session_that_is_forgotten(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    registry.breaks("PATCH", "/uploads/", half)
    registry.breaks("GET", "/uploads/", forgets)
    digest = send(upload, tmp_path, LARGE)
    assert registry.blobs["family/lab", digest] == LARGE
    assert registry.count("POST") == 2


@pytest.mark.parametrize("code", [429, 500, 503])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
def test_what_passes_by_itself(registry: FakeUploads, upload: Upload, tmp_path: Path, method: str, code: int) -> None:
    registry.breaks(method, "/blobs/", status(code, Retry_After="0"), times=2)  # type: ignore[arg-type]
    assert not upload.has(Digest.of(LARGE))
    digest = send(upload, tmp_path, LARGE)
    assert registry.blobs["family/lab", digest] == LARGE
    assert not registry.faults


def test_retry_after_is_honoured(
    registry: FakeUploads, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("builder.requester.time.sleep", slept.append)
    registry.breaks("PATCH", "/uploads/", status(429, Retry_After="7"))  # type: ignore[arg-type]
    send(upload, tmp_path, LARGE)
    assert 7 in slept


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_answer_that_gets_lost(registry: FakeUploads, upload: Upload, tmp_path: Path, data: bytes) -> None:
    """The blob is there, its session is not: that is as good as the answer."""
    registry.breaks("PUT", "/uploads/", lost)
    digest = send(upload, tmp_path, data)
    assert registry.blobs["family/lab", digest] == data


def test_a_registry_that_never_recovers(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    registry.breaks("POST", "/uploads/", status(503), times=100)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        send(upload, tmp_path, LARGE)
    assert not registry.blobs


def test_a_registry_that_takes_nothing_more(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    """It acknowledges, and never has more than before: an end, not a loop."""
    nothing = status(202, Location="/v2/family/lab/blobs/uploads/session-1", Range="0-0")
    registry.breaks("PATCH", "/uploads/", nothing, times=1000)  # type: ignore[arg-type]
    with pytest.raises(Unreachable, match="takes nothing more"):
        send(upload, tmp_path, LARGE)


def test_a_refusal_has_the_registrys_words(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    def refuse(request: Request) -> bool:
        request.body()
        request.reply(403, body=b'{"errors": [{"code": "DENIED", "message": "quota of 5 GB is used up"}]}')
        return True

    registry.breaks("POST", "/uploads/", refuse)
    with pytest.raises(StackbuildError) as caught:
        send(upload, tmp_path, SMALL)
    assert "quota of 5 GB is used up" in str(caught.value)


def test_other_bytes_than_promised(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"something else")
    with pytest.raises(StackbuildError) as caught:
        upload.blob(Digest.of(SMALL), path, 14)
    assert "DIGEST_INVALID" in str(caught.value)
    assert not registry.blobs


@pytest.mark.parametrize("method", ["blob", "manifest"])
def test_a_registry_that_lies(registry: FakeUploads, upload: Upload, tmp_path: Path, method: str) -> None:
    other = Digest.of(b"other")
    path = "/uploads/" if method == "blob" else "/manifests/"
    registry.breaks("PUT", path, status(201, Docker_Content_Digest=other))  # type: ignore[arg-type]
    with pytest.raises(HostileInput) as caught:
        if method == "blob":
            send(upload, tmp_path, SMALL)
        else:
            upload.manifest("tag", "application/vnd.oci.image.manifest.v1+json", b"{}")
    assert caught.value.got == other


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", ""])
def test_an_upload_is_not_sent_just_anywhere(registry: FakeUploads, upload: Upload, tmp_path: Path, where: str) -> None:
    registry.breaks("POST", "/uploads/", status(202, **({"Location": where} if where else {})))  # type: ignore[arg-type]
    with pytest.raises(HostileInput, match="elsewhere"):
        send(upload, tmp_path, SMALL)


def test_an_upload_follows_no_redirect(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    registry.breaks("PATCH", "/uploads/", status(307, Location="http://127.0.0.1:1/x"))  # type: ignore[arg-type]
    with pytest.raises(StackbuildError, match="refuses") as caught:
        send(upload, tmp_path, LARGE)
    assert caught.value.got == "HTTP 307"


def test_a_registry_that_forgets_half_again_and_again(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    """Replicas that know different parts of an upload: an end, not a loop."""
    where = "/v2/family/lab/blobs/uploads/session-1"
    for end in ("1048575", "2097151") * 200:
        told = status(202, Location=where, Range=f"0-{end}")
        registry.breaks("PATCH", "/uploads/", told)  # type: ignore[arg-type]
    with pytest.raises(Unreachable, match="takes nothing more"):
        send(upload, tmp_path, LARGE)


def test_mounted_without_a_byte(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    digest = send(upload, tmp_path, LARGE)
    sent = registry.received
    other = _upload(registry, tmp_path, "family/full")
    assert other.mount(digest, "family/lab") == ""
    assert registry.blobs["family/full", digest] == LARGE
    assert registry.received == sent


def test_a_mount_that_is_declined_is_an_upload(registry: FakeUploads, upload: Upload, tmp_path: Path) -> None:
    """Into the session that the registry offers, and no second one."""
    registry.mounts = False
    digest = send(upload, tmp_path, LARGE)
    other = _upload(registry, tmp_path, "family/full")
    session = other.mount(digest, "family/lab")
    assert session
    send(other, tmp_path, LARGE, session)
    assert registry.blobs["family/full", digest] == LARGE
    assert registry.count("POST") == 2


def test_manifests_and_tags(registry: FakeUploads, upload: Upload) -> None:
    body = b'{"schemaVersion": 2}'
    upload.manifest("2026.11", "application/vnd.oci.image.manifest.v1+json", body)
    assert registry.manifests["family/lab", "2026.11"] == body
    assert upload.registry.head("2026.11") == Digest.of(body)


@pytest.mark.parametrize("lifetime", [1, 2, 3])
def test_a_token_that_expires_in_the_middle_of_an_upload(registry: FakeUploads, tmp_path: Path, lifetime: int) -> None:
    """After each request, after every second or third: the body goes again with the next token, and nothing is lost."""
    registry.lifetime = lifetime
    upload = _upload(registry, tmp_path)
    assert not upload.has(Digest.of(LARGE))
    digest = send(upload, tmp_path, LARGE)
    assert registry.blobs["family/lab", digest] == LARGE
    assert all("repository:family/lab:pull,push" in scopes for scopes in registry.scopes)
    assert len(registry.scopes) >= 4 // lifetime, "HEAD, POST, PATCH and PUT"
