"""A project with conda images of which only the conda locks are made, from channels on the loopback interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.errors import Problems, StackbuildError, raise_all
from builder.fetching import Fetcher
from builder.kinds.conda import locking
from builder.kinds.conda.document import CondaLock
from builder.locking import Making
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.manifest.read import loads
from builder.net import Client
from builder.store import Store
from tests.conda_channel import Served, family, served

MANIFEST = """\
[project]
name = "notebooks"
platforms = ["linux/amd64", "linux/arm64"]

[archives.bookworm]
suites = ["bookworm"]

[channels]
main = "https://conda.example.com/main"

[layouts.kubeflow]
user = "jovyan"
uid = 1000
gid = 0
home = "/home/jovyan"

[variants.cuda]
virtual = ["__cuda==13.0"]

[variants.gaudi]

"""

NOTEBOOK = """\
[images.notebook]
from = "archive:bookworm"
layout = "kubeflow"
variants = ["cpu", "cuda", "gaudi"]
channels = ["main"]
conda = ["python==3.12.11", "tiny-lab==4.5.7", "tiny-torch"]
"""

SMALL = NOTEBOOK.replace('["cpu", "cuda", "gaudi"]', '["cpu"]').replace("layout", 'platforms = ["linux/amd64"]\nlayout')
"""The same for the plain variant alone, on one platform: one cell."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A project on disk of which only the conda locks are made: its roots' Debian packages are nobody's matter here."""

    manifest: Manifest
    store: Store

    @property
    def locks(self) -> Locks:
        """As they are on disk now."""
        return Locks(self.manifest.folder / "locks")

    def target(self, text: str) -> Target:
        return Target.parse(text)

    def lock(
        self, *, keep: bool = True, upgrade: Iterable[str] = (), vanished: Iterable[str] = (), write: bool = True
    ) -> dict[Target, str]:
        """Lock every target, parents first; the texts.

        Raises:
            Problems: targets without a solution.
        """
        locks, client, gone = self.locks, Client(), frozenset(vanished)
        making = Making(
            manifest=self.manifest,
            locks=locks,
            store=self.store,
            client=client,
            fetch=Fetcher(self.manifest, self.store, client),
            vanished=lambda old: gone,
            jobs=2,
            keep=keep,
            upgrade=frozenset(upgrade),
            refresh_missing=bool(gone),
        )
        shared = locking.prepare(making)
        found: dict[Target, str] = {}
        problems: list[StackbuildError] = []
        for generation in _generations(self.manifest):
            with ThreadPoolExecutor(8) as pool:
                running = {target: pool.submit(locking.make, making, target, shared) for target in generation}
            for target, future in running.items():
                try:
                    for kind, (lock, text) in future.result().items():
                        locks.put(target, kind, lock)
                        found[target] = text
                except StackbuildError as error:
                    problems += error.problems if isinstance(error, Problems) else [error]
        raise_all(problems)
        for target, text in found.items() if write else ():
            path = locks.path(target, "conda")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return found

    def read(self, target: str) -> CondaLock:
        found = self.locks.read(Target.parse(target), "conda")
        assert isinstance(found, CondaLock)
        return found

    def pins(self, target: str) -> dict[str, str]:
        """Name → version and build of what an image adds."""
        return {pin.name: f"{pin.version}={pin.field('build')}" for pin in self.read(target).pins}

    def check(self) -> list[StackbuildError]:
        """What `lock --check` says of the conda locks."""
        found: list[StackbuildError] = []
        for target in self.manifest.targets():
            try:
                found += locking.check(self.manifest, target, self.locks)
            except StackbuildError as error:
                found.append(error)
        return found


def _generations(manifest: Manifest) -> Iterator[list[Target]]:
    """Targets, parents before children."""
    found: dict[int, list[Target]] = {}
    for target in manifest.targets():
        found.setdefault(len(manifest.lineage(target)), []).append(target)
    yield from (found[depth] for depth in sorted(found))


Make = Callable[..., World]


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """Channels `main` and `extra`, which only the environment knows where to find."""
    (tmp_path / "config.toml").write_text("")
    monkeypatch.setenv("STACKBUILD_CONFIG", str(tmp_path / "config.toml"))
    with served(family()) as found:
        for name in ("main", "extra"):
            monkeypatch.setenv(f"STACKBUILD_CHANNEL_{name.upper()}", f"{found.url}/{name}")
        yield found


@pytest.fixture
def world(tmp_path: Path) -> Make:
    """A project of these images; called again, the same one with another manifest."""

    def make(images: str, head: str = MANIFEST) -> World:
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        (folder / "stacks.toml").write_text(head + images)
        return World(manifest=loads(head + images, folder / "stacks.toml"), store=Store.open(tmp_path / "store"))

    return make
