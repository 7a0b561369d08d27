"""From locks to a root that runs: plan, perform, and Python, entry points and scripts in what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder import listing, unpacked
from builder.action import Action
from builder.compression import codec
from builder.errors import Problems, StackbuildError
from builder.executors.local import execute
from builder.kinds.conda import build, interpreter
from builder.lock import Lock
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads
from builder.parts import write_part
from builder.plan import Plan
from builder.sandbox import ENVIRONMENT, Command, Root, run
from builder.scan import scan
from builder.site import Planned, Site
from builder.store import Store
from builder.tree import Entry, File, with_parents
from tests.conda_packages import Made, Piece, native, noarch, package, python, stored
from tests.tools import Host

HEAD = """\
[project]
name = "notebooks"
platforms = ["linux/amd64"]

[archives.bookworm]
suites = ["bookworm"]

[channels]
main = "https://conda.example.com/main"

[layouts.kubeflow]
user = "jovyan"
uid = 1000
gid = 0
home = "/home/jovyan"

[images.base]
from = "archive:bookworm"
layout = "kubeflow"
channels = ["main"]
conda = ["python"]
"""
CHILD = """
[images.child]
from = "base"
conda = ["tiny-lab"]
"""


def system(store: Store) -> Action:
    """What lies below conda's packages: this machine's C library and shell, as a finished action of some other kind."""
    library = interpreter.host_library(store)
    entries = {entry.path: entry for entry in scan(str(library), {})}
    for name in ("sh", "cat", "rm"):
        program = Path("/bin", name).resolve()
        entries[f"bin/{name}"] = Entry(f"bin/{name}", "file", content=File(str(program), program.stat().st_size))
    action = Action(kind="apt", version=0, name="system", options={})
    found = {"layers": [write_part(store, "system", with_parents(entries.values()), codec("gzip"))]}
    store.put_action(action.plan_key, action.document, found)
    return action


class Quiet:
    """Notes what was performed."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None:
        self.done.append(f"{action.name}: {how}")


@dataclass(frozen=True, kw_only=True)
class World:
    """A project whose locks pin packages made here. Its Debian packages are nobody's matter."""

    manifest: Manifest
    store: Store
    locks: Locks

    def plan(self, image: str) -> tuple[Action, ...]:
        ancestors: tuple[Planned, ...] = ()
        for target in self.manifest.lineage(Target(image, "cpu", "linux/amd64")):
            own = () if ancestors else (system(self.store),)
            site = Site(manifest=self.manifest, target=target, locks=self.locks, ancestors=ancestors, own=own)
            ancestors = (*ancestors, Planned(target=target, actions=(*own, *build.plan(site))))
        return tuple(action for planned in ancestors for action in planned.actions)

    def build(self, image: str) -> tuple[list[dict[str, Any]], list[str]]:
        """The layers, lowest first, and what was done."""
        actions, watcher = self.plan(image), Quiet()
        whole = Plan.of(actions)
        stale = whole.stale(self.store, actions)
        execute(whole, stale, self.store, jobs=2, fetch=lambda pins: None, watcher=watcher)
        layers = []
        for action in actions:
            found = self.store.action(action.plan_key)
            assert found is not None
            layers += found["result"]["layers"]
        return layers, sorted(watcher.done)

    def run(self, layers: list[dict[str, Any]], folder: Path, *argv: str) -> tuple[int, str]:
        """A command in the root of these layers."""
        lowers = tuple(reversed(unpacked.layers(self.store, layers)))
        folder.mkdir()
        log = folder / "log"
        command = Command(argv=argv, env={**ENVIRONMENT, "PATH": f"/opt/conda/bin:{ENVIRONMENT['PATH']}"})
        code = run(Root(workspace=folder, lowers=lowers), command, log=log)
        return code, log.read_text(errors="replace")


def world(store: Store, folder: Path, packages: Mapping[str, list[Made]], images: str = "") -> World:
    """A project with these packages locked for each image."""
    manifest = loads(HEAD + images, folder / "stacks.toml")
    locks = Locks(folder / "locks")
    for image, found in packages.items():
        stored(store, *found)
        pins = sorted((made.pin for made in found), key=lambda pin: pin.name)
        locks.put(Target(image, "cpu", "linux/amd64"), "conda", Lock(request=(), pins=tuple(pins)))
    return World(manifest=manifest, store=store, locks=locks)


@pytest.fixture(scope="module")
def conda_python(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return python(tmp_path_factory.mktemp("python"))


def test_runs(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    """Python at its prefix, an entry point, a script, and conda-meta of a parent's and a child's packages."""
    here = world(store, tmp_path, {"base": [conda_python, native(tmp_path)], "child": [noarch(tmp_path)]}, CHILD)
    layers, _ = here.build("child")
    program = "import sys, ctypes, tiny_lab.place as p; print(sys.prefix, sys.flags.optimize, p.where, p.__cached__)"
    code, said = here.run(layers, tmp_path / "one", "python", "-c", program)
    short = ".".join(conda_python.index["version"].split(".")[:2])
    site = f"/opt/conda/lib/python{short}/site-packages"
    cached = f"{site}/tiny_lab/__pycache__/place.cpython-{short.replace('.', '')}.pyc"
    assert (code, said) == (0, f"/opt/conda 0 /opt/conda {cached}\n")
    assert here.run(layers, tmp_path / "two", "tiny-lab") == (0, "tiny lab\n")
    assert here.run(layers, tmp_path / "three", "/opt/conda/bin/tiny-app") == (0, "tiny lab\n")
    assert here.run(layers, tmp_path / "four", "tiny-script") == (0, "script\n")
    program = "import os; print(*sorted(os.listdir('/opt/conda/conda-meta')))"
    version = conda_python.index["version"]
    metas = f"history libtiny-1.0-h1_0.json python-{version}-h1_0_cpython.json tiny-lab-1.0-pyhd_0.json\n"
    assert here.run(layers, tmp_path / "five", "python", "-c", program) == (0, metas)


def test_bytecode_is_taken(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    """Compiled by the conda Python itself for where the sources lie; sources that do not compile have none."""
    here = world(store, tmp_path, {"base": [conda_python, noarch(tmp_path)]})
    layers, _ = here.build("base")
    paths = {one.path for layer in layers for one in listing.read(store, layer) if one.owner == "tiny-lab"}
    compiled = sorted(path.rpartition("/")[2].split(".")[0] for path in paths if path.endswith(".pyc"))
    assert compiled == ["__init__", "app", "place"]
    _, said = here.run(layers, tmp_path / "run", "python", "-v", "-c", "import tiny_lab.app")
    assert "matches /opt/conda/lib/python" in said
    assert "tiny_lab/app.py" in said
    assert "could not create" not in said and "wrote '/opt/conda" not in said


def test_equal_in_another_store(host: Host, tmp_path: Path, conda_python: Made) -> None:
    found = []
    for name, umask in (("one", 0o022), ("two", 0o077)):
        before = os.umask(umask)
        try:
            store = Store.open(tmp_path / name)
            packages = [conda_python, native(tmp_path), noarch(tmp_path)]
            found.append(world(store, tmp_path, {"base": packages}).build("base")[0])
        finally:
            os.umask(before)
    assert found[0] == found[1]


def test_a_bump_lays_its_layer_alone(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    """And what nobody changed is not even looked at: its packages are gone."""
    packages = [conda_python, native(tmp_path), native(tmp_path, name="libother"), noarch(tmp_path)]
    here = world(store, tmp_path, {"base": packages})
    before, _ = here.build("base")
    bumped = [made for made in packages if made.index["name"] != "libother"]
    bumped.append(package(tmp_path, "libother", [Piece(path="lib/other", data=b"2")], version="2.0"))
    after, done = world(store, tmp_path, {"base": bumped}).build("base")
    changed = {layer["name"] for layer in after} - {layer["name"] for layer in after if layer in before}
    assert len(changed) == 1
    laid = [line for line in done if not line.startswith("conda paths of")]
    assert laid == [f"conda {changed.pop().removeprefix('conda/')} of base:cpu@linux/amd64: done"]


def test_a_child_lays_only_its_own(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    here = world(store, tmp_path, {"base": [conda_python], "child": [noarch(tmp_path)]}, CHILD)
    parent, _ = here.build("base")
    layers, done = here.build("child")
    assert layers[: len(parent)] == parent
    assert all("child" in line for line in done)
    history = [one.path for layer in layers for one in listing.read(store, layer) if one.path.endswith("/history")]
    assert history == ["opt/conda/conda-meta/history"]


def test_keys_read_what_layers_read(store: Store, tmp_path: Path, conda_python: Made) -> None:
    """No name of a target; the Python only where a noarch package needs it."""
    packages = [conda_python, native(tmp_path), noarch(tmp_path)]
    one = {a.plan_key for a in world(store, tmp_path, {"base": packages}).plan("base") if a.kind == "conda"}
    text = HEAD.replace("[images.base]", "[images.other]")
    manifest = loads(text, tmp_path / "stacks.toml")
    locks = Locks(tmp_path / "locks")
    target = Target("other", "cpu", "linux/amd64")
    pins = tuple(sorted((made.pin for made in packages), key=lambda pin: pin.name))
    locks.put(target, "conda", Lock(request=(), pins=pins))
    site = Site(manifest=manifest, target=target, locks=locks, ancestors=())
    assert {a.plan_key for a in build.plan(site) if a.kind == "conda"} == one
    for action in build.plan(site):
        noarch_python = any(role == "conda:tiny-lab" for role in action.sources)
        assert (any(role.startswith("python:") for role in action.sources)) == noarch_python
        assert action.platform == ""


def test_noarch_python_without_a_python(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="no conda Python: base:cpu@linux/amd64"):
        world(store, tmp_path, {"base": [noarch(tmp_path)]}).plan("base")


def test_two_layers_that_collide(host: Host, store: Store, tmp_path: Path) -> None:
    """`libtiny` and `clash` lie in different buckets."""
    clash = package(tmp_path, "clash", [Piece(path="share/tiny/empty", data=b"not empty")])
    here = world(store, tmp_path, {"base": [native(tmp_path), clash]})
    assert len([action for action in here.plan("base") if action.kind == "conda"]) == 2
    with pytest.raises(Problems) as caught:
        here.build("base")
    (problem,) = caught.value.problems
    assert problem.what == (
        "two conda packages bring /opt/conda/share/tiny/empty with different content: libtiny and clash"
    )


SCRIPT = """#!/bin/sh
set -e
echo "$PREFIX $PKG_NAME $PKG_VERSION $PKG_BUILDNUM" > "$PREFIX/share/said.txt"
cat "$PREFIX/share/before" >> "$PREFIX/share/said.txt"
echo told > "$PREFIX/.messages.txt"
"""


def scripted(folder: Path, text: str = SCRIPT) -> list[Made]:
    """A package with a post-link script, and one it depends on."""
    script = Piece(path="bin/.scripted-post-link.sh", data=text.encode(), mode=0o755)
    return [
        package(folder, "before", [Piece(path="share/before", data=b"there\n")]),
        package(folder, "scripted", [script], depends=["before"], version="1.2", build="h7_3"),
        package(folder, "sh", [Piece(path="share/sh", data=b"")]),
    ]


ALLOWED = 'conda-scripts = ["scripted"]\n'


def test_script_that_is_allowed(host: Host, store: Store, tmp_path: Path) -> None:
    """It sees the whole root, and what it changes is a layer of its own."""
    here = world(store, tmp_path, {"base": scripted(tmp_path)}, ALLOWED)
    layers, _ = here.build("base")
    last = layers[-1]
    assert last["name"] == "conda/scripts"
    found = {one.path: one for one in listing.read(store, last) if one.kind != "dir"}
    assert set(found) == {"opt/conda/share/said.txt"}
    assert (found["opt/conda/share/said.txt"].mode, found["opt/conda/share/said.txt"].ids) == ("0664", "0:0")
    (root,) = unpacked.layers(store, [last])
    assert (root / "opt/conda/share/said.txt").read_text() == "/opt/conda scripted 1.2 3\nthere\n"
    assert "told" in "".join(path.read_text() for path in (store.path / "logs").iterdir())


def test_script_that_nobody_allowed(host: Host, store: Store, tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        world(store, tmp_path, {"base": scripted(tmp_path)}).build("base")
    assert caught.value.problems[0].what == "scripted-1.2-h7_3.conda has a post-link script"


def test_script_that_fails(host: Host, store: Store, tmp_path: Path) -> None:
    packages = scripted(tmp_path, "echo broken >&2; exit 3\n")
    with pytest.raises(Problems) as caught:
        world(store, tmp_path, {"base": packages}, ALLOWED).build("base")
    (problem,) = caught.value.problems
    assert problem.what == "step failed: post-link script of scripted in conda scripts of base:cpu@linux/amd64 (exit 3)"
    assert problem.got == "broken"


def test_scripts_run_after_their_dependencies(store: Store, tmp_path: Path) -> None:
    """Also where packages depend on each other in a circle."""
    made = [
        package(tmp_path, "a", [], depends=["c >=1", "__glibc"]),
        package(tmp_path, "b", [], depends=["a"]),
        package(tmp_path, "c", [], depends=["b"]),
        package(tmp_path, "d", [], depends=["b"]),
    ]
    here = world(store, tmp_path, {"base": made}, 'conda-scripts = ["a", "b", "c", "d", "elsewhere"]\n')
    (action,) = (action for action in here.plan("base") if action.kind == "conda.scripts")
    options: Any = action.options
    assert [row[0] for row in options["packages"]] == ["b", "c", "a", "d"]
