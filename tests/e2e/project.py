"""A project with a store, driven through the command as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.built import ROOT as AS_ROOT
from builder.built import Image
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.platforms import NATIVE
from builder.runtimes import Start
from builder.runtimes.native import container
from builder.site import Planned
from builder.store import Store
from builder.workflow import build
from builder.workflow.project import Project

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def performed(self) -> list[str]:
        """The actions that a build performed, in order, without those that only looked up their result."""
        return [line.split(": done in")[0] for line in self.err.splitlines() if ": done in" in line]


@dataclass(frozen=True)
class Site:
    """A project's folder and the store it builds into."""

    folder: Path
    store_path: Path

    @property
    def store(self) -> Store:
        return Store.open(self.store_path)

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "STACKBUILD_STORE": str(self.store_path), **(extra or {})}

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "builder.cli", "-C", str(self.folder), *arguments]

    def try_(self, *arguments: str, env: Mapping[str, str] | None = None) -> Said:
        """Run `stackbuild`, whatever comes of it."""
        done = subprocess.run(
            self.argv(*arguments), env=self.environ(env), capture_output=True, text=True, check=False, timeout=540
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Said:
        """Run `stackbuild`, which must succeed."""
        said = self.try_(*arguments, env=env)
        assert said.code == 0, f"stackbuild {' '.join(arguments)}\n{said.out[-2000:]}{said.err[-4000:]}"
        return said

    def project(self) -> Project:
        manifest = read(self.folder / "stacks.toml")
        return Project(manifest=manifest, locks=Locks(self.folder / "locks"), store=self.store)

    def planned(self, image: str) -> Planned:
        target = _target(image)
        return build.plan(self.project(), (target,))[target]

    def result(self, image: str) -> dict[str, Any]:
        """Manifest, config and layers of a built image, for this machine or, after an @, another platform."""
        target = _target(image)
        project = self.project()
        return build.result(project, build.plan(project, (target,)), target)

    def layers(self, image: str, *kinds: str) -> list[dict[str, Any]]:
        """The layers that actions of these kinds made for one image, its ancestors left out."""
        found: list[dict[str, Any]] = []
        for action in self.planned(image).actions:
            known = self.store.action(action.plan_key)
            if action.layers and action.kind.partition(".")[0] in kinds and known is not None:
                found += known["result"]["layers"]
        return found

    def forget(self, image: str, kind: str) -> set[str]:
        """Take an image, and its steps of a kind, out of the store; what the records of the steps were called."""
        planned = self.planned(image)
        assert planned.image is not None
        steps = {action.plan_key.hex for action in planned.actions if action.kind == kind}
        for one in {*steps, planned.image.plan_key.hex}:
            (self.store_path / f"actions/{one}.json").unlink()
        return {f"{one}.json" for one in steps}

    def inside(
        self, image: str, script: str, *, volumes: tuple[tuple[Path, str], ...] = (), seconds: float = 240
    ) -> tuple[int, str]:
        """Run a shell script as root in a container of a built image, its changes thrown away: code and output."""
        start = Start(
            user=AS_ROOT,
            argv=("/bin/sh", "-c", script),
            env={"HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"},
            volumes=volumes,
            no_new_privs=False,
        )
        with container(Image(self.store, self.result(image)), start) as running:
            code = running.wait()
            return code, running.output()

    def copy(self, folder: Path, *, store: Path | None = None) -> Site:
        """The same project elsewhere, with the same store or another one."""
        folder.mkdir(parents=True)
        for name in ("stacks.toml", "locks", "overlays", "scripts"):
            if (self.folder / name).is_dir():
                shutil.copytree(self.folder / name, folder / name, symlinks=True)
            elif (self.folder / name).exists():
                shutil.copy(self.folder / name, folder / name)
        return Site(folder, store or self.store_path)

    def clone(self, folder: Path, *, unpacked: bool = False) -> Site:
        """The same project with a store of its own that holds all that this one holds, by hard links.

        Args:
            unpacked: unpacked layers too: ten thousand links, which is less than unpacking, for who starts an image.
        """
        into = folder / "store"
        into.mkdir(parents=True)
        empty = {"logs", "tmp"} if unpacked else {"logs", "roots", "tmp"}
        kept = [path for path in self.store_path.iterdir() if path.name not in empty]
        subprocess.run(["cp", "-al", *kept, into], check=True)
        for name in empty:
            (into / name).mkdir()
        os.replace(
            shutil.copyfile(into / "version", into / "tmp/version"), into / "version"
        )  # Its lock is the store's.
        return self.copy(folder / "project", store=into)

    def digests(self, *images: str) -> dict[str, str]:
        """Image → digest of its manifest, as built from the project as it now is."""
        return {image: self.result(image)["manifest"]["digest"] for image in images}

    def edit(self, old: str, new: str) -> None:
        """Change the manifest."""
        path = self.folder / "stacks.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


def _target(text: str) -> Target:
    image, _, platform = text.partition("@")
    return Target(image, "cpu", platform or NATIVE)


def share_sources(source: Path, target: Path) -> None:
    """Link fetched files of one store into another; whoever reads them checks them."""
    into = target / "sources/sha256"
    into.mkdir(parents=True, exist_ok=True)
    if not (source / "sources/sha256").is_dir():
        return
    for path in (source / "sources/sha256").iterdir():
        if path.suffix != ".new" and not (into / path.name).exists():  # Which a run that was killed has left.
            try:
                os.link(path, into / path.name)
            except OSError:
                shutil.copyfile(path, into / path.name)


def tags(store: Path) -> dict[str, str]:
    """Tag → digest, as the store's layout says."""
    index = json.loads((store / "images/index.json").read_bytes())
    return {one["annotations"]["org.opencontainers.image.ref.name"]: one["digest"] for one in index["manifests"]}
