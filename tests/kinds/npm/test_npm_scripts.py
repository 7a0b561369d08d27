"""Install scripts run in the sandbox; of what they leave only their own package is taken."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder.action import Workshop
from builder.compression import codec
from builder.errors import HostileInput, StackbuildError
from builder.kinds.npm.lay import Laying
from builder.kinds.npm.scripts import Order, build
from builder.listing import read
from builder.store import Store
from tests.kinds.npm.conftest import package, stored, tarball
from tests.tools import Host

TOOLS = ("sh", "cat", "chmod", "env", "ln", "mkdir", "mkfifo", "mv", "rm", "touch")


def now(function: Any, *arguments: Any) -> Future[Any]:
    found: Future[Any] = Future()
    found.set_result(function(*arguments))
    return found


@dataclass
class Bench:
    """Packages with scripts, in a root that holds a shell and little else."""

    store: Store
    root: Path

    def run(self, script: str, *, stage: str = "install", beside: bool = False, **native: Any) -> dict[str, str]:
        """The layer's entries below the package, `mode mark` by path, and links to programs."""
        manifest = {"name": "a", "version": "1.0.0", "scripts": {stage: script}}
        files = [("package/x.js", b"x"), ("package/binding.gyp", b"{}")]
        one = stored(self.store, tarball(files, manifest), package("node_modules/a", bin={"a": "made/a"}, **native))
        inner = package("node_modules/a/node_modules/b", bin={"b": "b.sh"})
        helper = tarball([("package/b.sh", b"#!/bin/sh\necho $1 > made/b\n")], {"name": "b", "version": "1.0.0"})
        order = Order(
            laying=Laying(package=one, asked=True),
            beside=(Laying(package=stored(self.store, helper, inner)),) if beside else (),
            lowers=(self.root,),
            prefix="/opt/npm",
            node="18.20.4",
            platform="linux/amd64",
            codec=codec("gzip"),
        )
        workshop = Workshop(store=self.store, heavy=now, jobs=1, log=self.store.path / "logs/test.txt")
        layer = build(order, workshop, "npm/a")
        self.layer = layer
        return {
            entry.path.removeprefix("opt/npm/lib/node_modules/a/"): f"{entry.mode} {entry.mark[:20]}"
            for entry in read(self.store, layer)
            if entry.kind != "dir"
        }


@pytest.fixture
def bench(host: Host, store: Store, tmp_path: Path) -> Bench:
    root = tmp_path / "root"
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for tool in TOOLS:
        program = shutil.which(tool, path="/usr/bin:/bin")
        assert program
        said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
        for path in {Path(program), *(Path(word) for word in said.split() if word.startswith("/"))}:
            target = root / str(path).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.resolve(), target)
            target.chmod(0o755)
    return Bench(store, root)


def test_what_a_script_makes_is_taken(bench: Bench) -> None:
    script = """
set -e
mkdir -p made build/Release/obj.target build/Release/.deps build/node_gyp_bins
echo 1 > made/a; echo 2 > build/Release/x.node; chmod 4700 build/Release/x.node
echo 3 > build/Release/obj.target/x.o; echo 4 > build/Release/.deps/x.d; ln -s /bin/sh build/node_gyp_bins/python3
ln -s x.js link.js; ln x.js hard.js; rm binding.gyp; echo 5 > /etc-file; echo 6 > ../other; touch /tmp/x
"""
    found = bench.run(script)
    assert set(found) == {
        "package.json", "x.js", "hard.js", "link.js", "made/a", "build/Release/x.node", "opt/npm/bin/a"
    }  # fmt: skip
    assert found["build/Release/x.node"].startswith("0775 ")
    assert found["made/a"].startswith("0775 ")
    assert found["link.js"] == "0777 -> x.js"
    assert found["opt/npm/bin/a"] == "0777 -> ../lib/node_modul"
    ids = {(entry.ids, entry.owner) for entry in read(bench.store, bench.layer) if entry.kind == "file"}
    assert ids == {("0:0", "a")}


def test_a_script_sees_what_it_requires_but_leaves_it_alone(bench: Bench) -> None:
    found = bench.run("mkdir made; b hello; echo changed > node_modules/b/b.sh; touch node_modules/b/new", beside=True)
    assert set(found) == {"package.json", "x.js", "binding.gyp", "made/b"}


def test_what_is_linked_out_of_an_intermediate_folder_is_a_file(bench: Bench) -> None:
    """make links what it built from obj.target; the name that stayed led to one that was left out."""
    script = """
set -e
mkdir -p build/Release/obj.target made; echo 12345 > build/Release/obj.target/x.node
ln build/Release/obj.target/x.node build/Release/x.node; ln build/Release/x.node made/a
"""
    found = bench.run(script)
    assert "build/Release/x.node" in found
    kinds = {entry.path.rpartition("/")[2]: (entry.kind, entry.size) for entry in read(bench.store, bench.layer)}
    assert kinds["x.node"] == ("file", 6)
    assert kinds["a"][0] == "hardlink"


def test_npx_runs_what_is_there(bench: Bench) -> None:
    found = bench.run("mkdir made; npx --yes touch made/a; ! npx absent")
    assert "made/a" in found
    assert not [path for path in found if "npx" in path]


def test_two_runs_are_equal(bench: Bench) -> None:
    script = "mkdir made; echo $PATH $HOME $npm_lifecycle_event $npm_package_name $PWD > made/a"
    bench.run(script)
    first = bench.layer
    bench.run(script)
    assert bench.layer == first


def test_all_stages_run_in_order(bench: Bench) -> None:
    """A second mount of one overlay's work folder failed: a package with two scripts could not be built."""
    manifest = {
        "name": "a", "version": "1.0.0",
        "scripts": {"postinstall": "cat one two > three", "install": "echo 2 > two", "preinstall": "echo 1 > one"},
    }  # fmt: skip
    one = stored(bench.store, tarball([], manifest), package("node_modules/a"))
    order = Order(
        laying=Laying(package=one),
        beside=(),
        lowers=(bench.root,),
        prefix="/opt/npm",
        node="18.20.4",
        platform="",
        codec=codec("gzip"),
    )
    workshop = Workshop(store=bench.store, heavy=now, jobs=1, log=bench.store.path / "logs/test.txt")
    sizes = {entry.path.rpartition("/")[2]: entry.size for entry in read(bench.store, build(order, workshop, "npm/a"))}
    assert (sizes["one"], sizes["two"], sizes["three"]) == (2, 2, 4)


def test_a_binding_without_a_script_is_built(bench: Bench) -> None:
    with pytest.raises(StackbuildError, match=r"step failed: install of a@1\.0\.0 \(exit 127\)") as caught:
        bench.run("unused", stage="test")
    assert "node-gyp" in caught.value.got
    assert "npm-build" in caught.value.next_step
    assert "stackbuild shell --at test" in caught.value.next_step


def test_a_failing_script_names_its_log(bench: Bench) -> None:
    with pytest.raises(StackbuildError, match=r"\(exit 3\)") as caught:
        bench.run("echo no compiler; exit 3")
    assert "no compiler" in caught.value.got
    assert caught.value.where == f"log: {bench.store.path / 'logs/test.txt'}"


def test_scripts_have_no_network_and_no_host(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    script = 'test ! -e /work && test ! -e /home && test -z "$SECRET" && mkdir made && cat /proc/net/dev > made/a'
    found = bench.run(script)
    assert "made/a" in found
    (size,) = [entry.size for entry in read(bench.store, bench.layer) if entry.path.endswith("made/a")]
    assert size < 500  # Two lines of titles, and one for the loopback interface.


@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/passwd out", "ln -s ../../../../../etc/passwd out", "mkdir d; ln -s ../../x d/out", "mkfifo pipe",
        "rm -rf node_modules; ln -s / node_modules",
    ],
)  # fmt: skip
def test_what_a_script_may_not_leave(script: str, bench: Bench) -> None:
    with pytest.raises(HostileInput):
        bench.run(script)


def test_a_script_may_not_replace_its_own_folder(bench: Bench) -> None:
    """The folder was read on the host, wherever it led to."""
    with pytest.raises(HostileInput, match="is no folder any more"):
        bench.run("cd ..; rm -rf a; ln -s /etc a")
    with pytest.raises(HostileInput, match="is no folder any more"):
        bench.run("cd /; rm -rf opt; ln -s /etc opt")
