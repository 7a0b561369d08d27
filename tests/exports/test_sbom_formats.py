"""Bills of materials as CycloneDX and SPDX: valid by the formats' own judges, whatever packages call themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from builder.bill import Bill, Component
from builder.digest import Digest
from builder.exports import media_type, renderer
from builder.licences import Licence, declared
from builder.manifest.model import Target
from builder.purls import purl
from tests.bill_of_materials import cyclonedx_problems, of_kind, spdx_problems, spdx_sets

HOSTILE = '</script>"; $(reboot) \u202e\u0007 [x](javascript:1)'
DIGEST = Digest.of(b"image")
BILL = Bill(
    target=Target("tool", "cpu", "linux/amd64"),
    name="tool",
    version="",
    description=HOSTILE,
    digest=DIGEST,
    created="2026-11-01T00:00:00Z",
    system={"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian"},
    components=(
        Component(
            ref="apt:libfoo1",
            kind="apt",
            name="libfoo1",
            version="1:2.0+b1",
            image="base",
            purl=purl("deb", "libfoo1", "1:2.0+b1", namespace="debian", arch="amd64", distro="debian-12"),
            digest=Digest.of(b"deb"),
            file="pool/main/f/foo/libfoo1_2.0+b1_amd64.deb",
            licence=Licence(
                expression="MIT AND (GPL-2.0-or-later OR LicenseRef-own)", references=(("LicenseRef-own", "own"),)
            ),
            said=(("architecture", "amd64"),),
        ),
        Component(
            ref="fetch:tool",
            kind="fetch",
            name="tool",
            version="1",
            image="tool",
            type="file",
            url="https://example.com/tool",
            digest=Digest.of(b"file"),
        ),
        Component(
            ref="npm:@scope/a/b",
            kind="npm",
            name="@scope/b",
            version="1.0.0",
            image="tool",
            purl=purl("npm", "b", "1.0.0", namespace="@scope"),
            sha512="0" * 128,
            licence=declared("BSD", HOSTILE),
            needs=("npm:@scope/a:b",),
        ),
        Component(ref="npm:@scope/a:b", kind="npm", name="b", version="2.0.0", image="tool", licence=declared(HOSTILE)),
        Component(ref="overlay:tool", kind="overlay", name="tool", version="", image="tool", type="file"),
    ),
    direct=("apt:libfoo1", "fetch:tool", "npm:@scope/a/b", "overlay:tool"),
    notes=("What the script setup of tool left is not listed.",),
)
EMPTY = replace(BILL, components=(), direct=(), notes=(), system={}, description="", version="1.0")


def cyclonedx(bill: Bill) -> str:
    return renderer("sbom", "cyclonedx")(bill)


def spdx(bill: Bill) -> str:
    return renderer("sbom", "spdx")(bill)


@pytest.mark.parametrize("bill", [BILL, EMPTY], ids=["full", "empty"])
def test_valid_by_the_formats_own_judges(bill: Bill) -> None:
    assert cyclonedx_problems(cyclonedx(bill)) == []
    assert spdx_problems(spdx(bill)) == []


def test_the_judges_would_say_what_is_wrong() -> None:
    wrong = json.loads(cyclonedx(BILL))
    wrong["components"][1]["hashes"] = [{"alg": "SHA-256", "content": "short"}]
    assert cyclonedx_problems(json.dumps(wrong)) != []
    wrong = json.loads(spdx(BILL))
    wrong["packages"][1]["licenseDeclared"] = "No such licence"
    assert spdx_problems(json.dumps(wrong)) != []


def test_both_list_the_same() -> None:
    found = json.loads(cyclonedx(BILL))
    assert of_kind(found, "apt") == spdx_sets(json.loads(spdx(BILL)))["deb"] == {("libfoo1", "1:2.0+b1")}
    assert [one["aggregate"] for one in found["compositions"]] == ["incomplete"]
    assert [one["aggregate"] for one in json.loads(cyclonedx(EMPTY))["compositions"]] == ["complete"]
    assert json.loads(spdx(BILL))["creationInfo"]["comment"] == BILL.notes[0]


def test_references_that_differ_by_a_sign_have_ids_that_differ() -> None:
    ids = [one["SPDXID"] for one in json.loads(spdx(BILL))["packages"]]
    assert len(ids) == len(set(ids)) == len(BILL.components) + 2


def test_licences_that_are_no_expression_are_words() -> None:
    (b,) = (one for one in json.loads(cyclonedx(BILL))["components"] if one["name"] == "@scope/b")
    assert [one["license"]["name"] for one in b["licenses"]] == ["BSD", declared(HOSTILE).names[0]]
    packages = {one["name"]: one for one in json.loads(spdx(BILL))["packages"]}
    assert packages["@scope/b"]["licenseDeclared"] == "NOASSERTION"
    assert "BSD; " in packages["@scope/b"]["licenseComments"]
    assert packages["b"]["licenseDeclared"].startswith("LicenseRef-")
    texts = {one["licenseId"]: one for one in json.loads(spdx(BILL))["hasExtractedLicensingInfos"]}
    assert texts["LicenseRef-own"]["comment"] == "declared by apt:libfoo1"


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_equal_bills_are_equal_bytes_and_others_have_another_number(form: str) -> None:
    render = renderer("sbom", form)
    assert render(BILL) == render(replace(BILL))
    other = json.loads(render(replace(BILL, direct=BILL.direct[1:])))
    number = "serialNumber" if form == "cyclonedx" else "documentNamespace"
    assert other[number] != json.loads(render(BILL))[number]


def test_types_are_those_of_the_field() -> None:
    assert media_type("sbom", "cyclonedx") == "application/vnd.cyclonedx+json"
    assert media_type("sbom", "spdx") == "application/spdx+json"
