"""`pip install .`: a wheel that is whole, made without network, and a command that works far from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from email.parser import HeaderParser
from importlib.metadata import Distribution
from pathlib import Path
from typing import Final

import pytest
import tomli
from packaging.requirements import Requirement

from builder import __version__, templates

ROOT: Final = Path(__file__).parent.parent
OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull}


def _run(*command: str | Path, folder: Path, **environ: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "STACKBUILD_"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with stackbuild installed from its sources; the libraries are those of the tests.

    The sources are copied first, as setuptools leaves `build/` behind, from which it would pick old files up.
    """
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    shutil.copytree(
        ROOT / "builder", source / "builder", symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
    )
    shutil.copytree(ROOT / "overlays", source / "overlays", symlinks=True)
    shutil.copytree(ROOT / "scripts/requirements", source / "scripts/requirements")
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, source)
    prefix = folder / "installed"
    _run(sys.executable, "-m", "venv", "--without-pip", prefix, folder=folder)
    (_site(prefix) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", prefix / "bin/python", "install", "--quiet")
    _run(*pip, "--no-deps", "--no-build-isolation", "--ignore-installed", source, folder=folder, **OFFLINE)
    return prefix


def _site(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3.*/site-packages"))


def test_version(prefix: Path, tmp_path: Path) -> None:
    assert _run(prefix / "bin/stackbuild", "--version", folder=tmp_path) == f"stackbuild, version {__version__}\n"


def test_installed_modules_are_those_that_run(prefix: Path, tmp_path: Path) -> None:
    """The tests' environment finds the checkout by a .pth file; here that must not be what is found."""
    told = _run(prefix / "bin/python", "-P", "-c", "import builder; print(builder.__file__)", folder=tmp_path)
    assert Path(told.strip()).is_relative_to(prefix)


def test_metadata_is_complete(prefix: Path) -> None:
    found = Distribution.at(next(_site(prefix).glob("stackbuild-*.dist-info")))
    metadata = HeaderParser().parsestr(found.read_text("METADATA") or "")
    assert metadata["Name"] == "stackbuild"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    required = {Requirement(text).name for text in found.requires or ()}
    assert {"click", "networkx", "requests", "tomli", "uv"} <= required
    assert [(one.name, one.value) for one in found.entry_points] == [("stackbuild", "builder.cli:main")]


def test_every_file_of_the_package_is_shipped(prefix: Path) -> None:
    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {path.as_posix() for path in found if "__pycache__" not in path.parts}

    expected = {name for name in files(ROOT / "builder") if not name.startswith("templates/overlays")}
    expected |= {f"templates/overlays/{name}" for name in files(ROOT / "overlays")}
    assert files(_site(prefix) / "builder") == expected


def _listing(folder: Path) -> list[str]:
    rows = []
    for path in sorted(folder.rglob("*")):
        if (path.is_dir() and not path.is_symlink()) or path.parent.name == "__pycache__":
            continue  # pip compiles what an overlay has of Python.
        program = "x" if path.stat().st_mode & stat.S_IXUSR else "-"
        content = f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes().hex()
        rows.append(f"{program} {path.relative_to(folder)} {content}")
    return rows


def test_requirements_are_shipped_with_their_digests(prefix: Path) -> None:
    """`bundle` takes along what they pin, whether or not there is a checkout."""
    shipped = _site(prefix) / "builder/requirements.txt"
    assert not shipped.is_symlink()
    assert shipped.read_bytes() == (ROOT / "scripts/requirements/run.txt").read_bytes()


def test_an_installed_program_is_bundled_like_a_checkout(prefix: Path, tmp_path: Path) -> None:
    """The same names, contents and execute bits, so the same bundle."""
    script = (
        "import os\nfrom builder import program\nfrom builder.digest import Digest\n"
        "for name, path in program.files():\n    print(name, Digest.of_file(path), os.access(path, os.X_OK))\n"
    )
    told = _run(prefix / "bin/python", "-P", "-c", script, folder=tmp_path)
    assert told == _run(sys.executable, "-P", "-c", script, folder=tmp_path, PYTHONPATH=str(ROOT))


def test_templates_of_a_checkout_are_its_overlays() -> None:
    assert (templates.folder() / "overlays").samefile(ROOT / "overlays")


def test_templates_of_a_wheel_are_the_overlays(prefix: Path, tmp_path: Path) -> None:
    told = _run(
        prefix / "bin/python", "-P", "-c", "from builder.templates import folder; print(folder())", folder=tmp_path
    )
    shipped = Path(told.strip())
    assert shipped.is_relative_to(prefix)
    assert _listing(shipped / "overlays") == _listing(ROOT / "overlays")


def test_schema(prefix: Path, tmp_path: Path) -> None:
    told = json.loads(_run(prefix / "bin/stackbuild", "schema", folder=tmp_path))
    assert told == json.loads((ROOT / "docs/stacks.schema.json").read_text(encoding="utf-8"))


def test_init_in_an_empty_folder(prefix: Path, tmp_path: Path) -> None:
    _run(prefix / "bin/stackbuild", "init", folder=tmp_path)
    assert (tmp_path / "stacks.toml").is_file()
    assert os.access(tmp_path / "overlays/s6/init", os.X_OK)
    _run(prefix / "bin/stackbuild", "graph", folder=tmp_path, STACKBUILD_STORE=str(tmp_path / "store"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, prefix: Path, tmp_path: Path) -> None:
    told = _run(prefix / "bin/stackbuild", folder=tmp_path, _STACKBUILD_COMPLETE=f"{shell}_source")
    assert "_STACKBUILD_COMPLETE" in told
    assert f"{shell}_complete" in told


@pytest.mark.parametrize(
    ("words", "expected"),
    [("stackbuild sch", {"schema"}), ("stackbuild build --dry", {"--dry-run"}), ("stackbuild -C . loc", {"lock"})],
)
def test_completion_of_words(words: str, expected: set[str], prefix: Path, tmp_path: Path) -> None:
    """Commands that nothing imported yet are completed, and so are the options of one."""
    told = _run(
        prefix / "bin/stackbuild",
        folder=tmp_path,
        _STACKBUILD_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert {line.partition(",")[2] for line in told.splitlines()} == expected


def test_completion_in_bash(prefix: Path, tmp_path: Path) -> None:
    """What a person does: source the script, press tab."""
    program = (
        "source <(_STACKBUILD_COMPLETE=bash_source stackbuild); COMP_WORDS=(stackbuild sche); COMP_CWORD=1; "
        '_stackbuild_completion stackbuild; echo "${COMPREPLY[@]}"'
    )
    path = f"{prefix / 'bin'}:{os.environ['PATH']}"
    told = _run("bash", "--norc", "-c", program, folder=tmp_path, PATH=path)
    assert told.split() == ["schema"]


def _pins(name: str) -> dict[str, str]:
    """The versions that `scripts/requirements/<name>.txt` pins, each with at least one digest."""
    text = (ROOT / f"scripts/requirements/{name}.txt").read_text(encoding="utf-8")
    lines = [
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert all("--hash=sha256:" in line for line in lines)
    return dict(line.split()[0].split("==") for line in lines)


def test_locked_requirements_answer_the_project() -> None:
    """After a change of its dependencies: scripts/lock-requirements."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {name: _pins(name) for name in ("run", "test", "dask")}
    asked = {"run": project["dependencies"], **project["optional-dependencies"]}
    for name, texts in ((name, asked[name]) for name in pins):
        for requirement in map(Requirement, texts):
            pinned = pins[name][requirement.name]
            assert requirement.specifier.contains(pinned), f"{requirement} is pinned at {pinned}"
    assert {name: pins["test"][name] for name in pins["run"]} == pins["run"]
    assert {name: pins["test"][name] for name in pins["dask"]} == pins["dask"]


def test_locked_requirements_name_no_place() -> None:
    """A mirror belongs to a machine, not to the project."""
    for path in (ROOT / "scripts/requirements").iterdir():
        assert "://" not in path.read_text(encoding="utf-8")


def test_launcher_keeps_folder_and_words(tmp_path: Path) -> None:
    """An environment that is whole costs no set-up; `scripts/stackbuild` may be a link on the PATH."""
    place = tmp_path / "environments/run"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").write_text('#!/bin/sh\npwd\nprintf "%s\\n" "$@"\n')
    (place / "bin/python").chmod(0o755)
    (place / "checkout").write_text(f"{ROOT}\n")
    shutil.copy(ROOT / "scripts/requirements/run.txt", place / "requirements.txt")
    (tmp_path / "link").symlink_to(ROOT / "scripts/stackbuild")
    folder = tmp_path / "a folder"
    folder.mkdir()
    told = _run("../link", "build", "two words", "", folder=folder, STACKBUILD_VENV=str(place.parent))
    assert told.splitlines() == [str(folder), "-P", "-m", "builder.cli", "build", "two words", ""]
