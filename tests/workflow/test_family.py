"""A small family built for real: what changes, what does not, and what survives harm.

Packages come from the machine's own mirror and index. The family is built once; each test works on a copy of the
project, and on a copy of the store where it does harm.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.tools import absent, need_root

MANIFEST = """\
[project]
name = "small"
platforms = ["linux/amd64", "linux/arm64"]

[archives.bookworm]
suites = ["bookworm"]

[layouts.plain]
user = "jovyan"
uid = 1000
gid = 0
home = "/home/jovyan"

[images.base]
from = "archive:bookworm"
layout = "plain"
apt = ["python3"]
entrypoint = ["/usr/bin/python3"]

[images.tools]
from = "base"
python = { from = "apt", prefix = "/opt/venv" }
pip = ["click==8.1.8", "six==1.17.0"]
overlays = ["notes"]
"""
TARGET = "tools:cpu@linux/amd64"


@dataclass(frozen=True)
class Family:
    """A project and the store that it is built into."""

    folder: Path
    store: Path

    def run(self, *words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """`stackbuild WORDS` in the project; its output, once its exit code was the expected one."""
        done = subprocess.run(self.argv(*words), env=self.env, capture_output=True, text=True, check=False, timeout=300)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "builder.cli", "-C", str(self.folder), *words]

    @property
    def env(self) -> dict[str, str]:
        path = Path(__file__).parent.parent.parent
        return {**os.environ, "STACKBUILD_STORE": str(self.store), "PYTHONPATH": str(path)}

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "stacks.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def manifest_digest(self) -> str:
        """The digest that the store's layout has under the image's tag."""
        index = json.loads((self.store / "images/index.json").read_text())
        (found,) = (
            one["digest"]
            for one in index["manifests"]
            if one["annotations"]["org.opencontainers.image.ref.name"] == "tools"
        )
        return str(found)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Family:
    need_root()
    if os.uname().machine != "x86_64":
        absent("the expectations of this test name linux/amd64")
    family = Family(tmp_path_factory.mktemp("family"), tmp_path_factory.mktemp("store") / "store")
    (family.folder / "stacks.toml").write_text(MANIFEST)
    notes = family.folder / "overlays/notes/usr/local/share/notes"
    notes.mkdir(parents=True)
    (notes / "hello.txt").write_text("hello\n")
    try:
        family.run("lock")
    except AssertionError as error:
        if "cannot" in str(error):
            absent(f"the archive or the index cannot be reached: {error}")
        raise
    family.run("build")
    return family


@pytest.fixture
def family(built: Family, tmp_path: Path) -> Iterator[Family]:
    """A copy of the project on the shared store."""
    shutil.copytree(built.folder, tmp_path / "project")
    yield replace(built, folder=tmp_path / "project")


@pytest.fixture
def harmed(family: Family, tmp_path: Path) -> Family:
    """The same on a store of its own."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(family.store), str(tmp_path / "store")], check=True)
    return replace(family, store=tmp_path / "store")


def test_nothing_changed_builds_nothing(family: Family) -> None:
    assert family.json("build", "--changed")["built"] == []
    assert family.json("build", "--dry-run") == [] or family.json("build")["built"] == []


def test_a_comment_builds_nothing(family: Family) -> None:
    family.edit('name = "small"', 'name = "small"  # still')
    assert family.json("build")["built"] == []


def test_lock_check_says_what_a_lock_does_not_answer(family: Family) -> None:
    family.run("lock", "--check")
    family.edit("six==1.17.0", "six==1.16.0")
    said = family.run("lock", "--check", fails=True).stderr
    assert "six==1.16.0" in said and "six==1.17.0" in said and "locks/tools/linux-amd64.pip.txt:" in said


def test_a_lock_edited_by_hand_is_refused(family: Family) -> None:
    path = family.folder / "locks/tools/linux-amd64.pip.txt"
    path.write_text(path.read_text().replace("--hash=sha256:", "--hash=sha256:0", 1))
    said = family.run("build", fails=True).stderr
    assert "linux-amd64.pip.txt" in said


def test_a_bump_moves_one_pin_and_one_layer(harmed: Family) -> None:
    harmed.edit("six==1.17.0", "six==1.16.0")
    moved = {
        row["path"]: [(one["name"], one["old"], one["new"]) for one in row["moved"]] for row in harmed.json("lock")
    }
    assert moved == {
        "locks/tools/linux-amd64.pip.txt": [("six", "1.17.0", "1.16.0")],
        "locks/tools/linux-arm64.pip.txt": [("six", "1.17.0", "1.16.0")],
    }
    reasons = harmed.json("explain", "tools")[TARGET]
    (layer,) = [row for row in reasons if row["action"].startswith("pip ")]
    assert layer["because"] == ["pip six 1.17.0 → 1.16.0"]
    assert [row["action"] for row in reasons if row not in (layer, reasons[-1])] == []
    assert harmed.json("build")["built"] == [TARGET]


def test_since_names_what_differs_from_a_revision(family: Family) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.invalid"]
        subprocess.run(["git", "-C", str(family.folder), *identity, *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    assert family.json("build", "--since", "HEAD", "--dry-run") == []
    (family.folder / "overlays/notes/usr/local/share/notes/hello.txt").write_text("other\n")
    names = [row["name"] for row in family.json("build", "--since", "HEAD", "--dry-run")]
    assert names == [f"overlays of {TARGET}", f"image {TARGET}"]
    assert "no-such-revision" in family.run("build", "--since", "no-such-revision", fails=True).stderr


def test_an_exec_bit_of_an_overlay_counts(family: Family) -> None:
    (family.folder / "overlays/notes/usr/local/share/notes/hello.txt").chmod(0o755)
    names = [row["name"] for row in family.json("build", "--dry-run")]
    assert names == [f"overlays of {TARGET}", f"image {TARGET}"]


def test_status_tells_each_target(family: Family) -> None:
    states = {row["target"]: row for row in family.json("status")}
    assert states[TARGET]["locked"] == states[TARGET]["built"] == "yes"
    assert states["tools:cpu@linux/arm64"]["built"] == "no"
    family.edit("six==1.17.0", "six==1.16.0")
    assert "stale" in {row["target"]: row for row in family.json("status")}[TARGET]["locked"]


def test_a_command_runs_in_the_image(family: Family) -> None:
    said = family.run("shell", "tools", "--", "/opt/venv/bin/python", "-c", "import click, six; print(six.__version__)")
    assert said.stdout == "1.17.0\n"


def test_verify_finds_both_builds_identical(family: Family) -> None:
    rows = family.json("verify", "tools")
    assert [(row["target"], row["differences"]) for row in rows] == [(TARGET, [])]


@pytest.mark.parametrize("seconds", [0.4, 1.5, 4.0])
def test_a_killed_build_is_finished_by_the_next(family: Family, tmp_path: Path, seconds: float) -> None:
    """The killed one's leavings are neither trusted nor in the way."""
    wanted = family.manifest_digest()
    fresh = replace(family, store=tmp_path / "fresh")
    (fresh.store / "sources").mkdir(parents=True)
    shutil.copytree(family.store / "sources", fresh.store / "sources", dirs_exist_ok=True)
    process = subprocess.Popen(
        fresh.argv("build"), env=fresh.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    fresh.run("build")
    assert fresh.manifest_digest() == wanted
    assert [path for path in (fresh.store / "tmp").glob("work-*") if path.is_dir()] == []


def test_a_flipped_bit_in_a_source_is_told_and_healed(harmed: Family) -> None:
    lock = (harmed.folder / "locks/tools/linux-amd64.pip.txt").read_text()
    digest = lock.partition("click==8.1.8")[2].partition("--hash=sha256:")[2][:64]
    path = harmed.store / "sources/sha256" / digest
    path.write_bytes(_flipped(path.read_bytes()))
    shutil.rmtree(harmed.store / "actions")
    (harmed.store / "actions").mkdir()
    said = harmed.run("build", fails=True).stderr
    assert digest in said and "run the same command again" in said
    harmed.run("build")
    assert harmed.json("build")["built"] == []


def test_a_flipped_bit_in_a_layer_is_told_when_it_is_read(harmed: Family) -> None:
    status = harmed.json("status", "tools@linux/amd64")
    assert status[0]["built"] == "yes"
    shutil.rmtree(harmed.store / "roots")
    (harmed.store / "roots").mkdir()
    largest = max((harmed.store / "images/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(_flipped(largest.read_bytes()))
    said = harmed.run("shell", "tools", "--", "/bin/true", fails=True).stderr
    assert largest.name in said and "removed" in said
    harmed.run("build")
    harmed.run("shell", "tools", "--", "/bin/true")


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
