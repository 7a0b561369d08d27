"""Layers of every format, in the hands of other people's tools: skopeo, umoci, zstd, and an old Docker."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.built import Image as Built
from builder.digest import Digest
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.workflow import build, save, verify
from builder.workflow.project import Project
from tests.e2e import services
from tests.e2e.services import docker
from tests.e2e.test_ship import skopeo
from tests.fake_image import Image, file, tagged
from tests.image_family import Site
from tests.stargz_reader import Stargz
from tests.tools import need

FORMS = ("gzip", "estargz", "zstd")
LARGE = "".join(f"{number}\n" for number in range(1_500_000))
"""Of more than two chunks."""


def site(folder: Path, form: str, packing: str = "gzip", host: str = "registry.example.com") -> Site:
    """The small family in one format, its base packed in one too."""
    found = Site(folder, host)
    if packing != "gzip":
        platforms = ("linux/amd64", "linux/arm64")
        bases = [Image([[file("etc/a", one)]], platform=one, packing=packing) for one in platforms]
        tagged(folder / "layout", "1.0", *bases)
    path = found.folder / "stacks.toml"
    path.write_text(path.read_text().replace("[project]", f'[project]\ncompression = "{form}"', 1))
    found.overlay("full", LARGE)
    (found.folder / "overlays/full/opt/link").symlink_to("full")
    program = found.folder / "overlays/full/opt/program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found.build(f"full@{NATIVE}", f"lab@{NATIVE}")
    return found


def target() -> Target:
    return Target.parse(f"full:cpu@{NATIVE}")


def whole(found: Site) -> Project:
    """The project, its foreign layer in the store too."""
    project = found.project()
    build.complete(project, build.plan(project, [target()]), target())
    return project


def result(project: Project) -> dict[str, Any]:
    return build.result(project, build.plan(project, [target()]), target())


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_copies(form: str, tmp_path: Path) -> None:
    """The manifest arrives as it is, annotations and all, and every layer's bytes have the digest that it says."""
    project = whole(site(tmp_path, form))
    name = f"full-{NATIVE.replace('/', '-')}"
    where = f"{project.store.path}/images:{name}"
    skopeo("copy", "--quiet", "--insecure-policy", f"oci:{where}", f"oci:{tmp_path}/copy:here")
    index = json.loads((tmp_path / "copy/index.json").read_bytes())
    built = result(project)
    assert index["manifests"][0]["digest"] == built["manifest"]["digest"]
    manifest = json.loads((tmp_path / "copy/blobs/sha256" / Digest(built["manifest"]["digest"]).hex).read_bytes())
    for row, layer in zip(manifest["layers"], built["layers"], strict=True):
        blob = tmp_path / "copy/blobs/sha256" / Digest(layer["digest"]).hex
        kind = "zstd" if layer["media_type"].endswith("zstd") else "gzip"
        raw = subprocess.run([kind, "-dc", str(blob)], check=True, capture_output=True).stdout
        assert Digest.of(raw) == layer["diff_id"]
        if form == "estargz" and not layer.get("foreign"):
            Stargz(blob.read_bytes(), row["annotations"]).verify()
        else:
            assert "annotations" not in row
        assert row["mediaType"].endswith(kind)
    assert {layer["media_type"].rpartition("+")[2] for layer in built["layers"][1:]} == {
        "zstd" if form == "zstd" else "gzip"
    }


@pytest.mark.parametrize("form", ["gzip", "estargz"])
def test_umoci_unpacks(form: str, tmp_path: Path) -> None:
    need("umoci")
    project = whole(site(tmp_path, form))
    name = f"{project.store.path}/images:full-{NATIVE.replace('/', '-')}"
    command = ["umoci", "unpack", "--keep-dirlinks", "--image", name, str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _judge(tmp_path / "bundle/rootfs", form)


def _judge(root: Path, form: str) -> None:
    assert (root / "opt/full").read_text() == LARGE
    assert (root / "opt/lab").read_text() == "lab"
    assert (root / "etc/a").read_text() == NATIVE
    assert (root / "opt/link").readlink() == Path("full")
    assert (root / "opt/program").stat().st_mode & 0o7777 == 0o755
    assert (root / "stargz.index.json").exists() == (form == "estargz")


@pytest.mark.parametrize("form", FORMS)
def test_builds_read_them_back(form: str, tmp_path: Path) -> None:
    """As the root of a container."""
    project = whole(site(tmp_path, form))
    (*_, lab, full) = Built(project.store, result(project)).folders()
    assert (lab / "opt/lab").read_text() == "lab"
    assert (full / "opt/full").read_text() == LARGE


@pytest.mark.parametrize("form", FORMS)
def test_a_registry_has_what_was_built(form: str, tmp_path: Path) -> None:
    with services.registry(tmp_path / "registry") as registry:
        found = site(tmp_path / "site", form, host=registry.host)
        found.push(f"full@{NATIVE}")
        where = f"docker://{registry.host}/notebooks/full:2026.11"
        told = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", where))
        built = result(found.project())
        assert [row.get("annotations") for row in told["layers"]] == [
            layer.get("annotations") for layer in built["layers"]
        ]
        skopeo("copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", where, f"dir:{tmp_path}/copy")


@pytest.mark.parametrize("form", ["estargz", "zstd"])
def test_a_second_build_is_the_same(form: str, tmp_path: Path) -> None:
    """In a fresh process, under another umask, locale, time zone and name of the folder."""
    (verdict,) = verify.verify(site(tmp_path, form).project(), [target()])
    assert verdict.differences == ()
    assert verdict.layers == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_an_old_docker_loads(
    form: str, packing: str, tmp_path: Path, daemon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker 20.10 knows no zstd: such layers, a foreign base's too, go to it inflated. The image's ID is the same."""
    project = site(tmp_path, form, packing).project()
    planned = build.plan(project, [target()])
    monkeypatch.setenv("DOCKER_HOST", daemon)
    (name,) = save.load(project, planned, [target()], [f"{form}-{packing}"])
    inspected = docker(daemon, "image", "inspect", "--format", "{{.Id}}", name).strip()
    assert inspected == result(project)["config"]
    container = docker(daemon, "create", name, "/none").strip()
    try:
        root = tmp_path / "root"
        root.mkdir()
        tar = tmp_path / "root.tar"
        docker(daemon, "export", "--output", str(tar), container)
        subprocess.run(["tar", "-xf", str(tar), "-C", str(root)], check=True)
        _judge(root, form)
    finally:
        docker(daemon, "rm", container)


def test_a_file_for_docker_has_no_zstd(tmp_path: Path) -> None:
    """Nothing else of the archive changes: the same config, and a manifest that says what lies there."""
    project = site(tmp_path, "zstd", "zstd").project()
    planned = build.plan(project, [target()])
    _, data = save.archive(project, planned, [target()], "docker", ["1"])
    with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as archive:
        found = {info.name: stream.read() for info in archive if (stream := archive.extractfile(info)) is not None}
    built = result(project)
    (row,) = json.loads(found["manifest.json"])
    assert row["Config"] == "blobs/sha256/" + Digest(built["config"]).hex
    assert row["Layers"] == ["blobs/sha256/" + Digest(layer["diff_id"]).hex for layer in built["layers"]]
    (told,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(found["blobs/sha256/" + Digest(told["digest"]).hex])
    assert manifest["config"]["digest"] == built["config"]
    for layer in manifest["layers"]:
        blob = found["blobs/sha256/" + Digest(layer["digest"]).hex]
        assert (Digest.of(blob), len(blob)) == (layer["digest"], layer["size"])
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
    for name, blob in found.items():
        assert not name.startswith("blobs/") or Digest.of(blob).hex == name.rpartition("/")[2]
