"""The contract of contents on real images: kept by what was built, broken by each fault in its own point."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from builder.platforms import NATIVE
from tests.e2e.project import Site

SITE = "opt/venv/lib/python3.11/site-packages"
PINNED = "every pinned Python package is there in its version"
UNNAMED = "no Python package that no lock names"
FILES = "Python packages have the files of their wheels"
PIP = "pip check finds nothing"
IMPORTS = "what the manifest asks for can be imported, from its own files"
COPIES = "no second copy of a Python package"
DPKG = "dpkg's packages are those of the locks"
AUDIT = "dpkg --audit finds nothing"
MISSING = "dpkg's packages have their files"
CUDA = "CUDA's libraries in CUDA's variants, and in no other"
DRIVER = "NVIDIA_REQUIRE_CUDA asks for the CUDA that is there"
ALL = [PINNED, UNNAMED, PIP, COPIES, IMPORTS, FILES, DPKG, AUDIT, MISSING, CUDA]


def metadata(name: str, version: str, *more: str) -> str:
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *more, ""])


def broken(site: Site, files: dict[str, str], target: str = "tool") -> dict[str, str]:
    """Point → problem, of the image built with these files in an overlay."""
    for path, text in files.items():
        place = site.folder / "overlays/tool" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    site.run("build", target, "--no-start")
    said = site.try_("check", target, "--contract", "contents", "--json")
    found = {row["name"]: row["problem"] for row in json.loads(said.out) if row["problem"]}
    assert said.code == bool(found), said.err
    return found


def test_what_was_built_keeps_it(small: Site, tmp_path: Path) -> None:
    """pip check is proven with stackbuild's own pip, as the image has none."""
    said = small.run("check", "--all", "--junit", str(tmp_path / "junit.xml"))
    assert [line.split() for line in said.out.splitlines()] == [
        ["target", "runtime", "contents"],
        [f"base:cpu@{NATIVE}", "native", "kept"],
        [f"tool:cpu@{NATIVE}", "native", "kept"],
    ]
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == [
        f"base:cpu@{NATIVE} contents on native",
        f"tool:cpu@{NATIVE} contents on native",
    ]
    assert [case.get("name") for case in suites[1]] == ALL
    assert [suite.get("failures") for suite in suites] == ["0", "0"]


@pytest.mark.parametrize("arguments", [(), ("tool", "--all")])
def test_a_target_or_all_of_them(small: Site, arguments: tuple[str, ...]) -> None:
    said = small.try_("check", *arguments)
    assert said.code == 2
    assert "name a target, or give --all" in said.err


@pytest.mark.parametrize(
    ("files", "points"),
    [
        (
            {f"{SITE}/packaging/__init__.py": "raise RuntimeError('overlaid')\n"},
            {FILES: "packaging/__init__.py has other bytes", IMPORTS: "import packaging: RuntimeError: overlaid"},
        ),
        (
            {f"{SITE}/packaging-25.0.dist-info/METADATA": metadata("packaging", "25.0")},
            {PINNED: "packaging==24.2 is there 2 times: 24.2, 25.0"},
        ),
        ({"usr/lib/libcudart.so.12": ""}, {CUDA: "/usr/lib/libcudart.so.12 in variant cpu"}),
    ],
    ids=["module", "version", "cuda"],
)
def test_a_fault_breaks_its_own_point(
    small: Site, tmp_path: Path, files: dict[str, str], points: dict[str, str]
) -> None:
    found = broken(small.clone(tmp_path, unpacked=True), files)
    assert sorted(found) == sorted(points), found
    for name, text in points.items():
        assert text in found[name]


def test_a_file_that_is_gone_is_missed(small: Site, tmp_path: Path) -> None:
    """Folders that dpkg had renamed into place hid files of other layers, and nothing told."""
    info = "var/lib/dpkg/info/base-files"
    code, listed = small.inside("tool", f"cat /{info}.list")
    assert code == 0
    gone = {f"{info}.list": f"{listed}/usr/share/gone\n", f"{info}.md5sums": f"{'0' * 32}  usr/share/gone\n"}
    assert broken(small.clone(tmp_path, unpacked=True), gone) == {MISSING: "/usr/share/gone"}


def test_many_faults_break_a_point_each(small: Site, tmp_path: Path) -> None:
    """Faults that only the image's own programs see: dpkg, pip, Python."""
    code, status = small.inside("tool", "cat /var/lib/dpkg/status")
    assert code == 0
    site = small.clone(tmp_path, unpacked=True)
    site.edit("[images.tool]\n", '[images.tool]\nenv = { PYTHONPATH = "/opt/shadow" }\n')
    found = broken(
        site,
        {
            f"{SITE}/more.pth": "/opt/more\n",
            f"{SITE}/stray-1.0.dist-info/METADATA": metadata("stray", "1.0", "Requires-Dist: absent"),
            "opt/more/packaging-1.0.dist-info/METADATA": metadata("packaging", "1.0"),
            "opt/shadow/packaging/__init__.py": "",
            "var/lib/dpkg/status": damaged(status),
        },
    )
    shadow = "/opt/shadow/packaging/__init__.py"
    assert sorted(found) == sorted([UNNAMED, PIP, IMPORTS, COPIES, DPKG, AUDIT]), found
    assert found[UNNAMED] == f"stray==1.0 in /{SITE}/stray-1.0.dist-info"
    assert "stray 1.0 requires absent, which is not installed." in found[PIP]
    assert found[IMPORTS] == f"packaging: import packaging: comes from {shadow}, which is no file of the package"
    assert found[COPIES] == "packaging==1.0 in /opt/more, which /opt/venv/bin/python3 sees"
    assert "libexpat1" in found[AUDIT]
    assert "(half-configured)" in found[DPKG]
    assert "python3-minimal" in found[DPKG]
    assert "stray 1 is in no lock" in found[DPKG]


def damaged(status: str) -> str:
    """With a package that is half configured, without one that dpkg should know, and with one that it should not."""
    stanzas = [one for one in status.split("\n\n") if not one.startswith("Package: python3-minimal\n")]
    index = next(number for number, one in enumerate(stanzas) if one.startswith("Package: libexpat1\n"))
    stanzas[index] = stanzas[index].replace("install ok installed", "install ok half-configured")
    fields = {"Package": "stray", "Status": "install ok installed", "Architecture": NATIVE.partition("/")[2]}
    fields |= {"Version": "1", "Maintainer": "nobody", "Description": "stray"}
    stanzas.insert(0, "\n".join(f"{name}: {value}" for name, value in fields.items()))
    return "\n\n".join(stanzas)


def test_a_cuda_variant_has_cuda_of_one_version(small: Site, tmp_path: Path) -> None:
    site = small.clone(tmp_path, unpacked=True)
    site.edit("[images.base]", '[variants.cuda]\nenv = { NVIDIA_REQUIRE_CUDA = "cuda>=13.0" }\n\n[images.base]')
    site.edit("[images.tool]\n", '[images.tool]\nvariants = ["cpu", "cuda"]\n')
    site.run("lock")
    assert broken(site, {}, "tool:cuda") == {CUDA: "variant cuda has no libcudart"}
    found = broken(site, {"opt/nvidia/libcudart.so.12": ""}, "tool:cuda")
    wanted = "NVIDIA_REQUIRE_CUDA=cuda>=13.0, the image has CUDA 12: /opt/nvidia/libcudart.so.12"
    assert found == {DRIVER: wanted}
    said = site.try_("check", "--all")
    assert said.code == 1
    rows = [line.split(maxsplit=2) for line in said.out.splitlines()]
    assert [f"tool:cuda@{NATIVE}", "native", "1 of 11 broken"] in rows
    assert [f"tool:cpu@{NATIVE}", "native", "not built"] in rows
