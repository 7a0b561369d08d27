"""Where roots are built: in memory where there is plenty, and nothing of anybody else's is touched there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder import scratch
from builder.errors import StackbuildError
from builder.store import Store
from tests.tools import absent, need_root


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tmpfs of 600 MB in the place of /dev/shm."""
    need_root()
    folder = tmp_path / "shm"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "none", str(folder)], check=False).returncode:
        absent("this root may not mount")
    monkeypatch.setattr(scratch, "_SHARED", folder)
    monkeypatch.delenv(scratch.VARIABLE, raising=False)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_in_memory_where_there_is_plenty(memory: Path) -> None:
    assert scratch.place(10 << 20) == memory
    assert scratch.place(100 << 20) is None  # Four times that, and the margin, are more than it has.


def test_not_in_memory_that_the_machine_lacks(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_memory", lambda: 290 << 20)
    assert scratch.place(1 << 20) == memory
    assert scratch.place(10 << 20) is None


def test_not_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On some machines /dev/shm is a plain folder."""
    monkeypatch.setattr(scratch, "_SHARED", tmp_path)
    monkeypatch.delenv(scratch.VARIABLE, raising=False)
    assert scratch.place(0) is None


def test_memory_that_can_be_had() -> None:
    assert 0 < scratch._memory() < 1 << 50


def test_folder_that_the_user_names(memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path))
    assert scratch.place(1 << 60) == tmp_path
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(StackbuildError, match="STACKBUILD_SCRATCH names no folder"):
        scratch.place(0)


def test_workspace_of_a_root_lies_in_memory(memory: Path, store: Store) -> None:
    store.sweep()
    with store.workspace(0) as folder:
        assert folder.parent == memory
        assert folder.stat().st_mode & 0o777 == 0o700
        assert store.sweep() == 0
    assert list(memory.iterdir()) == []
    with store.workspace() as folder:
        assert folder.parent == store.path / "tmp"


def test_what_a_killed_build_left_is_swept(memory: Path, store: Store) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from builder import scratch\n"
        "with scratch.folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'upper').mkdir()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", program, str(memory)], env=environ, check=False)
    (memory / "stackbuild-unlocked").mkdir(mode=0o700)
    assert len(list(memory.iterdir())) == 2
    store.sweep()
    assert list(memory.iterdir()) == []


def test_what_could_not_be_removed_is_tried_again(memory: Path) -> None:
    """Whatever keeps a file from being removed, the folder keeps its lock, by which the next sweep knows it."""
    left = memory / "stackbuild-left"
    (left / "upper/busy").mkdir(parents=True)
    (left / ".lock").write_text("")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(left / "upper/busy")], check=True)
    try:
        assert scratch.sweep(memory) == 0
        assert sorted(path.name for path in left.iterdir()) == [".lock", "upper"]
    finally:
        subprocess.run(["umount", str(left / "upper/busy")], check=True)
    assert scratch.sweep(memory) == 1
    assert not left.exists()


def test_what_is_not_ours_is_not_touched(memory: Path, tmp_path: Path) -> None:
    """Everybody may write in /dev/shm, under any name."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (".lock", "kept"):
        (outside / name).write_text("")
    (memory / "stackbuild-link").symlink_to(outside)
    (memory / "stackbuild-file").write_text("")
    foreign = memory / "stackbuild-foreign"
    foreign.mkdir()
    (foreign / ".lock").write_text("")
    os.chown(foreign, 1234, 1234)
    assert scratch.sweep(memory) == 0
    assert sorted(path.name for path in memory.iterdir()) == [
        "stackbuild-file",
        "stackbuild-foreign",
        "stackbuild-link",
    ]
    assert sorted(path.name for path in outside.iterdir()) == [".lock", "kept"]
    assert (foreign / ".lock").exists()


def test_full_says_where_and_what_to_do(memory: Path) -> None:
    said = scratch.full(memory / "stackbuild-x/upper", "dpkg: cannot copy: No space left on device\nfailed")
    assert said.startswith(f"the file system in memory at {memory} is full")
    assert "STACKBUILD_SCRATCH" in said
    assert scratch.full(memory, "dpkg: failed") == ""
