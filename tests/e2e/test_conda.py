"""A conda image over the small project's base, by the commands alone: lock, build, boot, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from tests.conda_packages import PLACEHOLDER, Made, Piece, native, noarch, package, python
from tests.e2e.conftest import on_small
from tests.e2e.project import Site

MANIFEST = f"""
[project]
name = "conda"
platforms = ["{NATIVE}"]

[archives.bookworm]
suites = ["bookworm"]

[channels]
main = "./channel"

[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"

[images.base]
from = "archive:bookworm"
layout = "plain"
apt = ["python3"]

[images.lab]
from = "base"
channels = ["main"]
conda = ["libtiny", "scripted", "tiny-lab==1.0"]
conda-scripts = ["scripted"]
"""
SCRIPT = b'#!/bin/sh\nset -e\n"$PREFIX/bin/python" -c "import sys; print(sys.prefix)" > "$PREFIX/share/said.txt"\n'


def channel(folder: Path) -> None:
    """A channel as a folder."""
    script = Piece(path="bin/.scripted-post-link.sh", data=SCRIPT, mode=0o755)
    made: list[Made] = [
        python(folder),
        native(folder),
        noarch(folder),
        package(folder, "scripted", [script], depends=["python"]),
    ]
    for subdir in ("linux-64", "noarch"):
        packages = {one.path.name: one.entry for one in made if one.index["subdir"] == subdir}
        document = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def lab(small: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The image, locked and built."""
    site = on_small(small, tmp_path_factory.mktemp("conda"), MANIFEST)
    channel(site.folder / "channel")
    site.run("lock")
    site.run("build", "lab", "--no-start")
    return site


def test_runs(lab: Site) -> None:
    """Python, entry points and scripts are found in PATH, and what a post-link script did is there."""
    script = "python -c 'import sys, tiny_lab.place as p; print(sys.prefix, p.where)'; tiny-lab; tiny-script"
    assert lab.inside("lab", script) == (0, "/opt/conda /opt/conda\ntiny lab\nscript\n")
    assert lab.inside("lab", "cat /opt/conda/share/said.txt") == (0, "/opt/conda\n")


def test_prefix_in_text_and_binary_files(lab: Site) -> None:
    assert lab.inside("lab", "cat /opt/conda/lib/pkgconfig/tiny.pc") == (0, "prefix=/opt/conda\nlibs=/opt/conda/lib\n")
    code, _ = lab.inside("lab", "grep -q /opt/conda/lib:/opt/conda/lib64 /opt/conda/lib/libtiny.so")
    assert code == 0
    code, said = lab.inside("lab", f"grep -rlF {PLACEHOLDER} /opt/conda --exclude-dir=conda-meta")
    assert (code, said) == (1, "")


def test_meta_names_every_file(lab: Site) -> None:
    program = """
import json, os, pathlib
prefix = pathlib.Path("/opt/conda")
known = {"conda-meta/history"}
for path in (prefix / "conda-meta").glob("*.json"):
    known |= {str(path.relative_to(prefix)), *json.loads(path.read_text())["files"]}
files = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_symlink() or not path.is_dir()}
print(sorted(files ^ known))
"""
    code, said = lab.inside("lab", f"python -I -B -c '{program}'")
    assert (code, said) == (0, "['share/said.txt']\n")


def test_contents_are_those_of_the_locks(lab: Site, tmp_path: Path) -> None:
    """conda's Python packages count by the names that pip sees; a record that no lock has is found."""
    said = lab.run("check", "lab")
    assert [line.partition(": ")[2] for line in said.out.splitlines() if line.startswith("kept")] == [
        "every pinned Python package is there in its version",
        "no Python package that no lock names",
        "pip check finds nothing",
        "no second copy of a Python package",
        "what the manifest asks for can be imported, from its own files",
        "conda's packages are those of the locks",
        "dpkg's packages are those of the locks",
        "dpkg --audit finds nothing",
        "dpkg's packages have their files",
        "CUDA's libraries in CUDA's variants, and in no other",
    ]
    site = lab.clone(tmp_path, unpacked=True)
    stray = site.folder / "overlays/stray/opt/conda/conda-meta/stray-1-0.json"
    stray.parent.mkdir(parents=True)
    stray.write_text(json.dumps({"name": "stray", "version": "1", "build": "0"}))
    site.edit("[images.lab]\n", '[images.lab]\noverlays = ["stray"]\n')
    site.run("build", "lab", "--no-start")
    wrong = site.try_("check", "lab")
    assert wrong.code == 1
    assert [line for line in wrong.out.splitlines() if not line.startswith("kept")] == [
        "BROKEN  contents on native: conda's packages are those of the locks",
        "        stray 1 0 is in no lock",
    ]


def test_verified(lab: Site) -> None:
    """Built again under other circumstances: the same, bit by bit."""
    assert "identical" in lab.run("verify", "lab").out


def test_bump_is_explained(lab: Site, tmp_path: Path) -> None:
    """One layer is laid anew, and `explain` says which package moved."""
    site = lab.clone(tmp_path)
    (site.folder / "channel").mkdir()
    channel(site.folder / "channel")
    made = noarch(site.folder / "channel", version="2.0")
    path = site.folder / "channel/noarch/repodata.json"
    document = json.loads(path.read_text())
    document["packages.conda"][made.path.name] = made.entry
    path.write_text(json.dumps(document))
    site.edit("tiny-lab==1.0", "tiny-lab==2.0")
    site.run("lock")
    assert "conda tiny-lab 1.0=pyhd_0 → 2.0=pyhd_0" in site.run("explain", "lab").out
    done = [name for name in site.run("build", "lab", "--no-start").performed if name.startswith("conda ")]
    laid = [name for name in done if not name.startswith(("conda paths", "conda scripts"))]
    assert len(laid) == 1
