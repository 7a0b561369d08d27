"""`stackbuild lock` over a whole family: sets that move as one, cells that miss a wheel, waivers and their days."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.manifest.settings import PLAIN
from builder.platforms import NATIVE
from builder.workflow import lock
from builder.workflow.project import Project, open_project
from tests import tiny
from tests.loopback import Service, serve

ROOT = Path(__file__).parent.parent.parent
STACK = """
[sets.stack]
together = true
pip = ["torch{torch}", "vision{vision}"]
[images.app]
from = "base"
use = ["stack"]
pip = ["other"]
"""
APP = Target("app", PLAIN, NATIVE)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    (tmp_path / "project").mkdir()
    with serve(tmp_path / "served") as service:
        tiny.archive(service, tmp_path / "project")
        for name in ("torch", "vision", "other"):
            for version in ("1.0", "1.1"):
                service.publish(*tiny.wheel(name, version))
        for name, value in _environ(tmp_path, service).items():
            monkeypatch.setenv(name, value)
        yield service


def _environ(folder: Path, service: Service) -> dict[str, str]:
    return {
        "STACKBUILD_STORE": str(folder / "store"),
        "STACKBUILD_MIRROR_TOY": service.url,
        "PIP_INDEX_URL": f"{service.url}/simple",
    }


@pytest.fixture
def project(tmp_path: Path, served: Service) -> Callable[[str], Project]:
    """The project, once its manifest has these images."""

    def write(text: str) -> Project:
        (tmp_path / "project/stacks.toml").write_text(tiny.MANIFEST + text)
        return open_project(tmp_path / "project")

    return write


def relock(project: Project, *names: str, upgrade: bool = False) -> dict[str, str]:
    """What the app pins after a run of `lock`."""
    wish = lock.Wish(upgrade_all=upgrade, upgrade=frozenset(names))
    lock.lock(project, tuple(project.manifest.targets()), wish, lambda _: None)
    found = project.locks.read(APP, "pip")
    assert found is not None
    return {pin.name: pin.version for pin in found.pins}


def stack(torch: str = "", vision: str = "") -> str:
    return STACK.format(torch=torch, vision=vision)


def test_a_bump_of_one_member(project: Callable[[str], Project]) -> None:
    """Is refused, and nothing is written; of both it is none, nor is one that the command asks for."""
    first = relock(project(stack("==1.0", "==1.0")))
    assert first == {"other": "1.1", "torch": "1.0", "vision": "1.0"}
    here = project(stack("==1.1", "==1.0"))
    text = here.locks.path(APP, "pip").read_text()
    with pytest.raises(StackbuildError) as caught:
        relock(here)
    assert caught.value.what == f"set stack moves as one: {APP}"
    assert here.locks.path(APP, "pip").read_text() == text
    assert relock(project(stack("==1.1", "==1.0")), "torch")["torch"] == "1.1"
    assert relock(project(stack("==1.0", "==1.1"))) == {"other": "1.1", "torch": "1.0", "vision": "1.1"}


def test_one_member_frees_them_all(project: Callable[[str], Project], served: Service) -> None:
    relock(project(stack("<1.1", "<1.1")))
    assert relock(project(stack(">=1", ">=1"))) == {"other": "1.1", "torch": "1.0", "vision": "1.0"}
    assert relock(project(stack(">=1", ">=1")), "Vision") == {"other": "1.1", "torch": "1.1", "vision": "1.1"}
    for name in ("torch", "other"):
        served.publish(*tiny.wheel(name, "1.2"))
    assert relock(project(stack(">=1", ">=1")), upgrade=True) == {"other": "1.2", "torch": "1.2", "vision": "1.1"}


def test_what_the_solver_alone_would_move(project: Callable[[str], Project], served: Service) -> None:
    """Nobody touched the set, but another request moves one of its members."""
    relock(project(stack("<1.1", "<1.1")))
    relock(project(stack(">=1", ">=1")))
    served.publish(*tiny.wheel("other", "2.0", ["torch>=1.1"]))
    with pytest.raises(StackbuildError, match="set stack moves as one"):
        relock(project(stack(">=1", ">=1").replace('"other"', '"other>=2"')))


def test_cells_that_miss_a_wheel_are_one_table(project: Callable[[str], Project], served: Service) -> None:
    text = '[variants.cuda]\n[images.app]\nfrom = "base"\nvariants = ["cpu", "cuda"]\npip = ["foreign"]\n'
    name, filename, data = tiny.wheel("foreign", "1.0")
    served.publish(name, filename.replace("py3-none-any", "cp39-cp39-win_amd64"), data)
    with pytest.raises(StackbuildError) as caught:
        relock(project(text))
    lines = str(caught.value).splitlines()
    assert lines[0] == "no wheel for foreign==1.0 in 2 of 3 cells"
    assert [line.split()[0] for line in lines[1:3]] == [f"app:cpu@{NATIVE}", f"app:cuda@{NATIVE}"]


def test_waivers_are_printed_and_end(project: Callable[[str], Project], tmp_path: Path, served: Service) -> None:
    day = date.today()
    text = (
        '[images.parent]\nfrom = "base"\npip = ["other"]\n[images.app]\nfrom = "parent"\n'
        'override = [{{ pip = "other==1.0", reason = "1.1 is broken", until = {} }}]\n'
        'without = [{{ package = "vision", reason = "too large" }}]\n'
    )

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = "import builder.cli; builder.cli.main()"
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-P", "-c", program, "-C", str(tmp_path / "project"), *arguments],
            env={**environ, **_environ(tmp_path, served)}, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip

    until = day + timedelta(days=3)
    project(text.format(until))
    done = command("lock")
    assert done.returncode == 0, done.stderr
    assert f"app: override other==1.0 (until {until}): 1.1 is broken\n" in done.stderr
    assert "app: without vision: too large\n" in done.stderr
    assert command("lock", "--check").returncode == 0
    planned = command("build", "--dry-run")
    assert f"app: override other==1.0 (until {until}): 1.1 is broken\n" in planned.stderr
    assert "without" not in planned.stderr
    assert "override of other in app" in planned.stdout
    project(text.format(day - timedelta(days=3)))
    for arguments in (["lock"], ["lock", "--check"], ["build", "--dry-run"]):
        done = command(*arguments)
        assert done.returncode == 1
        assert "a waiver has ended: override other==1.0 in app" in done.stderr


def test_the_catalogue_of_this_repository_declares_nothing() -> None:
    """So that its locks and keys are what they were."""
    manifest = read(ROOT / "stacks.toml")
    assert not any(one.asks.keys() & {"override", "without", "prefer"} for one in manifest.images.values())


def test_a_set_of_one_release(project: Callable[[str], Project]) -> None:
    """Several releases are refused while locking, and by `--check` of a lock that stands."""
    of_one = stack("==1.0", "==1.1").replace("together = true", 'same-release = ["torch", "vis*"]')
    with pytest.raises(StackbuildError) as caught:
        relock(project(of_one))
    assert f"set stack is of one release: {APP}" in str(caught.value)
    assert "pip torch 1.0, pip vision 1.1" in str(caught.value)
    here = project(stack("==1.0", "==1.1"))
    assert not here.locks.path(APP, "pip").exists()
    relock(here)
    again = project(of_one)
    assert [str(one.what) for one in lock.check(again, [APP])] == [f"set stack is of one release: {APP}"]


def test_a_lock_from_another_index_is_solved_again(project: Callable[[str], Project], served: Service) -> None:
    """It answers the same request; only where the file comes from has changed."""
    relock(project(stack("==1.0", "==1.0")))
    moved = f'\n[indexes]\ninner = "{served.url}/simple"\n' + stack("==1.0", "==1.0").replace(
        "together = true", 'together = true\nindex = "inner"'
    )
    here = project(moved)
    assert {(one.expected, one.got) for one in lock.check(here, [APP])} == {
        ("torch from index inner", "from pypi"),
        ("vision from index inner", "from pypi"),
    }
    relock(here)
    found = here.locks.read(APP, "pip")
    assert found is not None
    assert {pin.name: pin.source for pin in found.pins} == {"torch": "inner", "vision": "inner", "other": ""}
    assert lock.check(project(moved), [APP]) == []
