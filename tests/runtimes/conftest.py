"""A small image with this machine's shell and Python, ready in each runtime once a session."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.built import Image
from builder.runtimes import Starter, named
from builder.store import Store
from tests.e2e import services
from tests.fake_image import digest, file, folder, tar
from tests.tools import Host, python_root

PASSWD = "root:x:0:0::/root:/bin/sh\nsomebody:x:1000:0::/home/somebody:/bin/sh\n"
GROUP = "root:x:0:\nusers:x:100:somebody\n"
CONFIG = {
    "User": "somebody",
    "Env": ["PATH=/usr/bin:/bin", "FROM_IMAGE=yes"],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo entry point and command; sleep 60"],
    "WorkingDir": "/work",
}
RUNTIMES = ("docker", "native")


@pytest.fixture(scope="session")
def programs(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with sh, Python and a few of coreutils."""
    found = python_root(tmp_path_factory.mktemp("programs")).root
    (found / "usr/bin/python3").symlink_to(next((found / "usr/bin").glob("python3.*")).name)
    for name in ("sh", "sleep", "id", "cat", "true"):
        path = Path(shutil.which(name) or "").resolve()
        said = subprocess.run(["ldd", str(path)], check=True, capture_output=True, text=True).stdout
        for library in {Path(word) for line in said.splitlines() for word in line.split() if word.startswith("/")}:
            target = found / str(library).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(library.resolve(), target)
            target.chmod(0o755)
        shutil.copyfile(path, found / "usr/bin" / name)
        (found / "usr/bin" / name).chmod(0o755)
    return found


@pytest.fixture(scope="session")
def runtime_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(tmp_path_factory.mktemp("store"))


def layer(store: Store, plain: bytes) -> dict[str, Any]:
    packed = gzip.compress(plain, mtime=0)
    return {
        "name": "x",
        "diff_id": digest(plain),
        "digest": str(store.put_blob(packed)),
        "media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
        "size": len(packed),
        "raw": len(plain),
    }


def image_of(store: Store, layers: list[dict[str, Any]], config: dict[str, Any]) -> Image:
    """An image as the action that assembles one leaves it in the store."""
    root = {"type": "layers", "diff_ids": [one["diff_id"] for one in layers]}
    text = json.dumps({"architecture": "amd64", "os": "linux", "config": config, "rootfs": root}).encode()
    rows = [{"mediaType": one["media_type"], "digest": one["digest"], "size": one["size"]} for one in layers]
    kind = "application/vnd.oci.image.config.v1+json"
    described = {"mediaType": kind, "digest": str(store.put_blob(text)), "size": len(text)}
    kind = "application/vnd.oci.image.manifest.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": rows}).encode()
    manifest = {"mediaType": kind, "digest": str(store.put_blob(body)), "size": len(body)}
    return Image(store, {"manifest": manifest, "config": described["digest"], "layers": layers})


@pytest.fixture(scope="session")
def layers(programs: Path, runtime_store: Store) -> list[dict[str, Any]]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        archive.add(programs, ".")
    own = [
        folder("etc"), file("etc/passwd", PASSWD), file("etc/group", GROUP), folder("work", mode=0o775),
        folder("tmp", mode=0o1777), folder("home"), folder("home/somebody", ids=(1000, 0)), folder("root"),
    ]  # fmt: skip
    return [layer(runtime_store, plain.getvalue()), layer(runtime_store, tar(own))]


@pytest.fixture(scope="session")
def image(runtime_store: Store, layers: list[dict[str, Any]]) -> Image:
    return image_of(runtime_store, layers, CONFIG)


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's daemon, which this process is told of."""
    with services.daemon(tmp_path_factory.mktemp("docker")) as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", found)
        yield found


@pytest.fixture(scope="session", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime's name; what it needs is there."""
    name: str = request.param
    if name == "docker":
        request.getfixturevalue("daemon")
    return name


@pytest.fixture(scope="session")
def container(runtime: str, image: Image) -> Iterator[Starter]:
    """Starts the image."""
    with named(runtime)(image) as found:
        yield found
