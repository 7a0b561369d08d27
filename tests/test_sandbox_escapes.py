"""Foreign code that tries to get out of the sandbox, by whatever brings it there.

Each attempt of `tests/escapes` succeeds outside of the sandbox, as far as this machine lets its root do such things,
and must not succeed inside: in root's sandbox and an ordinary user's, from the scripts of Debian, npm and conda
packages, from a build backend, and from a project's own script. What such code leaves behind for the host is in
`test_sandbox_leavings.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from builder import unpacked
from builder.action import Action, Workshop
from builder.compression import codec
from builder.digest import Digest
from builder.kinds.apt import build as apt
from builder.kinds.apt import interpreter
from builder.kinds.conda import scripts as conda
from builder.kinds.npm import scripts as npm
from builder.kinds.npm.lay import Laying
from builder.kinds.run import build as step
from builder.sandbox import Command, Root, run
from builder.store import Store
from builder.tree import NEWEST
from tests import fake_deb
from tests.escapes import bait as baits
from tests.escapes.kernel import Bait
from tests.init.conftest import debian  # noqa: F401
from tests.kinds.apt.test_install import action, base, pin  # noqa: F401
from tests.kinds.npm.conftest import package, stored, tarball
from tests.kinds.pip.test_source_build import PROJECT, Bench, sdist
from tests.tools import Host, Python

ESCAPES = Path(baits.__file__).parent
_DEPENDS = """
    by_a_node_of_memory by_a_node_of_the_disk by_a_node_of_the_kernels_log by_a_node_of_fuse by_a_node_of_a_terminal
    by_a_node_of_loop_devices by_a_node_of_the_hypervisor devices_that_are_there by_file_handle
    tcp_by_version_6 route_to_the_world raw_packets vsock crypto_sockets bluetooth tipc rds express_data_path
    kernel_events io_uring interfaces_of_the_host network_namespace_of_another own_address_of_the_host
    trace_the_bait memory_of_the_bait trace_an_elder memory_of_an_elder memory_of_an_elder_by_its_number
    descriptor_of_an_elder typing_into_a_terminal key_of_the_session key_by_its_number keys_that_are_listed
    control_groups disk device_folder new_interface copy_of_a_tree program_for_crashes program_for_modules
    formats_of_programs memory_of_the_machine orders_to_the_kernel ranges_of_memory other_files_of_the_machine
    clock programs_in_the_kernel counters faults_in_user_space log_of_the_kernel size_of_the_kernels_log another_kernel
    module reboot swap accounting ports_of_the_processor real_time higher_limits more_processes core_of_a_crash
"""
"""Attempts that a kernel may be built or set up not to let anybody succeed with, or an engine its containers."""
DEPENDS = frozenset(_DEPENDS.split())
LONG = ("more_processes",)
"""They take a second or more: they are made as root and as an ordinary user, but not once more in each script."""


def outcomes(log: str) -> dict[str, str]:
    """What a log tells of each attempt; those of several runs in it are told apart by a number."""
    found: dict[str, str] = {}
    for line in log.splitlines():
        if line.startswith("escape: "):
            _, kind, name, outcome = line.split(" ", 3)
            found[f"{kind} {name} {sum(key.startswith(f'{kind} {name} ') for key in found)}"] = outcome
    return found


def judged(log: str, runs: int, left_out: tuple[str, ...] = LONG) -> None:
    """Every attempt was made, so many times, and every one was stopped."""
    found = outcomes(log)
    assert len(found) == runs * (NUMBER - len(left_out)), log[-2000:]
    assert {name: outcome for name, outcome in found.items() if not outcome.startswith("stopped")} == {}


NUMBER = sum(
    line.startswith("def ") and not line.startswith(("def _", "def main", "def call"))
    for path in ESCAPES.glob("*.py")
    if path.stem in {"files", "network", "processes", "environment", "mounts", "machine", "resources"}
    for line in path.read_text().splitlines()
)


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    """Everything there is to be stolen, with the token in the environment; where ordinary users get, too."""
    folder = Path(tempfile.mkdtemp(prefix="stackbuild-bait-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        for name in baits.VARIABLES:
            patch.setenv(name, baits.TOKEN)
        with baits.laid(folder / "bait") as found:
            yield found
    shutil.rmtree(folder)


@pytest.fixture
def carried(bait: Bait, tmp_path: Path) -> Path:
    """A layer that holds the attempts: python3 /opt/escape/tests/escapes/attempts.py /opt/escape/bait.json"""
    layer = tmp_path / "carried"
    place = layer / "opt/escape/tests/escapes"
    shutil.copytree(ESCAPES, place, ignore=shutil.ignore_patterns("__pycache__"))
    baits.write({**bait, "left_out": LONG}, layer / "opt/escape/bait.json")
    return layer


PROGRAM = "/opt/escape/tests/escapes/attempts.py /opt/escape/bait.json"


def test_outside_they_succeed(host: Host, bait: Bait, tmp_path: Path) -> None:
    """The same program, as root on this machine, with a descriptor that it inherits and an input to read."""
    order = baits.write({**bait, "outside": True}, tmp_path / "bait.json")
    log = Path(bait["beside"]) / "outside.log"
    handle = os.open(tmp_path, os.O_RDONLY)
    command = ["/usr/bin/python3", "-I", str(ESCAPES / "attempts.py"), str(order)]
    with log.open("wb") as output:
        subprocess.run(command, input=b"input", stdout=output, stderr=output, pass_fds=(handle,), check=True)
    os.close(handle)
    for left in Path("/tmp").glob("escape-*"):  # What succeeded outside leaves its name.
        (left.rmdir if left.is_dir() else left.unlink)()
    found = outcomes(log.read_text())
    assert len(found) == NUMBER
    failed = {name.split()[1] for name, outcome in found.items() if not outcome.startswith("ESCAPED")}
    assert failed <= DEPENDS, {name: outcome for name, outcome in found.items() if name.split()[1] in failed - DEPENDS}


def test_as_root(host: Host, bait: Bait, carried: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    baits.write(bait, carried / "opt/escape/bait.json")
    command = Command(argv=("/bin/sh", "-c", f"/usr/bin/python3 -I {PROGRAM}"), binds=host.binds)
    root = Root(workspace=tmp_path / "work", lowers=(carried, host.lower))
    assert run(root, command, log=tmp_path / "log") == 0
    judged((tmp_path / "log").read_text(), 1, ())


def test_as_an_ordinary_user(host: Host, bait: Bait) -> None:
    """Who has subordinate ids: `unshare --map-root-user --map-auto` is what stackbuild calls then."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shutil.copytree(ESCAPES, home / "tests/escapes", ignore=shutil.ignore_patterns("__pycache__"))
        baits.write(bait, home / "bait.json")
        shutil.copytree(ESCAPES.parents[1] / "builder", Path(folder) / "builder")
        subprocess.run(["chown", "-R", "23456:23456", str(home)], check=True)
        Path(folder).chmod(0o755)
        lower = Path(folder) / "root"
        shutil.copytree(host.lower, lower, symlinks=True)
        environ = {**os.environ, "PYTHONPATH": f"{folder}:{home}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = ["/usr/bin/python3", "-m", "tests.escapes.ordinary", str(home), str(lower)]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        judged((home / "log").read_text(), 1, ())


def inline(function: Any, /, *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done


@pytest.fixture
def workshop(store: Store) -> Workshop:
    return Workshop(store=store, heavy=inline, jobs=2, log=store.path / "logs/test.txt")


@pytest.fixture
def shell(python: Python, carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """A root with a shell, Python and the attempts, lowest first, which all actions read."""
    (tmp_path / "shell/usr/bin").mkdir(parents=True)
    for name in ("sh", "cat", "rm"):
        shutil.copy(f"/bin/{name}", tmp_path / "shell/usr/bin")
    folders = (python.root, tmp_path / "shell", carried)
    monkeypatch.setattr(unpacked, "layers", lambda store, wanted: folders)
    return folders


def test_from_the_scripts_of_a_debian_package(
    bait: Bait,
    base: Path,  # noqa: F811
    python: Python,
    workshop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From preinst, postinst and a trigger, with stackbuild's own installer beside them."""
    monkeypatch.setattr(unpacked, "layers", lambda store, wanted: (base, python.root))
    place = "usr/share/escape/tests/escapes"
    files = {f"{place}/{path.name}": path.read_text() for path in ESCAPES.glob("*.py")}
    files["usr/share/escape/bait.json"] = json.dumps({**bait, "left_out": LONG})
    call = f"python{python.short} -I /{place}/attempts.py /usr/share/escape/bait.json"
    script = f"#!/bin/sh\nexec {call}\n"
    one = fake_deb.build(tmp_path, "one", files, postinst=script, triggers="interest-noawait escape\n")
    two = fake_deb.build(
        tmp_path, "two", {"usr/share/two/x": ""}, fields="Pre-Depends: one\n",
        preinst=script, postinst="#!/bin/sh\nexec dpkg-trigger escape\n",
    )  # fmt: skip
    apt.perform(action(pin(workshop.store, one), pin(workshop.store, two)), {}, workshop)
    judged(workshop.log.read_text(), 3)


def test_from_a_build_backend(
    bait: Bait, python: Python, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "root", lambda *_: python.root)
    bench = Bench(store, python, tmp_path)
    backend = """
import os, subprocess, sys, zipfile
subprocess.run([sys.executable, "-I", os.path.abspath("tests/escapes/attempts.py"), os.path.abspath("bait.json")])
def build_wheel(folder, settings):
    with zipfile.ZipFile(f"{folder}/fake-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("fake.py", "x = 1")
    return "fake-1.0-py3-none-any.whl"
"""
    members = [
        ("pyproject.toml", PROJECT),
        ("backend.py", backend.encode()),
        ("bait.json", json.dumps({**bait, "left_out": LONG}).encode()),
    ]
    members += [(f"tests/escapes/{path.name}", path.read_bytes()) for path in ESCAPES.glob("*.py")]
    assert bench.build(sdist(tmp_path / "s", [(f"fake-1.0/{name}", data) for name, data in members]))["wheel"]
    judged(bench.log.read_text(), 1)


def test_from_a_script_of_the_project(
    shell: tuple[Path, ...], python: Python, workshop: Workshop, tmp_path: Path
) -> None:
    script = tmp_path / "step.sh"
    script.write_text(f"#!/bin/sh\nexec python{python.short} -I {PROGRAM}\n")
    digest = Digest.of_file(script)
    options: Any = {
        "codec": codec("gzip"), "env": {"PATH": "/usr/bin"}, "ids": [0, 0], "interpreted": True, "newest": NEWEST,
        "script": digest, "step": "step",
    }  # fmt: skip
    one = Action(kind="run", version=1, name="run step", options=options, local={digest: script})
    step.perform(one, {}, workshop)
    judged(workshop.log.read_text(), 1)


def test_from_the_scripts_of_an_npm_package(shell: tuple[Path, ...], python: Python, workshop: Workshop) -> None:
    call = f"python{python.short} -I {PROGRAM}"
    manifest = {"name": "a", "version": "1.0.0", "scripts": {"preinstall": call, "install": call, "postinstall": call}}
    one = stored(workshop.store, tarball([("package/x.js", b"x")], manifest), package("node_modules/a"))
    order = npm.Order(
        laying=Laying(package=one, asked=True),
        beside=(),
        lowers=tuple(reversed(shell)),
        prefix="/opt/npm",
        node="18.20.4",
        platform="linux/amd64",
        codec=codec("gzip"),
    )
    npm.build(order, workshop, "npm/a")
    judged(workshop.log.read_text(), 3)


def test_from_a_post_link_script(shell: tuple[Path, ...], python: Python, workshop: Workshop) -> None:
    place = shell[-1] / "opt/conda/bin/.x-post-link.sh"
    place.parent.mkdir(parents=True)
    place.write_text(f"/usr/bin/python{python.short} -I {PROGRAM}\n")
    options: Any = {"codec": codec("gzip"), "mtime": NEWEST, "prefix": "/opt/conda", "packages": [["x", "1", "0"]]}
    conda.perform(Action(kind="conda.scripts", version=1, name="conda scripts", options=options), {}, workshop)
    judged(workshop.log.read_text(), 1)
