"""Small images, entry by entry, and the keys of one small action of each kind.

A changed tree needs a new version of its kind; a changed key needs that, and a line in the changelog. Rewrite with
`pytest --update-golden`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from builder import listing, planner
from builder.action import Action, Result, Workshop
from builder.digest import Digest
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.part import write_wheels
from builder.kinds.pip.scheme import Environment
from builder.lock import Lock, Pin
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.store import Store
from tests.conftest import Golden
from tests.fake_wheel import DIST, NAME, wheel

_MANIFEST = """
[project]
name = "golden"
platforms = ["linux/amd64"]
[archives.debian]
suites = ["bookworm"]
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 0
groups = [100]
home = "/home/jovyan"
[images.base]
from = "archive:debian"
layout = "plain"
apt = ["python3"]
overlays = ["one", { name = "two", owner = "user" }]
python = { from = "apt", prefix = "/opt/venv" }
pip = ["fake==1.0", "source==1.0"]
"""
_TARGET = Target.parse("base:cpu@linux/amd64")


def inline(function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done


def text(store: Store, layer: Mapping[str, Any]) -> str:
    """A layer for people: its diff ID, then a line an entry."""
    rows = [f"{layer['name']} {layer['diff_id']}"]
    for one in listing.read(store, layer):
        mark = f"sha256:{one.mark[:12]}…" if one.kind == "file" else one.mark
        rows.append(f"{one.kind:8} {one.mode} {one.ids:9} {one.size:5} {mark:20} {one.path} [{one.owner}]")
    return "\n".join(rows) + "\n"


def _pin(name: str, filename: str, version: str = "1.0", **fields: str) -> Pin:
    return Pin(
        kind="apt",
        name=name, version=version, filename=filename, digest=Digest.of(name.encode()), size=1000,
        fields=tuple(fields.items()),
    )  # fmt: skip


@pytest.fixture
def actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Action]:
    """One action of each kind, planned from a small manifest; the codecs' versions are fixed."""
    monkeypatch.setattr("builder.compression.codec", lambda name: {"codec": "golden"})
    monkeypatch.setattr("builder.kinds.pip.python.NATIVE", "linux/amd64")
    monkeypatch.setattr("builder.kinds.pip.source_build.library", lambda name: "golden")
    for name, path, mode in (("one", "etc/one.conf", 0o644), ("two", "usr/bin/two", 0o755)):
        file = tmp_path / "overlays" / name / path
        file.parent.mkdir(parents=True)
        file.write_text(name)
        file.chmod(mode)
    (tmp_path / "overlays/two/usr/bin/link").symlink_to("two")
    locks = Locks(tmp_path / "locks")
    apt = [
        _pin("bash", "pool/bash.deb", "5.2", Essential="yes"),
        _pin("python3.11", "pool/p.deb", "3.11.2-6", Depends="python3.11-minimal, bash (>= 1)"),
        _pin("python3.11-minimal", "pool/m.deb", "3.11.2-6"),
    ]
    pip = [_pin("fake", NAME), _pin("source", "source-1.0.tar.gz")]
    locks.put(_TARGET, "apt", Lock(request=(), pins=tuple(apt)))
    locks.put(_TARGET, "pip", Lock(request=(), pins=tuple(pip)))
    locks.put(_TARGET, "pip-build", Lock(request=(), pins=(_pin("setuptools", "setuptools-80-py3-none-any.whl"),)))
    manifest = loads(_MANIFEST, tmp_path / "stacks.toml")
    image = planner.plan_targets(manifest, locks, [_TARGET])[_TARGET].image
    assert image is not None
    return {action.kind: action for action in image.walk()}


def test_keys(actions: dict[str, Action], golden: Golden) -> None:
    """Every kind is here: a new one has its key pinned as well."""
    rows = [f"{kind:16} {actions[kind].plan_key}" for kind in sorted(actions)]
    golden("keys.txt", "\n".join(rows) + "\n")


def test_documents(actions: dict[str, Action], golden: Golden) -> None:
    documents = {kind: action.document for kind, action in sorted(actions.items())}
    golden("documents.txt", json.dumps(documents, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("kind", ["account", "overlay", "pip.environment"])
def test_trees(kind: str, actions: dict[str, Action], store: Store, golden: Golden) -> None:
    action = actions[kind]
    workshop = Workshop(store=store, heavy=inline, jobs=1, log=store.path / "log")
    results: dict[str, Result] = {}
    for role, need in action.needs.items():
        results[role] = {"layers": []} if need.kind == "apt" else planner.perform(need, {}, workshop)
    (layer,) = planner.perform(action, results, workshop)["layers"]
    golden(f"{kind}.txt", text(store, layer))


def test_wheel(store: Store, tmp_path: Path, golden: Golden) -> None:
    """With bytecode that is none, as real one differs between patch levels of Python."""
    files = {
        "fake/__init__.py": b"value = 1\n",
        "fake/empty.py": b"",
        "fake/ünïcode.txt": "☃".encode(),
        "fake/tool*": b"#!/bin/sh\n",
        "fake-1.0.data/scripts/run": b"#!python\nprint()\n",
        "fake-1.0.data/data/share/fake/" + "long" * 30 + "/name.txt": b"data",
        f"{DIST}/entry_points.txt": b"[console_scripts]\nfake = fake:main\n",
    }
    place = Environment(prefix="/opt/venv", python="3.11")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{place.site}/fake/__init__.py"), b"bytecode")
    digests = []
    for path in (wheel(tmp_path / "w", files), tmp_path / "zip"):
        with store.new_source() as incoming:
            incoming.write(path.read_bytes())
            incoming.commit(Digest.of_file(path))
        digests.append(Digest.of_file(path))
    sources = [Source(digests[0], "fake", NAME)]
    golden("pip.txt", text(store, write_wheels(store, "bucket-0", sources, place, {"fake": digests[1]})))
