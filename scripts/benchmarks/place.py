"""Where benchmarks run: copies of the project and of a warm store, so that nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.workflow import build
from builder.workflow.project import Project, open_project

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("stacks.toml", "locks", "overlays")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished command: seconds of wall clock, its output, the actions that it performed."""

    seconds: float
    out: str
    err: str

    @property
    def performed(self) -> tuple[str, ...]:
        return tuple(line.split(": done in")[0] for line in self.err.splitlines() if ": done in" in line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Attributes:
    scratch: an empty folder, removed at the end.
    warm: a store that is kept between runs; it has everything downloaded, and built what rows asked for.
    pairs: how many pairs of runs a comparison takes.
    """

    scratch: Path
    warm: Path
    pairs: int

    def folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(dir=self.scratch, prefix=f"{name}-"))

    def project(self) -> Path:
        """A fresh copy of manifest, locks and overlays."""
        folder = self.folder("project")
        for name in PARTS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, symlinks=True)
            else:
                shutil.copy(ROOT / name, folder / name)
        return folder

    @contextmanager
    def store(self, *, built: bool, unpacked: bool = False) -> Iterator[Path]:
        """A store that shares the warm one's files by hard links: its downloads, or all that it built as well.

        Args:
            unpacked: with the layers that were unpacked to start images.
        """
        store = self.folder("store")
        names = ["sources"] if not built else ["version", "images", "sources", "actions", "names", "tables"]
        link(self.warm, store, [name for name in names if (self.warm / name).exists()])
        if built:
            roots = [path.name for path in (self.warm / "roots").glob("*" if unpacked else "interpreter-*")]
            link(self.warm / "roots", store / "roots", roots)
            for name in ("logs", "tmp"):
                (store / name).mkdir()
        settle()
        try:
            yield store
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def run(self, store: Path, project: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run `stackbuild` and take its time; on failure say what it said."""
        command = [sys.executable, "-P", "-m", "builder.cli", "-C", str(project), *arguments]
        began = time.monotonic()
        done = subprocess.run(
            command,
            env={**os.environ, "STACKBUILD_STORE": str(store), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        if done.returncode:
            raise SystemExit(f"bench: stackbuild {' '.join(arguments)} failed\n{done.stdout}{done.stderr[-3000:]}")
        return Done(seconds=seconds, out=done.stdout, err=done.stderr)

    def warmed(self, *targets: str) -> Path:
        """The unchanged project, with these targets built in the warm store."""
        project = self.project()
        self.run(self.warm, project, "build", *targets)
        return project

    def digests(self, store: Path, project: Path, done: Done) -> dict[str, str]:
        """Of the manifests of all that a `build --json` built."""
        targets = tuple(Target.parse(one) for one in json.loads(done.out)["built"])
        opened = _opened(store, project)
        planned = build.plan(opened, targets)
        return {str(one): build.result(opened, planned, one)["manifest"]["digest"] for one in targets}

    def result(self, store: Path, project: Path, image: str) -> dict[str, Any]:
        """What a store holds of a built image for this machine: manifest, config, layers."""
        opened, target = open_target(store, project, image)
        return build.result(opened, build.plan(opened, (target,)), target)


def open_target(store: Path, folder: Path, image: str) -> tuple[Project, Target]:
    """A project that builds into `store`, and its plain target of this machine's platform."""
    return _opened(store, folder), Target(image, "cpu", NATIVE)


def _opened(store: Path, folder: Path) -> Project:
    os.environ["STACKBUILD_STORE"] = str(store)
    return open_project(folder)


def edit(project: Path, pattern: str, replacement: str) -> None:
    """Replace what a pattern finds first in a project's manifest."""
    path = project / "stacks.toml"
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    if count != 1:
        raise SystemExit(f"bench: stacks.toml has no {pattern}")
    path.write_text(text)


def settle() -> None:
    """Let the disk finish what came before."""
    os.sync()


def link(source: Path, target: Path, names: list[str]) -> None:
    """Share rooms of a store with another one."""
    target.mkdir(parents=True, exist_ok=True)
    if names:
        subprocess.run(["cp", "-al", *(str(source / name) for name in names), str(target)], check=True)
