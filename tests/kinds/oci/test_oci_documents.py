"""References, indexes, manifests, configs and locks: what is right is read, what is not is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.oci import documents, lockfile
from builder.kinds.oci.lockfile import BaseLayer, BaseLock, pin
from builder.kinds.oci.reference import Reference, parse
from builder.kinds.oci.resolve import resolve
from builder.kinds.oci.source import Layout
from builder.transports.document import Document
from tests.fake_image import INDEX, MANIFEST, Image, file, put, tagged
from tests.kinds.oci.conftest import base_image

DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("debian:bookworm", "docker.io", "library/debian", "bookworm", ""),
        ("jupyter/base-notebook:1", "docker.io", "jupyter/base-notebook", "1", ""),
        ("quay.io/jupyter/base-notebook:2025-01-01", "quay.io", "jupyter/base-notebook", "2025-01-01", ""),
        (f"quay.io/a/b:1@{DIGEST}", "quay.io", "a/b", "1", DIGEST),
        (f"quay.io/a/b@{DIGEST}", "quay.io", "a/b", "", DIGEST),
        ("localhost/a:1", "localhost", "a", "1", ""),
        ("localhost:5000/a/b/c:1", "localhost:5000", "a/b/c", "1", ""),
        ("127.0.0.1:5000/a:1", "127.0.0.1:5000", "a", "1", ""),
        ("index.docker.io/library/debian:1", "docker.io", "library/debian", "1", ""),
        ("./bases/one:1.0", "", "./bases/one", "1.0", ""),
        (f"../one@{DIGEST}", "", "../one", "", DIGEST),
    ],
)
def test_references(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    found = parse(text)
    assert found == Reference(host=host, repository=repository, tag=tag, digest=digest)
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["debian", "quay.io/a/b", "quay.io/A/b:1", "localhost:5000/a", "quay.io/a//b:1", "a:1@sha256:12", "./x", "", ":1",
     "user:secret@quay.io/a:1", "quay.io/../a:1", "https://quay.io/a:1"],
)  # fmt: skip
def test_no_references(text: str) -> None:
    with pytest.raises(StackbuildError, match="not a reference"):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    try:
        found = parse(text)
    except StackbuildError:
        return
    assert parse(str(found)) == found


def resolved(layout: Path, tag: str = "1.0", platform: str = "linux/amd64") -> BaseLock:
    reference = Reference(host="quay.io", repository="team/base", tag=tag)
    return resolve(str(reference), reference, Layout(layout), platform)


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize("index", [False, True])
def test_an_image_of_either_family(tmp_path: Path, docker: bool, index: bool) -> None:
    tagged(tmp_path, "1.0", base_image(docker=docker), index=index)
    found = resolved(tmp_path)
    assert {layer.media_type for layer in found.layers} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert "OnBuild" not in found.defaults
    assert found.defaults["Env"] == ["PATH=/opt/conda/bin:/usr/bin", "CONDA_DIR=/opt/conda"]
    assert (found.index == found.manifest) == (not index)
    assert len({one.name for one in found.blobs}) == 4


def test_a_platform_of_several(tmp_path: Path) -> None:
    tagged(tmp_path, "1.0", base_image(), Image([[file("a")]], platform="linux/arm64"))
    assert len(resolved(tmp_path, platform="linux/arm64").layers) == 1
    with pytest.raises(StackbuildError) as caught:
        resolved(tmp_path, platform="linux/s390x")
    assert (caught.value.what, caught.value.got) == (
        "no image for linux/s390x: quay.io/team/base:1.0",
        "linux/amd64, linux/arm64",
    )


def test_an_image_of_one_platform_only(tmp_path: Path) -> None:
    tagged(tmp_path, "1.0", base_image())
    with pytest.raises(StackbuildError, match="no image for linux/arm64"):
        resolved(tmp_path, platform="linux/arm64")


def test_attestations_are_passed_over(tmp_path: Path) -> None:
    row = {**base_image().write(tmp_path), "platform": {"os": "unknown", "architecture": "unknown"}}
    right = {**row, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
    other = {**row, "digest": DIGEST, "platform": {"os": "linux", "architecture": "arm64", "variant": "v9"}}
    text = json.dumps({"mediaType": INDEX, "manifests": [row, other, right]}).encode()
    document = Document(media_type="", digest=Digest.of(text), body=text)
    assert documents.choose(document, "linux/arm64", "x") == row["digest"]


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        place: Any = document
        for part in way:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("schemaVersion", 1), "not an image that can be built on"),
        (_set("mediaType", "application/vnd.oci.artifact.v1+json"), "not an image that can be built on"),
        (_set("config.mediaType", "application/vnd.oci.empty.v1+json"), "not a container image"),
        (_set("config", None), "no manifest"),
        (_set("layers", []), "no image"),
        (_set("layers", {}), "no manifest"),
        (_set("layers", ["x"]), "no manifest"),
        (_set("layers.0.size", -1), "no manifest"),
        (_set("layers.0.size", True), "no manifest"),
        (_set("layers.0.digest", "../../etc/passwd"), "not a digest"),
        (_set("layers.0.mediaType", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "a layer of a kind"),
        (_set("layers.0.mediaType", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), "a layer of a kind"),
    ],
)
def test_broken_manifests(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    described = base_image().write(tmp_path)
    document = json.loads((tmp_path / "blobs/sha256" / described["digest"][7:]).read_bytes())
    change(document)
    body = json.dumps(document).encode()
    with pytest.raises(StackbuildError, match=said):
        documents.manifest(Document(media_type=MANIFEST, digest=Digest.of(body), body=body), "x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("rootfs.diff_ids", []), "config and manifest disagree"),
        (_set("rootfs", None), "config and manifest disagree"),
        (_set("rootfs.diff_ids", ["x", "y", "z"]), "not a digest"),
        (_set("os", "windows"), "no image for"),
        (_set("config.Env", "A=B"), "no config of an image"),
        (_set("config.Env", ["A"]), "no config of an image"),
        (_set("config.Volumes", {"/a": 1}), "no config of an image"),
        (_set("history", [1]), "no history"),
    ],
)
def test_broken_configs(change: Callable[[dict[str, Any]], None], said: str) -> None:
    document: dict[str, Any] = {
        "os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": [DIGEST] * 3},
    }  # fmt: skip
    change(document)
    with pytest.raises(StackbuildError, match=said):
        documents.config(json.dumps(document).encode(), "linux/amd64", 3, "x")


@given(st.binary(max_size=200))
def test_no_documents(body: bytes) -> None:
    document = Document(media_type=MANIFEST, digest=Digest.of(body), body=body)
    with pytest.raises(StackbuildError):
        documents.manifest(document, "x")
    with pytest.raises(StackbuildError):
        documents.config(body, "linux/amd64", 1, "x")


def test_a_layout_with_other_bytes_under_a_digest(tmp_path: Path) -> None:
    digest = tagged(tmp_path, "1.0", base_image())
    (tmp_path / "blobs/sha256" / digest[7:]).write_bytes(b"{}")
    with pytest.raises(HostileInput, match="wrong digest"):
        resolved(tmp_path)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"manifests": [1]}', b'{"manifests": [{"annotations": 1}]}'])
def test_no_layout(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(StackbuildError, match="no OCI layout"):
        resolved(tmp_path)
    (tmp_path / "index.json").write_bytes(text)
    with pytest.raises(StackbuildError, match="a damaged OCI layout"):
        resolved(tmp_path)


def test_an_index_that_names_a_foreign_digest(tmp_path: Path) -> None:
    """A registry may answer with anything; what it sends is held against what was asked for."""
    row = {"mediaType": MANIFEST, "digest": DIGEST, "size": 2, "platform": {"os": "linux", "architecture": "amd64"}}
    text = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]}
    found = put(tmp_path, json.dumps(text).encode(), INDEX)

    class Liar(Layout):
        def document(self, name: str) -> Document:
            if name == DIGEST:
                return Document(media_type=MANIFEST, digest=Digest.of(b"{}"), body=b"{}")
            return super().document(found["digest"])

    reference = Reference(host="quay.io", repository="a", tag="1")
    with pytest.raises(HostileInput, match="wrong digest"):
        resolve("x", reference, Liar(tmp_path), "linux/amd64")


# Locks ------------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers(-5, 1 << 40) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.lists(st.dictionaries(TEXTS, TEXTS | st.just(True)), max_size=3))
def test_a_lock_reads_back(defaults: dict[str, Any], history: list[dict[str, Any]]) -> None:
    name = ("quay.io", "a/b", "1")
    lock = BaseLock(
        request=("quay.io/a/b:1",),
        pins=(pin(name, "config", DIGEST, DIGEST, 3),),
        host=name[0],
        repository=name[1],
        tag=name[2],
        index=DIGEST,
        manifest=DIGEST,
        layers=(
            BaseLayer(
                pin=pin(name, "layer 1", DIGEST, DIGEST, 9),
                media_type="application/vnd.oci.image.layer.v1.tar+zstd",
                diff_id=DIGEST,
                uids=(0, 1000),
            ),
        ),
        defaults=defaults,
        history=tuple(history),
    )
    assert lockfile.loads(lockfile.dumps(lock), "x.oci.toml") == lock


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 9", "another format"),
        ("size = ", "size = 0", "damaged"),
        ("diff-id", "# diff-id", "damaged"),
        ("tar+gzip", "tar+zip", "damaged"),
        ('digest = "sha256:', 'digest = "sha512:', "damaged"),
        ("[defaults]", "[[defaults]]", "damaged"),
    ],
)
def test_an_edited_lock_is_refused(layout: Path, old: str, new: str, said: str) -> None:
    text = lockfile.dumps(resolved(layout))
    assert old in text
    with pytest.raises(StackbuildError, match=said):
        lockfile.loads(text.replace(old, new, 1), "x.oci.toml")
