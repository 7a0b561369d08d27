"""What the tests of npm share: the machine's own npm, fake tarballs, locks made of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.kinds.npm.check import Wanted
from builder.kinds.npm.lockfile import NpmLock, usual
from builder.kinds.npm.package import Package
from builder.kinds.npm.resolve import Means, NpmQuestion, resolve
from builder.kinds.npm.tarball import sha512
from builder.net import Client
from builder.store import Store
from builder.user_config import environment
from tests.tools import absent

NODE = "18.20.4"


def package(location: str, version: str = "1.0.0", **native: Any) -> Package:
    """A package as a lock has it, with made-up digests."""
    name = location.rpartition("node_modules/")[2]
    seed = f"{name}@{version}".encode()
    return Package(
        location=location,
        name=name,
        version=version,
        integrity=sha512(hashlib.sha512(seed).digest()),
        digest=Digest.of(seed),
        size=len(seed),
        path=usual(name, version),
        native=native,
    )


def tree(*packages: Package) -> dict[str, Package]:
    return {one.location: one for one in packages}


def wanted(*request: str, **fields: Any) -> Wanted:
    return Wanted(**{"request": request, "node": NODE, "platform": "linux/amd64", "prefix": "/opt/npm", **fields})


def tarball(members: Sequence[tuple[str, bytes] | tarfile.TarInfo], manifest: Mapping[str, Any] | None = None) -> bytes:
    """A tarball as registries have it; `manifest` becomes package/package.json."""
    buffer = io.BytesIO()
    if manifest is not None:
        members = [("package/package.json", json.dumps(manifest).encode()), *members]
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                archive.addfile(one)
                continue
            info = tarfile.TarInfo(one[0])
            info.size, info.mode = len(one[1]), 0o644
            archive.addfile(info, io.BytesIO(one[1]))
    return buffer.getvalue()


def stored(store: Store, data: bytes, like: Package) -> Package:
    """`like` with that tarball, which is in the store then."""
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    integrity = sha512(hashlib.sha512(data).digest())
    return replace(like, digest=Digest.of(data), size=len(data), integrity=integrity)


@dataclass(frozen=True)
class Npm:
    """The machine's npm and a registry that it reaches."""

    means: Means

    def lock(self, *request: str, existing: NpmLock | None = None, **fields: Any) -> NpmLock:
        """Resolve a request as `stackbuild lock` does."""
        question = {name: fields.pop(name) for name in ("upgrade", "before") if name in fields}
        return resolve(
            NpmQuestion(wanted=wanted(*request, **fields), where="test", existing=existing, **question), self.means
        )

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """npm itself, in a folder, with the configuration that this machine has."""
        command = ["npm", *arguments, "--no-audit", "--no-fund", "--no-update-notifier"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def npm_program() -> str:
    found = shutil.which("npm")
    if found is None:
        absent("npm is not installed")
    return found


@pytest.fixture(scope="session")
def npm(npm_program: str, tmp_path_factory: pytest.TempPathFactory) -> Npm:
    store = Store.open(tmp_path_factory.mktemp("npm") / "store")
    return Npm(Means(client=Client(), store=store, environ=environment(os.environ)))
