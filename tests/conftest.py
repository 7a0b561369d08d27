"""Options and fixtures that every test may use."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from builder.errors import StackbuildError
from builder.store import Store
from tests.scripted_server import Server
from tests.tools import Host, Python, absent, host_root, need_root, python_root

settings.register_profile("stackbuild", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("stackbuild")

Golden = Callable[[str, str], None]
Once = Callable[[str, Callable[[Path], object]], Path]

_LEFT_OUT = pytest.StashKey[int]()
"""How many tests of the whole catalogue were left out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write what the golden tests got to tests/golden/.")
    parser.addoption("--all", action="store_true", help="Run what takes too long for every run too: -m catalogue.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `catalogue`, unless it is asked for."""
    if config.getoption("--all") or "catalogue" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("catalogue")]
    items[:] = [item for item in items if not item.get_closest_marker("catalogue")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = len(left_out)
    if _is_worker(config):
        config.workeroutput["left_out"] = len(left_out)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from a worker of pytest-xdist; each one collects the same tests. One that crashed says nothing."""
    if "left_out" in (told := getattr(node, "workeroutput", {})):
        node.config.stash[_LEFT_OUT] = told["left_out"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"left out: {count} tests of the whole catalogue; to run them: scripts/test --all")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.fixture(scope="session")
def once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make what is expensive once for a whole run, however many workers take part: `once(name, make)` is its folder.

    Who comes while `make(folder)` runs waits for it; if it fails, the next one begins again. What is made is
    everybody's: a test changes nothing in it.
    """
    base = tmp_path_factory.getbasetemp()
    run = base.parent if _is_worker(request.config) else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = run / f"once-{name}", run / f"once-{name}.done"
        with (run / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with tests/golden/<name>, or write it there with --update-golden."""
    folder = Path(__file__).parent / "golden"

    def compare(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; see docs or run pytest --update-golden"

    return compare


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A root of the host's programs, on a machine that lets us make sandboxes."""
    need_root()
    found = host_root(tmp_path_factory.mktemp("host"))
    try:
        code, said = found.shell("true", tmp_path_factory.mktemp("probe"))
    except StackbuildError as error:
        absent(str(error))
    if code:
        absent(f"no programs of this machine run in a sandbox: {said}")
    return found


@pytest.fixture(scope="session")
def python(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """An interpreter's own root."""
    return python_root(tmp_path_factory.mktemp("python"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    need_root()
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=False)
    if done.returncode:
        absent("this root may not mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose paths behave as the test says."""
    found = Server()
    yield found
    found.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, without waiting."""
    found: list[float] = []
    monkeypatch.setattr("builder.requester.time.sleep", found.append)
    return found
