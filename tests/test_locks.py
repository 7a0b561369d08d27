"""The folder of locks: which kind reads a file, and what is refused before any kind sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import HostileInput
from builder.lock import Lock
from builder.locks import Locks, formats
from builder.manifest.model import Target

ROOT = Path(__file__).parent.parent
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


def test_what_two_states_have_alike_is_parsed_once(tmp_path: Path) -> None:
    """And what they do not is each one's own: another text, or none."""
    text = (ROOT / "locks/kernel-py/linux-amd64.pip.txt").read_text()
    now, then = Locks(tmp_path / "now"), Locks(tmp_path / "then", Locks(tmp_path / "now"))
    for locks, name, told in ((now, "same", text), (then, "same", text), (now, "other", text), (then, "lone", text)):
        path = locks.path(replace(TARGET, image=name), "pip")
        path.parent.mkdir(parents=True)
        path.write_text(told)
    path = then.path(replace(TARGET, image="other"), "pip")
    path.parent.mkdir(parents=True)
    path.write_text(text.partition("\n\n")[0] + "\n")
    then = Locks(tmp_path / "then", now)

    def both(name: str) -> tuple[Lock | None, Lock | None]:
        target = replace(TARGET, image=name)
        return now.read(target, "pip"), then.read(target, "pip")

    same, other, lone = both("same"), both("other"), both("lone")
    assert same[0] is not None and same[0] is same[1]
    assert other[0] == same[0] and other[1] is not None and other[1].pins == ()
    assert lone == (None, same[0])
    path.write_text("<<<<<<< HEAD\n")
    with pytest.raises(HostileInput, match="merge conflicts"):
        Locks(tmp_path / "then", now).read(replace(TARGET, image="other"), "pip")
