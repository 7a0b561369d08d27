"""How these tests are run: spread over workers, with the catalogue or without, where a tool is missing, to the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITE = {
    "test_tools.py": """
from tests.tools import absent

def test_a_tool():
    absent("no such tool here")
""",
    "test_marked.py": """
import pytest

@pytest.mark.catalogue
def test_a_whole_family():
    print("every image")
""",
    "test_one.py": """
def test_made(once):
    assert (once("thing", lambda folder: (folder / "made").mkdir()) / "made").is_dir()
""",
    "test_other.py": """
def test_made(once):
    assert (once("thing", lambda folder: (folder / "made").mkdir()) / "made").is_dir()
""",
    "test_crash.py": """
import os

def test_crash():
    os._exit(0)
""",
}


def run(folder: Path, *arguments: str, crash: bool = False, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a suite of its own with the fixtures, options and configuration of this one."""
    tests = folder / "tests"
    tests.mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in SUITE.items():
        if crash or name != "test_crash.py":
            (tests / name).write_text(text)
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-rs", f"--basetemp={folder}/temporary"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments, str(tests)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_on_a_laptop_a_missing_tool_is_a_skip_and_what_is_made_once_is_made_once(tmp_path: Path) -> None:
    """`mkdir` fails for who comes second."""
    done = run(tmp_path, "-n", "2", "-v")
    assert done.returncode == 0, done.stdout
    assert "no such tool here" in done.stdout
    assert "2 passed, 1 skipped" in done.stdout
    assert "\nleft out: 1 tests of the whole catalogue; to run them: scripts/test --all\n" in done.stdout
    assert "[gw0]" in done.stdout and "[gw1]" in done.stdout
    assert [path.name for path in (tmp_path / "temporary/once-thing").iterdir()] == ["made"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_in_ci_a_missing_tool_is_a_failure(tmp_path: Path, workers: str) -> None:
    done = run(tmp_path, "-n", workers, "--all", CI="true")
    assert done.returncode == 1, done.stdout
    assert "Failed: no such tool here" in done.stdout
    assert "1 failed, 3 passed" in done.stdout
    assert "left out" not in done.stdout


def test_a_worker_that_dies_is_a_failure(tmp_path: Path) -> None:
    """Even if it says that all went well."""
    done = run(tmp_path, "-n", "2", crash=True)
    assert done.returncode not in (0, 5), done.stdout
    assert "crashed while running 'tests/test_crash.py::test_crash'" in done.stdout
