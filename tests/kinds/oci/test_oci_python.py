"""A team's package in the Python of a foreign image: nothing there moves, nothing of the image is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import listing
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip import python
from builder.kinds.pip.inherit import inherited
from builder.kinds.pip.lockfile import PipLock, dumps
from builder.lock import Pin
from tests.fake_registry import FakeRegistry
from tests.fake_wheel import DIST, NAME, wheel
from tests.kinds.oci.test_oci_family import CHILD, MANIFEST, Site

TEXT = MANIFEST.replace(
    'overlays = ["one"]', 'python = { from = "oci", prefix = "/opt/conda" }\npip = ["fake==1.0"]'
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, registry: FakeRegistry) -> Site:
    """Locked, the wheel in the store."""
    found = Site(tmp_path / "project", f"{registry.host}/team/base:1.0", text=MANIFEST)
    found.lock()
    found.text = TEXT
    script = b"[console_scripts]\nfake = fake:main\n"
    path = wheel(tmp_path / NAME, {"fake.py": b"def main(): ...\n", f"{DIST}/entry_points.txt": script})
    pin = Pin(
        kind="pip",
        name="fake",
        version="1.0",
        filename=NAME,
        digest=Digest.of_file(path),
        size=path.stat().st_size,
        via=("stacks.toml",),
    )
    lock = PipLock(request=("fake==1.0",), pins=(pin,), python="3.12.8", platform="linux/amd64", glibc="2.36")
    project = found.project()
    project.locks.path(CHILD, "pip").parent.mkdir(parents=True, exist_ok=True)
    project.locks.path(CHILD, "pip").write_text(dumps(lock))
    project.store.source(pin.digest).write_bytes(path.read_bytes())
    return found


def test_what_a_package_is_for(site: Site) -> None:
    project = site.project()
    found = python.find(project.manifest, project.locks, CHILD)
    assert (found.version, found.executable, found.portable) == ("3.12.8", "/opt/conda/bin/python3.12", False)
    assert python.glibc(project.manifest, project.locks, CHILD) == "2.36"
    above = inherited(project.manifest, project.locks, CHILD)
    assert [(name, [(pin.name, pin.version) for pin in lock.pins]) for name, lock in above] == [
        (f"oci:{site.base}", [("numpy", "2.1.0")])
    ]


def test_built_without_a_layer_of_the_base(site: Site, registry: FakeRegistry) -> None:
    registry.seen.clear()
    result = site.build(CHILD)
    assert registry.seen == []
    layer = result["layers"][-1]
    entries = {one.path: one for one in listing.read(site.project().store, layer)}
    folder = entries["opt/conda/lib/python3.12/site-packages"]
    assert (folder.mode, folder.ids) == ("2775", "1000:100")
    assert (entries["opt"].mode, entries["opt"].ids) == ("0755", "0:0")
    assert not [path for path in entries if path.endswith(".pyc")]
    programs = [path for path in entries if path.startswith("opt/conda/bin/")]
    assert programs
    assert "opt/conda/bin/python3.12" not in programs


def test_a_prefix_without_a_python(site: Site) -> None:
    site.text = TEXT.replace('"/opt/conda"', '"/opt/nothing"')
    with pytest.raises(StackbuildError) as caught:
        site.build(CHILD)
    assert "/opt/conda or /opt/venv" in str(caught.value)


def test_nothing_is_built_from_source_with_it(site: Site) -> None:
    project = site.project()
    with pytest.raises(StackbuildError, match="nothing to build a source archive with"):
        python.builder(project.manifest, project.locks, CHILD)


def test_a_family_without_a_foreign_image_has_no_such_python(tmp_path: Path) -> None:
    text = TEXT.replace('from = "oci:BASE"', 'from = "archive:debian"\nlayout = "openshift"')
    site = Site(tmp_path / "project", "", text=text + '\n[archives.debian]\nsuites = ["bookworm"]\n')
    project = site.project()
    with pytest.raises(StackbuildError, match="no Python of a base image"):
        python.home(project.manifest, CHILD)
