"""skopeo and umoci read the store's layout."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from builder.platforms import NATIVE
from tests.e2e.project import Site
from tests.e2e.trees import run
from tests.tools import need


def test_skopeo_inspects(catalogue: Site) -> None:
    need("skopeo")
    said = json.loads(run(["skopeo", "inspect", f"oci:{catalogue.store_path}/images:jupyter"]))
    result = catalogue.result("jupyter")
    assert said["Layers"] == [layer["digest"] for layer in result["layers"]]
    assert f"{said['Os']}/{said['Architecture']}" == NATIVE
    assert "NB_PREFIX=/" in said["Env"]


def test_skopeo_copies(catalogue: Site, tmp_path: Path) -> None:
    """skopeo checks every digest and diff ID on the way; the manifest arrives as it is."""
    need("skopeo")
    run(["skopeo", "copy", "--quiet", f"oci:{catalogue.store_path}/images:jupyter", f"oci:{tmp_path}/copy:here"])
    index = json.loads((tmp_path / "copy/index.json").read_bytes())
    assert index["manifests"][0]["digest"] == catalogue.result("jupyter")["manifest"]["digest"]
    blobs = {path.name for path in (tmp_path / "copy/blobs/sha256").iterdir()}
    assert {layer["digest"].partition(":")[2] for layer in catalogue.result("jupyter")["layers"]} <= blobs


def test_umoci_unpacks(catalogue: Site, tmp_path: Path) -> None:
    need("umoci")
    run(["umoci", "unpack", "--image", f"{catalogue.store_path}/images:jupyter", tmp_path / "bundle"])
    root = tmp_path / "bundle/rootfs"
    assert (root / "bin").readlink() == Path("usr/bin")
    assert (root / "opt/venv/bin/jupyter-lab").read_bytes().startswith(b"#!/opt/venv/bin/python3")
    owners = {
        "etc/shadow": (0, 42, 0o640),
        "usr/bin/passwd": (0, 0, 0o4755),
        "opt/venv/bin/jupyter-lab": (0, 0, 0o775),
        "home/jovyan": (1000, None, 0o2775),
        "var/mail": (0, 8, 0o2775),
    }
    for path, (uid, gid, mode) in owners.items():
        info = (root / path).stat()
        assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (uid, mode), path
        assert gid is None or info.st_gid == gid, path
    config = json.loads((tmp_path / "bundle/config.json").read_bytes())
    assert config["process"]["args"] == ["/init"]
    assert config["process"]["user"]["uid"] == 1000
