"""Who has signed an image: what openssl signed counts, and what is hostile beside it does no harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci.source import Layout
from builder.signatures.keys import PublicKey, public
from builder.signatures.payload import defect, payload
from builder.signatures.search import Found, search
from tests.fake_image import digest
from tests.image_signatures import ANNOTATION, beside, document, pair, row

IMAGE, OTHER = Digest.of(b"image"), Digest.of(b"another image")


class Signers:
    """A layout, and two who sign."""

    def __init__(self, folder: Path) -> None:
        self.layout = folder / "layout"
        self.ours, ours = pair(folder, "ours")
        self.theirs, theirs = pair(folder, "theirs")
        self.known: PublicKey = public(ours, "ours.pub")
        self.other: PublicKey = public(theirs, "theirs.pub")

    def row(self, data: bytes | None = None, **changes: Any) -> dict[str, Any]:
        return row(self.layout, self.ours, document(IMAGE) if data is None else data, **changes)

    def found(self, *rows: dict[str, Any]) -> Found:
        beside(self.layout, IMAGE, *rows)
        return search(Layout(self.layout), IMAGE, [self.known])


@pytest.fixture
def signers(tmp_path: Path) -> Signers:
    return Signers(tmp_path)


def test_payload_is_cosigns() -> None:
    """Byte for byte what cosign 2.5 wrote for this name and digest."""
    assert payload("index.docker.io/namespace/image", IMAGE).decode() == (
        '{"critical":{"identity":{"docker-reference":"index.docker.io/namespace/image"},'
        f'"image":{{"docker-manifest-digest":"{IMAGE}"}},"type":"cosign container image signature"}},"optional":null}}'
    )
    assert not defect(payload("x", IMAGE), IMAGE)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "another document"),
        (b"[" * 100_000, "another document"),
        (b'{"critical": "yes"}', "another document"),
        (document(IMAGE, type="atomic container signature"), "another kind of document: atomic"),
        (document(OTHER), f"another image: {OTHER}"),
        (document(IMAGE, image={"docker-manifest-digest": [IMAGE]}), "another image"),
        (document("\x1b[2J" + "x" * 1000), "another image: [2Jxx"),
    ],
)
def test_what_is_no_statement_about_an_image(data: bytes, said: str) -> None:
    assert said in defect(data, IMAGE)


def test_a_signature_of_another_implementation_counts_under_any_name(signers: Signers) -> None:
    assert signers.found(signers.row()).key == signers.known


def test_one_of_several_keys_is_enough(signers: Signers) -> None:
    beside(signers.layout, IMAGE, signers.row())
    assert search(Layout(signers.layout), IMAGE, [signers.other, signers.known]).key == signers.known


def test_no_signature(signers: Signers) -> None:
    assert signers.found() == Found(None, "no signature")
    beside(signers.layout, OTHER, signers.row())
    (signers.layout / "index.json").write_text('{"manifests": []}')
    assert search(Layout(signers.layout), IMAGE, [signers.known]) == Found(None, "no signature")


def test_another_key(signers: Signers) -> None:
    found = signers.found(row(signers.layout, signers.theirs, document(IMAGE)))
    assert found == Found(None, "a signature, not by a known key")


def test_a_signature_that_was_moved_from_another_image(signers: Signers) -> None:
    found = signers.found(signers.row(document(OTHER)))
    assert found.key is None and f"ours.pub has signed, but it is of another image: {OTHER}" in found.why


Row = Callable[[Signers], dict[str, Any]]
HOSTILE: dict[str, tuple[Row, str]] = {
    "other payload": (lambda one: {**one.row(), **other(one)}, "not by a known key"),
    "no signature": (lambda one: one.row(annotations={}), "not by a known key"),
    "no base64": (lambda one: one.row(annotations={ANNOTATION: "é"}), "not by a known key"),
    "a long one": (lambda one: one.row(annotations={ANNOTATION: "A" * 8000}), "not by a known key"),
    "no annotations": (lambda one: one.row(annotations=[1]), "not by a known key"),
    "another type": (lambda one: one.row(mediaType="application/x"), "one is of another type"),
    "huge": (lambda one: one.row(size=1 << 40), "one signs more than 65536 bytes"),
    "other size": (lambda one: one.row(size=7), "other bytes than it says"),
    "not there": (lambda one: one.row(digest=digest(b"absent")), "is not there"),
}


def other(one: Signers) -> dict[str, Any]:
    """The descriptor of a document that nobody signed."""
    found = row(one.layout, one.theirs, document(IMAGE, identity={}))
    return {name: found[name] for name in ("digest", "size")}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_signature_is_passed_over_and_told(name: str, signers: Signers) -> None:
    make, said = HOSTILE[name]
    bad = make(signers)
    alone = signers.found(bad)
    assert alone.key is None and said in alone.why
    assert signers.found(bad, signers.row()).key == signers.known, "a good one beside it counts all the same"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"layers": {}}', b'{"layers": [7]}', b"[" * 100_000],
    ids=["nothing", "a list", "no layers", "a table", "a number", "deep"],
)
def test_what_is_no_list_of_signatures_is_refused(data: bytes, signers: Signers) -> None:
    beside(signers.layout, IMAGE, document=data)
    with pytest.raises(HostileInput, match="not a list of signatures"):
        search(Layout(signers.layout), IMAGE, [signers.known])


@pytest.mark.parametrize("changes", [{"digest": "sha256:x"}, {"size": -1}, {"size": "7"}, {"size": True}])
def test_a_layer_without_a_descriptor_is_refused(changes: dict[str, Any], signers: Signers) -> None:
    with pytest.raises(HostileInput):
        signers.found(signers.row(**changes))


def test_too_many_signatures_are_refused(signers: Signers) -> None:
    one = signers.row()
    with pytest.raises(HostileInput, match="not a list of signatures") as caught:
        signers.found(*[one] * 1001)
    assert caught.value.got == "1001"
    assert signers.found(*[one] * 1000).key == signers.known


def test_too_many_documents_are_not_read(signers: Signers) -> None:
    bad = signers.row(annotations={})
    rows = [{**bad, "digest": digest(str(number).encode())} for number in range(100)]
    found = signers.found(*rows, signers.row())
    assert found.key is None and "101 signatures, none by a known key" in found.why
    assert "only 100 different documents" in found.why
    assert json.loads((signers.layout / "index.json").read_bytes())
