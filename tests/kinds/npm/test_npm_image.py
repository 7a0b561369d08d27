"""Images with npm packages, from the real registry and archive to a running container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.listing import read
from builder.platforms import NATIVE
from tests.e2e.project import Site
from tests.tools import need_root

MANIFEST = f"""
[project]
name = "npm-test"
platforms = ["{NATIVE}"]

[archives.bookworm]
suites = ["bookworm"]

[layouts.user]
user = "jovyan"
uid = 1000
gid = 0
home = "/home/jovyan"

[images.base]
from = "archive:bookworm"
layout = "user"
apt = ["nodejs"]
node = {{ from = "apt", prefix = "/opt/npm" }}
npm = ["semver==7.5.1"]

[images.terminal]
from = "base"
npm = ["@types/node>=20,<20.20", "node-pty==1.0.0", "semver"]
npm-scripts = ["node-pty"]
npm-build = ["g++", "make", "node-gyp"]
"""


@pytest.fixture(scope="module")
def site(npm_program: str, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The project, locked and built."""
    need_root()
    folder = tmp_path_factory.mktemp("npm-image")
    (folder / "project").mkdir()
    (folder / "project/stacks.toml").write_text(MANIFEST)
    found = Site(folder / "project", folder / "store")
    found.run("lock")
    found.run("build", "--no-start")
    return found


def test_locking_again_changes_nothing(site: Site) -> None:
    before = {path: path.read_bytes() for path in (site.folder / "locks").rglob("*") if path.is_file()}
    assert "nothing moved" in site.run("lock").out
    assert {path: path.read_bytes() for path in (site.folder / "locks").rglob("*") if path.is_file()} == before
    names = {path.name.removeprefix(NATIVE.replace("/", "-")) for path in before if path.parent.name == "terminal"}
    assert names == {".npm-lock.json", ".npm-build.apt.lock"}


def test_checking_needs_no_network(site: Site, tmp_path: Path) -> None:
    nowhere = {"STACKBUILD_NPM_REGISTRY": "http://127.0.0.1:9", "STACKBUILD_MIRROR_BOOKWORM": "http://127.0.0.1:9"}
    assert site.try_("lock", "--check", env=nowhere).code == 0
    other = site.copy(tmp_path / "other")
    other.edit('npm-scripts = ["node-pty"]', 'npm-scripts = ["other"]')
    said = other.try_("lock", "--check", env=nowhere)
    assert said.code == 1
    assert "node-pty@1.0.0 has an install script" in said.out + said.err
    other.edit('"make", ', "")
    said = other.try_("lock", "--check", env=nowhere)
    assert "make" in said.out + said.err


def test_programs_and_native_modules_run(site: Site) -> None:
    code, said = site.inside("terminal", "semver -r '>=1.2' 1.2.3 1.0.0 && id -u")
    assert (code, said.split()) == (0, ["1.2.3", "0"])
    script = 'require("/opt/npm/lib/node_modules/node-pty").spawn("/bin/echo", ["a terminal"]).onData(console.log)'
    code, said = site.inside("terminal", f"node -e '{script}'")
    assert "a terminal" in said


def test_nothing_of_the_compiler_is_in_the_image(site: Site) -> None:
    paths = {entry.path for layer in site.result("terminal")["layers"] for entry in read(site.store, layer)}
    assert "opt/npm/lib/node_modules/node-pty/build/Release/pty.node" in paths
    assert not {path for path in paths if path.startswith(("usr/include/node", "usr/lib/gcc", "usr/bin/g++"))}
    assert not {path for path in paths if "obj.target" in path or "node_gyp_bins" in path}


def test_a_child_repeats_nothing_of_its_parent(site: Site) -> None:
    own = [entry.path for layer in site.layers("terminal", "npm") for entry in read(site.store, layer)]
    assert not [path for path in own if "/semver/" in path]


def test_another_run_gives_the_same_layers(site: Site) -> None:
    before = site.digests("base", "terminal")
    for path in (site.store_path / "actions").glob("*.json"):
        if json.loads(path.read_bytes())["document"]["kind"] in {"npm", "npm.scripts", "image"}:
            path.unlink()
    said = site.run("build", "--no-start", "--jobs", "1", env={"TZ": "Asia/Tokyo", "LANG": "C"})
    assert any("npm scripts of node-pty" in line for line in said.performed)
    assert site.digests("base", "terminal") == before


def test_a_change_of_other_packages_compiles_nothing_again(site: Site, tmp_path: Path) -> None:
    other = site.copy(tmp_path / "other")
    other.edit("semver==7.5.1", "semver==7.5.2")
    other.run("lock")
    kept, now = ({one.name: one.plan_key for one in it.planned("terminal").actions} for it in (site, other))
    assert any(name.startswith("npm scripts of node-pty") for name in kept)
    assert now == kept
    assert "npm semver 7.5.1 → 7.5.2" in other.run("explain", "base").out
