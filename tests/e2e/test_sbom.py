"""Bills of materials against what is really in the images, and what is attached to them in a live registry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.platforms import NATIVE
from tests.bill_of_materials import cyclonedx_problems, of_kind, said_of, spdx_problems, spdx_sets
from tests.e2e.conftest import build, git, lock, on_small
from tests.e2e.project import ROOT, Site
from tests.e2e.services import Registry
from tests.e2e.test_conda import MANIFEST, channel
from tests.e2e.test_ship import skopeo
from tests.tools import need_root

Pairs = Set[tuple[str, str]]
DPKG = "dpkg-query --show --showformat '${db:Status-Abbrev} ${Package} ${Version}\\n'"
NODE_MODULES = """
const fs = require("fs"), path = require("path");
function list(folder) {
  for (const name of fs.readdirSync(folder)) {
    const place = path.join(folder, name);
    const file = path.join(place, "package.json");
    if (name.startsWith("@")) list(place);
    else if (fs.existsSync(file)) console.log(place, JSON.parse(fs.readFileSync(file)).version);
  }
}
for (const folder of process.argv.slice(1)) list(folder);
"""
"""Prints place and version of what lies directly in these folders, as Node.js finds packages."""


def bills(site: Site, image: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """In CycloneDX and in SPDX, both valid."""
    texts = [site.run("sbom", image, "--format", form).out for form in ("cyclonedx", "spdx")]
    assert cyclonedx_problems(texts[0]) == []
    assert spdx_problems(texts[1]) == []
    return json.loads(texts[0]), json.loads(texts[1])


def listed(site: Site, image: str, script: str) -> list[list[str]]:
    """The words of each line that a script prints in the image."""
    code, said = site.inside(image, script)
    assert code == 0, said
    return [line.split() for line in said.splitlines()]


def dpkg(site: Site, image: str) -> Pairs:
    """What `dpkg -l` lists as installed."""
    return {(name, version) for state, name, version in listed(site, image, DPKG) if state == "ii"}


def pip(site: Site, image: str, python: str) -> Pairs:
    code, said = site.inside(image, f"{python} -m pip list --format json --disable-pip-version-check 2>/dev/null")
    assert code == 0, said
    return {(re.sub(r"[-_.]+", "-", one["name"]).lower(), one["version"]) for one in json.loads(said)}


def test_jupyter_lists_what_dpkg_and_pip_do(catalogue: Site) -> None:
    cyclonedx, spdx = bills(catalogue, "jupyter")
    wanted = {"deb": dpkg(catalogue, "jupyter"), "pypi": pip(catalogue, "jupyter", "/opt/venv/bin/python")}
    assert len(wanted["deb"]) > 200 and len(wanted["pypi"]) > 80
    assert of_kind(cyclonedx, "apt") == wanted["deb"] == spdx_sets(spdx)["deb"]
    assert of_kind(cyclonedx, "pip") == wanted["pypi"] == spdx_sets(spdx)["pypi"]
    assert {"pypi", "deb"} == spdx_sets(spdx).keys() - {"oci"}


def test_jupyter_says_licences_and_who_needs_whom(catalogue: Site) -> None:
    cyclonedx, spdx = bills(catalogue, "jupyter")
    found = {one["bom-ref"]: one for one in cyclonedx["components"]}
    assert found["pip:/opt/venv:attrs"]["licenses"] == [{"expression": "MIT", "acknowledgement": "declared"}]
    assert found["apt:adduser"]["licenses"][0]["expression"] == "GPL-2.0-or-later"
    without = [ref for ref, one in found.items() if ref.startswith("pip:") and "licenses" not in one]
    assert without == []
    needs = {one["ref"]: one["dependsOn"] for one in cyclonedx["dependencies"]}
    assert "pip:/opt/venv:jupyterlab" in needs["image"]
    assert "pip:/opt/venv:idna" not in needs["image"]
    assert "pip:/opt/venv:idna" in needs["pip:/opt/venv:anyio"]
    assert "apt:libc6" in needs["apt:libexpat1"]
    edge = {"spdxElementId": "SPDXRef-apt-libexpat1", "relationshipType": "DEPENDS_ON"}
    assert {**edge, "relatedSpdxElement": "SPDXRef-apt-libc6"} in [
        {"spdxElementId": re.sub(r"-[0-9a-f]{8}$", "", one["spdxElementId"]), **_rest(one)}
        for one in spdx["relationships"]
    ]


def _rest(row: Mapping[str, str]) -> dict[str, str]:
    related = re.sub(r"-[0-9a-f]{8}$", "", row["relatedSpdxElement"])
    return {"relationshipType": row["relationshipType"], "relatedSpdxElement": related}


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_the_same_image_has_the_same_bill(small: Site, tmp_path: Path, form: str) -> None:
    """Elsewhere, from another store, in another time zone and locale."""
    first = small.run("sbom", "tool", "--format", form).out
    site = small.clone(tmp_path)
    site.run("sbom", "tool", "--format", form, "-o", str(tmp_path / "bill"), env={"TZ": "Asia/Tokyo", "LC_ALL": "C"})
    assert (tmp_path / "bill").read_text() == first


def test_what_is_not_built_has_no_bill(small: Site, tmp_path: Path) -> None:
    site = small.copy(tmp_path / "project", store=tmp_path / "store")
    said = site.try_("sbom", "tool")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: not built: tool:cpu@")
    assert "stackbuild build tool" in said.err


def test_conda_lists_what_conda_meta_does(small: Site, tmp_path: Path) -> None:
    """`conda list` reads conda-meta and nothing else; pip sees those that are Python packages by their other names."""
    site = on_small(small, tmp_path, MANIFEST)
    channel(site.folder / "channel")
    site.run("lock")
    site.run("build", "lab", "--no-start")
    cyclonedx, spdx = bills(site, "lab")
    script = """
import json, pathlib
for path in pathlib.Path("/opt/conda/conda-meta").glob("*.json"):
    said = json.loads(path.read_text())
    print(said["name"], said["version"])
"""
    wanted = {(name, version) for name, version in listed(site, "lab", f"python -I -B -c '{script}'")}
    assert len(wanted) > 3
    assert of_kind(cyclonedx, "conda") == wanted == spdx_sets(spdx)["conda"]
    assert of_kind(cyclonedx, "apt") == dpkg(site, "lab") == spdx_sets(spdx)["deb"]
    script = "from importlib.metadata import distributions as d; [print(one.name) for one in d()]"
    seen = {name for (name,) in listed(site, "lab", f"python -I -B -c '{script}'")}
    assert {value.partition("==")[0] for value, _ in said_of(cyclonedx, "python-package")} == seen == {"tiny-lab"}


def test_an_overridden_package_is_listed_once(small: Site, tmp_path: Path, downloads: Path) -> None:
    """Whiteouts hide the old one's METADATA too."""
    site = small.clone(tmp_path, unpacked=True)
    with (site.folder / "stacks.toml").open("a") as manifest:
        manifest.write('\n[images.child]\nfrom = "tool"\n')
        manifest.write('override = [{ pip = "packaging==25.0", reason = "tests", until = 9999-12-31 }]\n')
    lock(site, downloads)
    site.run("build", "child", "--no-start")
    cyclonedx, _ = bills(site, "child")
    assert of_kind(cyclonedx, "pip") == {("packaging", "25.0")}


# Provenance and referrers -----------------------------------------------------------------------------------------


def test_provenance_names_every_input(small: Site, tmp_path: Path) -> None:
    site = small.clone(tmp_path)
    statement = json.loads(site.run("provenance", "tool", "--builder", "https://ci.example.com/stacks").out)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": Digest(small.digests("tool")["tool"]).hex}
    inputs = {one["name"]: one["digest"] for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    stem = NATIVE.replace("/", "-")
    names = [
        f"locks/base/{stem}.apt.lock",
        f"locks/tool/{stem}.pip.txt",
        "overlays/tool/usr/local/bin/tool",
        "stacks.toml",
    ]
    assert list(inputs) == names
    for name in names:
        assert inputs[name] == {"sha256": Digest.of_file(site.folder / name).hex}
    assert statement["predicate"]["runDetails"]["builder"]["id"] == "https://ci.example.com/stacks"
    git(site.folder, "init", "--quiet")
    git(site.folder, "add", ".")
    git(site.folder, "commit", "--quiet", "--message", "all")
    first = site.run("provenance", "tool").out
    (source,) = [
        one
        for one in json.loads(first)["predicate"]["buildDefinition"]["resolvedDependencies"]
        if one["name"] == "source"
    ]
    assert source == {"name": "source", "digest": {"gitCommit": git(site.folder, "rev-parse", "HEAD").strip()}}
    assert site.run("provenance", "tool").out == first
    refused = site.try_("provenance", "tool", "--builder", "my laptop")
    assert refused.code == 1 and "builder's id is a URI" in refused.err


def test_attached_to_a_pushed_image_and_read_by_skopeo(small: Site, registry: Registry, tmp_path: Path) -> None:
    """Debian's registry lists no referrers by itself, so the list is the tag that the specification names."""
    where = f"{registry.host}/bills/{{image}}"
    wanted = ["--sbom", "cyclonedx", "--sbom", "spdx", "--provenance", "--to", where]
    early = small.try_("attach", "tool", *wanted)
    assert early.code == 1 and early.err.startswith("error: not pushed: tool:cpu@"), early.err
    small.run("push", "tool", "--to", where, "--tag", "1")
    rows = json.loads(small.run("attach", "tool", *wanted, "--json").out)
    assert [row["new"] for row in rows] == [True] * 3
    name = f"docker://{registry.host}/bills/tool"
    subject = small.digests("tool")["tool"]
    raw = ["inspect", "--raw", "--tls-verify=false"]
    index = json.loads(skopeo(*raw, f"{name}:{subject.replace(':', '-')}"))
    types = ["application/vnd.cyclonedx+json", "application/spdx+json", "application/vnd.in-toto+json"]
    found = {one["artifactType"]: one for one in index["manifests"]}
    assert set(types) < found.keys(), "beside the plan key"
    assert found[types[2]]["annotations"]["in-toto.io/predicate-type"] == "https://slsa.dev/provenance/v1"
    texts = [small.run("sbom", "tool", "--format", form).out for form in ("cyclonedx", "spdx")]
    for number, kind in enumerate(types):
        manifest = json.loads(skopeo(*raw, f"{name}@{found[kind]['digest']}"))
        assert manifest["subject"]["digest"] == subject
        (layer,) = manifest["layers"]
        folder = tmp_path / str(number)
        skopeo(
            "copy",
            "--quiet",
            "--insecure-policy",
            "--src-tls-verify=false",
            f"{name}@{found[kind]['digest']}",
            f"dir:{folder}",
        )
        data = (folder / Digest(layer["digest"]).hex).read_bytes()
        if number < 2:
            assert data.decode() == texts[number]
        else:
            statement = json.loads(data)
            assert statement["subject"] == [
                {"name": f"{registry.host}/bills/tool", "digest": {"sha256": Digest(subject).hex}}
            ]
    before = registry.asked("POST", "PUT", "PATCH")
    again = json.loads(small.run("attach", "tool", *wanted, "--json").out)
    assert [row["new"] for row in again] == [False] * 3
    assert [row["reference"] for row in again] == [row["reference"] for row in rows]
    assert registry.asked("POST", "PUT", "PATCH") == before


def test_nothing_is_attached_without_a_word(small: Site, registry: Registry) -> None:
    said = small.try_("attach", "tool", "--to", f"{registry.host}/bills/{{image}}")
    assert said.code == 1 and "nothing to attach" in said.err and "--provenance" in said.err
    said = small.try_("attach", "tool", "--sbom", "swid", "--to", f"{registry.host}/bills/{{image}}")
    assert said.code == 1 and "no such format: swid" in said.err and "cyclonedx" in said.err


# A foreign base, and the catalogue --------------------------------------------------------------------------------


@pytest.mark.catalogue
def test_codeserver_lists_what_lies_in_node_modules(tmp_path: Path, downloads: Path) -> None:
    need_root()
    site = Site(ROOT, tmp_path / "store").copy(tmp_path / "project", store=tmp_path / "store")
    for image in ("base-trixie", "codeserver"):
        build(site, downloads, image)
    cyclonedx, spdx = bills(site, "codeserver")
    assert of_kind(cyclonedx, "apt") == dpkg(site, "codeserver") == spdx_sets(spdx)["deb"]
    script = f"find / -xdev -type d -name node_modules | xargs node -e '{NODE_MODULES}'"
    rows = listed(site, "codeserver", script)
    said = said_of(cyclonedx, "location")
    assert len(said) > 300
    assert said == {(place, version) for place, version in rows}
