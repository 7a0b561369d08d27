"""Opaque folders of an upper folder, as the kernel leaves them, hide what they must and nothing else."""

from __future__ import annotations

from pathlib import Path

from builder.kinds.apt.hidden import spelled_out
from builder.scan import scan
from tests.tools import Host


def changes(host: Host, folder: Path, script: str, *lowers: Path) -> Path:
    """The upper folder after a script ran over some layers, the lowest first."""
    upper = folder / "upper"
    upper.mkdir(parents=True)
    code, said = host.shell(script, folder / "work", upper=upper, lowers=lowers)
    assert code == 0, said
    return upper


def entries(upper: Path, *lowers: Path) -> dict[str, str]:
    found = spelled_out(scan(str(upper), {}, frozenset({"dev", "proc", "run", "sys", "tmp", "usr"})), lowers)
    return {entry.path: entry.kind for entry in found if entry.path.startswith("srv/")}


def test_a_new_folder_that_was_moved_hides_nothing(host: Host, tmp_path: Path) -> None:
    """As dpkg makes each: jupyter's children lost files of git and R, whose layers lie below the one with the mark."""
    lower = changes(host, tmp_path / "lower", "mkdir -p /srv/a; echo 1 >/srv/a/old")
    upper = changes(host, tmp_path / "one", "mkdir /srv/b.new; mv /srv/b.new /srv/b; echo 1 >/srv/b/file", lower)
    assert "srv/b/.wh..opq" in {entry.path for entry in scan(str(upper), {}, frozenset())}
    assert entries(upper, lower) == {"srv/b": "dir", "srv/b/file": "file"}


def test_what_a_replaced_folder_hides_is_named(host: Host, tmp_path: Path) -> None:
    first = changes(
        host, tmp_path / "1", "mkdir -p /srv/a/deep /srv/a/gone; for n in x y deep/z gone/g; do echo >/srv/a/$n; done"
    )
    second = changes(host, tmp_path / "2", "rm /srv/a/y; echo >/srv/a/late", first)
    script = "rm -r /srv/a; mkdir -p /srv/a/deep; echo >/srv/a/x; echo >/srv/a/deep/new"
    upper = changes(host, tmp_path / "3", script, first, second)
    assert entries(upper, first, second) == {
        "srv/a": "dir",
        "srv/a/deep": "dir",
        "srv/a/deep/new": "file",
        "srv/a/deep/z": "whiteout",
        "srv/a/gone": "whiteout",
        "srv/a/late": "whiteout",
        "srv/a/x": "file",
    }


def test_what_a_layer_between_has_hidden_is_not_named(host: Host, tmp_path: Path) -> None:
    first = changes(host, tmp_path / "1", "mkdir -p /srv/a /srv/f; echo >/srv/a/x; echo >/srv/f/x")
    second = changes(host, tmp_path / "2", "rm -r /srv/a /srv/f; mkdir /srv/a; echo >/srv/a/y; echo >/srv/f", first)
    upper = changes(host, tmp_path / "3", "rm -r /srv/a /srv/f; mkdir /srv/a /srv/f", first, second)
    assert entries(upper, first, second) == {"srv/a": "dir", "srv/a/y": "whiteout", "srv/f": "dir"}
