"""The folder of locks: which kind reads a file, and what is refused before any kind sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import HostileInput
from builder.locks import Locks, formats
from builder.manifest.model import Target

TARGET = Target(image="base", variant="cpu", platform="linux/amd64")


@pytest.mark.parametrize("kind", sorted(formats()))
@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> bump", "||||||| base", "<<<<<<<"])
def test_merge_conflicts_are_called_by_their_name(tmp_path: Path, kind: str, mark: str) -> None:
    """In every kind of lock, whatever its format would say of such a line."""
    path = Locks(tmp_path).path(TARGET, kind)
    path.parent.mkdir(parents=True)
    path.write_text(f"# a lock\na\n{mark}\nb\n")
    with pytest.raises(HostileInput, match="merge conflicts") as caught:
        Locks(tmp_path).read(TARGET, kind)
    assert caught.value.where == f"{path}:3"
    assert "take either side" in str(caught.value.next_step)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = Locks(tmp_path).path(TARGET, "apt")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"# a lock\n\xff\n")
    with pytest.raises(HostileInput, match="damaged") as caught:
        Locks(tmp_path).read(TARGET, "apt")
    assert caught.value.got == "byte 9 is none"


def test_lines_that_only_look_alike(tmp_path: Path) -> None:
    """A row of signs inside a text is none."""
    path = Locks(tmp_path).path(TARGET, "pip")
    path.parent.mkdir(parents=True)
    path.write_text("========\n # =======\n")
    with pytest.raises(Exception, match="not a pip lock"):
        Locks(tmp_path).read(TARGET, "pip")


def test_every_lock_has_its_own_name(tmp_path: Path) -> None:
    paths = [Locks(tmp_path).path(TARGET, kind) for kind in formats()]
    assert len(set(paths)) == len(paths)
    assert not any(one.name.endswith(other.name) for one in paths for other in paths if one != other)
