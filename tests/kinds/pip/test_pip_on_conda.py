"""From locks to a root that runs: wheels in conda's prefix, overrides, files that two packages bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder import image, unpacked
from builder.action import Action
from builder.errors import Problems, StackbuildError
from builder.executors.local import execute
from builder.kinds.conda import build as conda
from builder.kinds.pip import build as pip
from builder.lock import Lock, Pin
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads
from builder.plan import Plan
from builder.sandbox import ENVIRONMENT, Command, Root, run
from builder.site import Planned, Site
from builder.store import Store
from tests.conda_packages import Made, noarch, python, stored
from tests.kinds.conda.test_conda_build import Quiet, system
from tests.kinds.pip.test_pip_layers import wheel
from tests.tools import Host

MANIFEST = """
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
conda = ["python", "tiny-lab"]
python = { from = "conda" }
pip = ["tool"]
[images.child]
from = "base"
"""
Files = Mapping[str, bytes]
TOOL: Files = {
    "tool/__init__.py": b"import tiny_lab\nversion = 2\ndef main():\n    print('tool', version, tiny_lab.version)\n",
    "tool/newer.py": b"",
    "tool-2.0.data/scripts/tool-script": b"#!python\nimport sys; print(sys.executable)\n",
    "tool-2.0.data/headers/tool.h": b"",
    "tool-2.0.dist-info/entry_points.txt": b"[console_scripts]\ntool = tool:main\n",
}
OLDER: Files = {"tool/__init__.py": b"version = 1\n", "tool-1.0.dist-info/entry_points.txt": b""}


@dataclass(frozen=True, kw_only=True)
class World:
    """A family on conda's Python, whose locks pin what was made here."""

    manifest: Manifest
    store: Store
    locks: Locks
    folder: Path

    def lock(self, target: str, *wheels: tuple[str, str, Files]) -> None:
        pins = []
        for name, version, files in wheels:
            made = wheel(self.store, self.folder, name, version, files)
            pins.append(
                Pin(kind="pip", name=name, version=version, filename=made.filename, digest=made.digest, size=1000)
            )
        self.locks.put(Target(target, "cpu", "linux/amd64"), "pip", Lock(request=(), pins=tuple(pins)))

    def build(self, name: str) -> list[dict[str, Any]]:
        """The layers of an image, lowest first.

        Raises:
            StackbuildError: as `build` would say it.
        """
        ancestors: tuple[Planned, ...] = ()
        for target in self.manifest.lineage(Target(name, "cpu", "linux/amd64")):
            own = () if ancestors else (system(self.store),)
            for kind in (conda, pip):
                site = Site(manifest=self.manifest, target=target, locks=self.locks, ancestors=ancestors, own=own)
                own = (*own, *kind.plan(site))
            ancestors = (*ancestors, Planned(target=target, actions=own))
        actions = tuple(action for planned in ancestors for action in planned.actions)
        end = image.plan(self.manifest, Target(name, "cpu", "linux/amd64"), actions)
        whole = Plan.of([end])
        execute(whole, whole.stale(self.store, [end]), self.store, jobs=2, fetch=_nothing, watcher=Quiet())
        found = self.store.action(end.plan_key)
        assert found is not None
        return list(found["result"]["layers"])

    def run(self, layers: Iterable[dict[str, Any]], *argv: str) -> tuple[int, str]:
        """A command in the root of these layers."""
        folder = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        lowers = tuple(reversed(unpacked.layers(self.store, layers)))
        command = Command(argv=argv, env={**ENVIRONMENT, "PATH": f"/opt/conda/bin:{ENVIRONMENT['PATH']}"})
        code = run(Root(workspace=folder, lowers=lowers), command, log=folder / "log")
        return code, (folder / "log").read_text(errors="replace")


def _nothing(pins: Iterable[Pin]) -> None:
    """All is in the store already."""


@pytest.fixture(scope="module")
def conda_python(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return python(tmp_path_factory.mktemp("python"))


def world(store: Store, folder: Path, conda_python: Made, child: str = "") -> World:
    packages = (conda_python, noarch(folder))
    stored(store, *packages)
    locks = Locks(folder / "locks")
    pins = tuple(sorted((made.pin for made in packages), key=lambda pin: pin.name))
    locks.put(Target("base", "cpu", "linux/amd64"), "conda", Lock(request=(), pins=pins))
    found = World(manifest=loads(MANIFEST + child, folder / "stacks.toml"), store=store, locks=locks, folder=folder)
    found.lock("base", ("tool", "2.0", TOOL))
    return found


def test_wheels_beside_condas_packages(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    here = world(store, tmp_path, conda_python)
    layers = here.build("base")
    assert here.run(layers, "tool") == (0, "tool 2 1.0\n")
    short = ".".join(conda_python.index["version"].split(".")[:2])
    assert here.run(layers, "tool-script") == (0, f"/opt/conda/bin/python{short}\n")
    program = """
import importlib.metadata as m, os, tool
d = m.distribution("tool")
print(tool.__cached__, os.path.exists(tool.__cached__), d.version)
print(d.read_text("INSTALLER").strip(), d.read_text("REQUESTED"))
print(os.path.exists("/opt/conda/include/python%s/tool/tool.h" % "%d.%d" % __import__("sys").version_info[:2]))
print(os.path.exists("/opt/conda/pyvenv.cfg"))
"""
    site = f"/opt/conda/lib/python{short}/site-packages/tool/__pycache__/__init__.cpython-{short.replace('.', '')}.pyc"
    assert here.run(layers, "python", "-c", program) == (0, f"{site} True 2.0\nstackbuild None\nTrue\nFalse\n")


def test_an_override_leaves_nothing_behind(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    child = 'override = [{ pip = "tool==1.0", reason = "newer is broken", until = 2099-01-01 }]\n'
    here = world(store, tmp_path, conda_python, child)
    here.lock("child", ("tool", "1.0", OLDER))
    layers = here.build("child")
    assert [one["name"].partition("/")[0] for one in layers[-2:]] == ["pip", "pip"]
    program = """
import importlib.metadata as m, os, tool
print(tool.version, [d.version for d in m.distributions() if d.name == "tool"], sorted(os.listdir(tool.__path__[0])))
print([one for one in os.listdir("/opt/conda/bin") if one.startswith("tool")])
print(os.path.exists(os.path.dirname(tool.__path__[0]) + "/tool-2.0.dist-info"))
"""
    said = "1 ['1.0'] ['__init__.py', '__pycache__']\n[]\nFalse\n"
    assert here.run(layers, "python", "-c", program) == (0, said)
    assert here.run(here.build("base"), "tool")[1] == "tool 2 1.0\n"


def test_a_wheel_that_brings_a_file_of_conda(host: Host, store: Store, tmp_path: Path, conda_python: Made) -> None:
    here = world(store, tmp_path, conda_python, 'pip = ["shadow"]\n')
    wheels = ("shadow", "1.0", {"tiny_lab/__init__.py": b"version = 'mine'\n", "shadow.py": b""})
    here.lock("child", wheels)
    with pytest.raises(Problems) as caught:
        here.build("child")
    (error,) = caught.value.problems
    short = ".".join(conda_python.index["version"].split(".")[:2])
    path = f"/opt/conda/lib/python{short}/site-packages/tiny_lab/__init__.py"
    assert error.what == f"two packages bring {path} with different content: tiny-lab and shadow"
    assert "tiny-lab is conda's" in error.where
    assert "without" not in error.next_step
    for winner, loser, version in (("tiny-lab", "shadow", "1.0"), ("shadow", "tiny-lab", "mine")):
        more = f'prefer = [{{ path = "{path}", package = "{winner}", over = "{loser}", reason = "r" }}]\n'
        (tmp_path / winner).mkdir()
        settled = world(store, tmp_path / winner, conda_python, 'pip = ["shadow"]\n' + more)
        settled.lock("child", wheels)
        layers = settled.build("child")
        assert settled.run(layers, "python", "-c", "import tiny_lab; print(tiny_lab.version)") == (0, f"{version}\n")


def test_a_lock_without_a_python_is_told(store: Store, tmp_path: Path, conda_python: Made) -> None:
    here = world(store, tmp_path, conda_python)
    here.locks.put(Target("base", "cpu", "linux/amd64"), "conda", Lock(request=(), pins=()))
    with pytest.raises(StackbuildError, match="no conda Python: base:cpu@linux/amd64"):
        here.build("base")


def test_actions_tell_condas_python(store: Store, tmp_path: Path, conda_python: Made) -> None:
    here = world(store, tmp_path, conda_python)
    target = Target("base", "cpu", "linux/amd64")
    found: tuple[Action, ...] = pip.plan(Site(manifest=here.manifest, target=target, locks=here.locks, ancestors=()))
    assert [one.name for one in found] == [f"pip bucket-{found[0].name[11]} of {target}"]
    assert {role.split(":")[0] for role in found[0].sources} == {"python", "wheel"}
