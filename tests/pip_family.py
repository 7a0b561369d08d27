"""A family of images with its locks, whose apt and conda pins the tests make up and whose pip pins are resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip import locking
from builder.kinds.pip.lockfile import PipLock
from builder.lock import Lock, Pin
from builder.locking import Making
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.net import Client
from builder.store import Store

HEAD = """
[project]
name = "family"
platforms = ["linux/amd64", "linux/arm64"]
[archives.debian]
suites = ["bookworm"]
[channels]
own = "https://channel.example/own"
[layouts.plain]
user = "jovyan"
uid = 1000
gid = 0
home = "/home/jovyan"
[images.base]
from = "archive:debian"
layout = "plain"
apt = ["python3"]
"""
VENV = 'python = { from = "apt", prefix = "/opt/venv" }\n'


def apt_pin(name: str, version: str, **fields: str) -> Pin:
    digest = Digest.of(f"{name} {version}".encode())
    return Pin(
        kind="apt", name=name, version=version, filename=f"pool/{name}.deb", digest=digest, size=1000,
        source="debian", fields=tuple(fields.items()),
    )  # fmt: skip


def conda_pin(name: str, version: str, *pypi: str, **fields: str) -> Pin:
    return Pin(
        kind="conda", name=name, version=version, filename=f"{name}-{version}-0.conda",
        digest=Digest.of(f"conda {name} {version}".encode()), size=1000, source="own",
        fields=(*(("pypi", one) for one in pypi), *fields.items()),
    )  # fmt: skip


APT = (
    apt_pin("libc6", "2.36-9+deb12u10", Depends="libgcc-s1"),
    apt_pin("libgcc-s1", "12.2.0-14"),
    apt_pin("python3.11", "3.11.2-6", Depends="python3.11-minimal, libc6 (>= 2.36)"),
    apt_pin("python3.11-minimal", "3.11.2-6"),
)
PYTHON = conda_pin("python", "3.11.9", depends="openssl")
OPENSSL = conda_pin("openssl", "3.3.0")


class Family:
    """A manifest, its locks and what resolving needs. Every root has apt's Python."""

    def __init__(self, folder: Path, store: Store, text: str) -> None:
        self.manifest = loads(HEAD + text, folder / "stacks.toml")
        self.locks = Locks(folder / "locks")
        self.store = store
        for target in self.manifest.targets():
            if self.manifest.image(target).archive:
                self.locks.put(target, "apt", Lock(request=(), pins=APT))

    def changed(self, text: str) -> Family:
        """The same locks under another manifest."""
        found = object.__new__(Family)
        found.manifest = loads(HEAD + text, self.manifest.path)
        found.locks, found.store = self.locks, self.store
        return found

    def conda(self, target: str, *pins: Pin) -> None:
        """Lock conda packages."""
        ordered = tuple(sorted(pins, key=lambda pin: pin.name))
        self.locks.put(Target.parse(target), "conda", Lock(request=(), pins=ordered))

    def lock(self, target: str, *, gone: Sequence[str] = ()) -> dict[str, str]:
        """Resolve the pip packages of a target and keep the lock; name → version of its own pins.

        Args:
            gone: names whose pins are to be refreshed, since nobody serves their files any more.

        Raises:
            StackbuildError: as `lock` would say it.
        """
        one = Target.parse(target)
        making = self._making(gone)
        found = locking.make(making, one, locking.prepare(making))
        for kind, (made, _) in found.items():
            self.locks.put(one, kind, made)
        return {pin.name: pin.version for pin in found["pip"][0].pins} if found else {}

    def pip(self, target: str) -> PipLock:
        found = self.locks.read(Target.parse(target), "pip")
        assert isinstance(found, PipLock)
        return found

    def edit(self, target: str, **versions: str) -> None:
        """Another version of some of a target's pip pins, as a bad merge leaves it."""
        lock = self.pip(target)
        pins = tuple(replace(pin, version=versions.get(pin.name, pin.version)) for pin in lock.pins)
        self.locks.put(Target.parse(target), "pip", replace(lock, pins=pins))

    def check(self, target: str) -> list[StackbuildError]:
        return locking.check(self.manifest, Target.parse(target), self.locks)

    def _making(self, gone: Sequence[str]) -> Making:
        return Making(
            manifest=self.manifest,
            locks=self.locks,
            store=self.store,
            client=Client(),
            fetch=lambda _: None,
            vanished=lambda _: frozenset(gone),
            jobs=1,
            refresh_missing=bool(gone),
        )


def told(problems: Mapping[str, StackbuildError] | Sequence[StackbuildError]) -> list[str]:
    """The first lines of errors."""
    return [one.what for one in (problems.values() if isinstance(problems, Mapping) else problems)]
