"""Signatures beside images in a registry: what others laid there stays, and no writer loses another's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from builder.digest import Digest, Json, canonical
from builder.errors import HostileInput, Unreachable
from builder.net import Client
from builder.transports.registry import Registry
from builder.transports.signature_tag import Signature, add, signatures, tag
from builder.transports.upload import Upload
from tests.fake_uploads import FakeUploads, Request, uploads

IMAGE = Digest.of(b"image")
TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUploads]:
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
    with uploads() as found:
        yield found


@pytest.fixture
def upload(fake: FakeUploads) -> Upload:
    return Upload(Registry(Client(), fake.host, "team/lab", {}))


def signature(text: str) -> tuple[Signature, bytes]:
    data = f"payload {text}".encode()
    return Signature(
        media_type=TYPE, payload=Digest.of(data), size=len(data), signature=f"signed {text}".encode()
    ), data


def theirs(*texts: str, **more: Json) -> bytes:
    """A manifest as another program writes it."""
    said = {"dev.cosignproject.cosign/signature": "AAAA", "dev.sigstore.cosign/bundle": '{"Payload": 1}'}
    rows: list[Json] = [
        {"mediaType": TYPE, "digest": Digest.of(text.encode()), "size": len(text), "annotations": said}
        for text in texts
    ]
    config: Json = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest.of(b"x"), "size": 1}
    return canonical({"schemaVersion": 2, "config": config, "layers": rows, **more})


def lay(fake: FakeUploads, body: bytes) -> None:
    fake.manifests["team/lab", tag(IMAGE)] = fake.manifests["team/lab", Digest.of(body)] = body


def manifest(fake: FakeUploads) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fake.manifests["team/lab", tag(IMAGE)])
    return found


def test_the_first_one(fake: FakeUploads, upload: Upload) -> None:
    assert signatures(upload.registry, IMAGE) == ()
    row, data = signature("one")
    add(upload, IMAGE, row, data)
    assert signatures(upload.registry, IMAGE) == (row,)
    assert tag(IMAGE) == f"sha256-{IMAGE.hex}.sig"
    found = manifest(fake)
    assert found["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert fake.blobs["team/lab", row.payload] == data
    config = json.loads(fake.blobs["team/lab", found["config"]["digest"]])
    assert config["rootfs"] == {"type": "layers", "diff_ids": [row.payload]}


def test_again_writes_nothing(fake: FakeUploads, upload: Upload) -> None:
    row, data = signature("one")
    add(upload, IMAGE, row, data)
    fake.seen.clear()
    add(upload, IMAGE, row, data)
    assert {method for method, _ in fake.seen} == {"HEAD", "GET"}


def test_what_others_laid_there_stays(fake: FakeUploads, upload: Upload) -> None:
    lay(fake, theirs("their payload", annotations={"who": "they"}))
    row, data = signature("one")
    add(upload, IMAGE, row, data)
    found = manifest(fake)
    assert found["layers"][0] == json.loads(theirs("their payload"))["layers"][0], "with all that they say of it"
    assert found["annotations"] == {"who": "they"}
    config = json.loads(fake.blobs["team/lab", found["config"]["digest"]])
    assert config["rootfs"]["diff_ids"] == [one["digest"] for one in found["layers"]]
    assert signatures(upload.registry, IMAGE)[1] == row


def test_who_is_written_over_writes_again(fake: FakeUploads, upload: Upload) -> None:
    """Another program reads the list before us and writes it after us."""

    def overtakes(request: Request) -> bool:
        request.body()
        lay(fake, theirs("their payload"))
        request.reply(201)
        return True

    fake.breaks("PUT", f"/manifests/{tag(IMAGE)}", overtakes)
    row, data = signature("one")
    add(upload, IMAGE, row, data)
    assert [one.payload for one in signatures(upload.registry, IMAGE)] == [Digest.of(b"their payload"), row.payload]


def test_a_registry_that_forgets_is_told_of(fake: FakeUploads, upload: Upload) -> None:
    def forgets(request: Request) -> bool:
        request.body()
        request.reply(201)
        return True

    fake.breaks("PUT", f"/manifests/{tag(IMAGE)}", forgets, times=10)
    with pytest.raises(Unreachable, match="does not keep signatures"):
        add(upload, IMAGE, *signature("one"))


def test_a_full_list_stays_as_it_is(fake: FakeUploads, upload: Upload) -> None:
    full = theirs(*map(str, range(1000)))
    lay(fake, full)
    with pytest.raises(HostileInput, match="not a list of signatures") as caught:
        add(upload, IMAGE, *signature("one"))
    assert caught.value.expected == "fewer than 1000 signatures"
    assert fake.manifests["team/lab", tag(IMAGE)] == full
