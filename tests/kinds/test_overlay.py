"""Overlays: verbatim, owned as the manifest says, and not over what the image has as something else."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from builder import listing
from builder.action import Action, Result, Workshop
from builder.compression import codec
from builder.errors import HostileInput, StackbuildError
from builder.kinds.overlay import build as overlay
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.parts import write_part
from builder.site import Site
from builder.store import Store
from builder.tree import Entry

_MANIFEST = """
[project]
name = "test"
platforms = ["linux/amd64"]
[archives.debian]
suites = ["bookworm"]
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 100
home = "/home/jovyan"
[images.base]
from = "archive:debian"
layout = "plain"
overlays = ["one", {{ name = "two", owner = "user" }}]
"""


def inline(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / "overlays" / name).mkdir(parents=True)
    (tmp_path / "stacks.toml").write_text(_MANIFEST.format())
    return tmp_path


def put(project: Path, overlay: str, path: str, text: str = "x", mode: int = 0o644) -> Path:
    file = project / "overlays" / overlay / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def planned(project: Path, *own: Action) -> Action:
    manifest = loads((project / "stacks.toml").read_text(), project / "stacks.toml")
    target = Target.parse("base:cpu@linux/amd64")
    site = Site(manifest=manifest, target=target, locks=Locks(project / "locks"), ancestors=(), own=own)
    (found,) = overlay.plan(site)
    return found


def laid(store: Store, action: Action, **below: Result) -> list[listing.Listed]:
    workshop = Workshop(store=store, heavy=inline, jobs=1, log=store.path / "log")
    (layer,) = overlay.perform(action, below, workshop)["layers"]
    return list(listing.read(store, layer))


def test_bytes_exec_bits_and_owner(project: Path, store: Store) -> None:
    put(project, "one", "etc/one.conf", mode=0o600)
    put(project, "two", "usr/bin/two", mode=0o750)
    (project / "overlays/two/usr/bin/link").symlink_to("../../nowhere")
    found = [(one.kind, one.mode, one.ids, one.path) for one in laid(store, planned(project))]
    assert found == [
        ("dir", "0755", "0:0", "etc"),
        ("file", "0644", "0:0", "etc/one.conf"),
        ("dir", "0755", "1000:100", "usr"),
        ("dir", "0755", "1000:100", "usr/bin"),
        ("link", "0777", "1000:100", "usr/bin/link"),
        ("file", "0755", "1000:100", "usr/bin/two"),
    ]


def test_key_is_of_the_content_alone(project: Path, tmp_path: Path) -> None:
    file = put(project, "one", "a")
    before = planned(project).plan_key
    os.utime(file, (1, 1))
    file.chmod(0o666)
    assert planned(project).plan_key == before
    moved = tmp_path / "moved"
    moved.mkdir()
    os.rename(project / "overlays", moved / "overlays")
    (moved / "stacks.toml").write_text(_MANIFEST.format())
    assert planned(moved).plan_key == before
    keys = {before}
    (moved / "overlays/one/a").chmod(0o755)
    keys.add(planned(moved).plan_key)
    put(moved, "one", "a", "other")
    keys.add(planned(moved).plan_key)
    put(moved, "one", "b", "other")
    keys.add(planned(moved).plan_key)
    assert len(keys) == 4


def below(store: Store, *entries: Entry) -> Result:
    return {"layers": [write_part(store, "below", sorted(entries, key=lambda entry: entry.path), codec("gzip"))]}


def test_folders_of_the_image_keep_their_owner(project: Path, store: Store) -> None:
    """They were left out, and in a layer unpacked into a folder of its own came up as 0755 root."""
    put(project, "two", "etc/new/x")
    found = laid(store, planned(project), image=below(store, Entry("etc", "dir", 0o700, 5, 5)))
    assert [(one.path, one.mode, one.ids) for one in found] == [
        ("etc", "0700", "5:5"),
        ("etc/new", "0755", "1000:100"),
        ("etc/new/x", "0644", "1000:100"),
    ]


def test_folder_would_replace_a_link(project: Path, store: Store) -> None:
    put(project, "one", "bin/tool")
    with pytest.raises(StackbuildError, match="would replace a link of the image: /bin -> usr/bin"):
        laid(store, planned(project), image=below(store, Entry("bin", "link", target="usr/bin")))


@pytest.mark.parametrize("kind", ["file", "link"])
def test_file_would_replace_a_folder(kind: str, project: Path, store: Store) -> None:
    """A file called `usr` in an overlay took the image's whole /usr away."""
    if kind == "file":
        put(project, "one", "usr")
    else:
        (project / "overlays/one/usr").symlink_to("elsewhere")
    with pytest.raises(StackbuildError, match="would replace a folder of the image: /usr"):
        laid(store, planned(project), image=below(store, Entry("usr", "dir")))


@pytest.mark.parametrize("kind", ["file", "link"])
def test_overlays_disagree(kind: str, project: Path, store: Store) -> None:
    """Entries lay below a file: such a layer cannot be unpacked."""
    put(project, "two", "etc/x/y")
    if kind == "file":
        put(project, "one", "etc/x")
    else:
        (project / "overlays/one/etc").mkdir()
        (project / "overlays/one/etc/x").symlink_to("elsewhere")
    with pytest.raises(StackbuildError, match="two overlays disagree whether this is a folder: /etc/x"):
        laid(store, planned(project))


def test_file_changes_while_it_is_built(project: Path, store: Store) -> None:
    file = put(project, "one", "a")
    action = planned(project)
    file.write_text("changed")
    with pytest.raises(StackbuildError, match="changed while it was built: a"):
        laid(store, action)


def test_missing_folder_and_strange_files(project: Path) -> None:
    os.mkfifo(project / "overlays/one/pipe")
    with pytest.raises(StackbuildError, match="device, socket or pipe"):
        planned(project)
    (project / "overlays/one/pipe").unlink()
    Path(os.fsdecode(os.fsencode(project) + b"/overlays/one/\xff")).write_text("x")
    with pytest.raises(HostileInput, match="unsafe path"):
        planned(project)
    os.rename(project / "overlays/one", project / "overlays/other")
    with pytest.raises(StackbuildError, match="overlay is missing"):
        planned(project)
