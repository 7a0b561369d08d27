"""Options and fixtures that every test may use."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from builder.errors import StackbuildError
from builder.store import Store
from tests.tools import Host, Python, absent, host_root, need_root, python_root

settings.register_profile("stackbuild", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("stackbuild")

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write what the golden tests got to tests/golden/.")


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
