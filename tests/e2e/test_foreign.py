"""A base image from a registry: built by us, pushed by skopeo, and built on as anybody's image is."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.lock import Pin
from builder.platforms import NATIVE
from tests.bill_of_materials import cyclonedx_problems, of_kind
from tests.e2e import services
from tests.e2e.conftest import need_network
from tests.e2e.project import Site, share_sources
from tests.tools import need

_MANIFEST = """
[project]
name = "foreign"
platforms = ["{platform}"]

[archives.bookworm]
suites = ["bookworm"]

[layouts.openshift]
user = "somebody"
uid = 4711
gid = 0
home = "/home/somebody"

[images.root]
from = "oci:{registry}/small/base:1"
archive = "bookworm"

[images.tool]
from = "root"
overlays = ["tool"]
python = {{ from = "apt", prefix = "/opt/venv" }}

[images.apt]
from = "root"
apt = ["tree"]

[images.sibling]
from = "oci:{registry}/small/base:1"
layout = "openshift"
"""


@pytest.fixture(scope="module")
def registry(small: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry with the small project's base in it: its address."""
    need("skopeo")
    with services.registry(tmp_path_factory.mktemp("registry")) as found:
        copy = ["skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false"]
        place = f"docker://{found.host}/small/base:1"
        subprocess.run([*copy, f"oci:{small.store_path}/images:base", place], check=True)
        yield found.host


@pytest.fixture(scope="module")
def foreign(registry: str, small: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A project on it, locked."""
    folder = tmp_path_factory.mktemp("foreign")
    site = Site(folder / "project", folder / "store")
    shutil.copytree(small.folder / "overlays", site.folder / "overlays")
    (site.folder / "stacks.toml").write_text(_MANIFEST.format(platform=NATIVE, registry=registry))
    said = site.try_("lock", env={"STACKBUILD_STORE": str(folder / "lock-store")})
    if said.code:
        need_network(said.err)
        pytest.fail(said.err)
    return site


def test_a_child_refers_to_the_layers_that_its_base_has(foreign: Site, small: Site) -> None:
    foreign.run("build", "tool", "--no-start")
    layers = foreign.result("tool")["layers"]
    below = small.result("base")["layers"]
    assert [layer["digest"] for layer in layers[: len(below)]] == [layer["digest"] for layer in below]
    assert not any((foreign.store_path / "images/blobs/sha256" / one["digest"][7:]).exists() for one in below)


def test_a_package_of_debian_moves_nothing(foreign: Site, small: Site) -> None:
    """What dpkg has of the base stays; the base's own dpkg configures what comes on top."""
    share_sources(small.store_path, foreign.store_path)
    foreign.run("build", "apt", "--no-start")
    code, said = foreign.inside("apt", "dpkg --audit && tree --version && dpkg-query -f '${Package}=${Version}\\n' -W")
    assert code == 0, said
    text = foreign.project().locks.path(foreign.planned("apt").target, "apt").read_text()
    assert text.count("\nPackage: ") == 1
    known = {f"{pin.name}={pin.version}" for pin in _held(foreign)}
    assert known < set(said.splitlines())
    assert foreign.run("verify", "apt").code == 0


def _held(site: Site) -> list[Pin]:
    lock = site.project().locks.read(site.planned("root").target, "inherited")
    assert lock is not None
    return [pin for pin in lock.pins if pin.kind == "apt"]


def test_its_bill_lists_what_dpkg_does(foreign: Site, small: Site) -> None:
    """Packages of the base and those on top; other files of the base are owned up to."""
    share_sources(small.store_path, foreign.store_path)
    foreign.run("build", "apt", "--no-start")
    code, said = foreign.inside("apt", "dpkg-query -f '${Package} ${Version}\\n' -W")
    assert code == 0, said
    text = foreign.run("sbom", "apt").out
    assert cyclonedx_problems(text) == []
    bill = json.loads(text)
    assert of_kind(bill, "apt") == {tuple(line.split()) for line in said.splitlines()}
    assert [one["aggregate"] for one in bill["compositions"]] == ["incomplete"]
    assert {one["type"] for one in bill["components"] if one["bom-ref"].startswith("oci:")} == {"container"}


def test_a_sibling_with_another_user(foreign: Site) -> None:
    foreign.run("build", "sibling", "--no-start")
    code, said = foreign.inside(
        "sibling", "stat -c '%u:%g %a' /home/somebody; id somebody; stat -c '%u:%g' /usr/bin/env"
    )
    assert (code, said.splitlines()) == (0, ["4711:0 2775", "uid=4711(somebody) gid=0(root) groups=0(root)", "0:0"])


def test_skopeo_reads_what_is_complete(foreign: Site, tmp_path: Path) -> None:
    """A check or a run brings the layers that were only referred to; then the image can be copied."""
    foreign.run("build", "tool", "--no-start")
    assert foreign.run("shell", "tool", "--", "cat", "/usr/local/bin/tool").code == 0
    copy = [
        "skopeo",
        "copy",
        "--quiet",
        "--insecure-policy",
        f"oci:{foreign.store_path}/images:tool",
        f"dir:{tmp_path}/copy",
    ]
    subprocess.run(copy, check=True)
