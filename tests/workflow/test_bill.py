"""A bill of materials of an image on a foreign base that has dpkg, pip and conda: nothing is run, all is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.bill import Bill, Component
from builder.digest import Digest
from builder.kinds import kinds, submodule
from builder.manifest.model import Target
from builder.workflow import build
from builder.workflow.bill import bill
from tests.fake_image import Image, file, tagged
from tests.image_family import Site

STATUS = """\
Package: libfoo1
Status: install ok installed
Architecture: amd64
Source: foo (1.0)
Version: 1.0-2+b1
Depends: libbar1 (>= 1)

Package: libbar1
Status: install ok installed
Architecture: amd64
Version: 2.0

"""
COPYRIGHT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Expat\n"
RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nBROKEN="\n'
META = {
    "name": "tiny",
    "version": "1.0",
    "build": "h1_0",
    "license": "BSD-3-Clause",
    "depends": [],
    "subdir": "linux-64",
}
LAYER = [
    file("etc/os-release", RELEASE),
    file("var/lib/dpkg/status", STATUS),
    file("usr/share/doc/libfoo1/copyright", COPYRIGHT),
    file("usr/share/doc/libbar1/copyright", "Free for all."),
    file("opt/conda/conda-meta/tiny-1.0-h1_0.json", json.dumps(META)),
]
LAB = Target("lab", "cpu", "linux/amd64")


def test_every_kind_that_pins_says_what_its_pins_are() -> None:
    without = [
        name for name, kind in kinds().items() if getattr(kind, "LOCKS", None) and submodule(name, "component") is None
    ]
    assert without == []


@pytest.fixture
def found(site: Site, tmp_path: Path) -> Bill:
    """Of a child whose base's layers are all in the store."""
    tagged(tmp_path / "layout", "1.0", *(Image([LAYER], platform=one) for one in ("linux/amd64", "linux/arm64")))
    site.build("lab")
    project = site.project()
    planned = build.plan(project, [LAB])
    build.complete(project, planned, LAB)
    return bill(project, planned, LAB)


def by_ref(bill: Bill) -> dict[str, Component]:
    return {one.ref: one for one in bill.components}


def test_what_the_base_holds_is_listed_with_licences(found: Bill) -> None:
    refs = by_ref(found)
    assert list(refs) == ["apt:libbar1", "apt:libfoo1", "conda:/opt/conda:tiny", "oci:../layout", "overlay:lab"]
    foo = refs["apt:libfoo1"]
    assert (foo.version, foo.licence.expression, foo.needs, foo.digest) == ("1.0-2+b1", "MIT", ("apt:libbar1",), None)
    assert foo.purl == "pkg:deb/debian/libfoo1@1.0-2%2Bb1?arch=amd64&distro=debian-12&upstream=foo%401.0"
    assert foo.image == "oci:../layout:1.0"
    assert refs["apt:libbar1"].licence.expression == ""
    assert refs["conda:/opt/conda:tiny"].licence.expression == "BSD-3-Clause"
    assert found.direct == ("apt:libfoo1", "conda:/opt/conda:tiny", "oci:../layout", "overlay:lab")


def test_it_says_what_it_leaves_out(found: Bill) -> None:
    assert [note for note in found.notes if "whatever else lies in it is not" in note]
    assert found.system["PRETTY_NAME"] == "Debian GNU/Linux 12 (bookworm)"
    assert "BROKEN" not in found.system


def test_licences_of_layers_that_are_not_here_are_not_known(site: Site, tmp_path: Path) -> None:
    tagged(tmp_path / "layout", "1.0", *(Image([LAYER], platform=one) for one in ("linux/amd64", "linux/arm64")))
    site.build("lab")
    project = site.project()
    digest = build.result(project, build.plan(project, [LAB]), LAB)["layers"][0]["digest"]
    project.store.blob(Digest(digest)).unlink(missing_ok=True)
    found = bill(project, build.plan(project, [LAB]), LAB)
    assert by_ref(found)["apt:libfoo1"].licence.expression == ""
    assert any("are not known here" in note for note in found.notes)
