"""Small archives, signed with throw-away keys and served on the loopback interface."""

from __future__ import annotations

import hashlib
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pysequoia
import pytest

from builder.kinds.apt.archive import Means
from builder.kinds.apt.places import Host
from builder.kinds.apt.universe import Index, Universe
from builder.manifest.settings import Archive
from builder.net import Client
from builder.store import Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DATE = "Sat, 11 Jul 2026 10:16:37 UTC"


def make_stanza(name: str, version: str = "1", **fields: str) -> str:
    """One paragraph of a Packages file; `Pre_Depends="a"` gives `Pre-Depends: a`."""
    rows = [f"Package: {name}", f"Version: {version}", f"Architecture: {fields.pop('Architecture', 'amd64')}"]
    rows += [f"{key.replace('_', '-')}: {value}" for key, value in fields.items()]
    content = f"{name}={version}".encode()
    rows.append(f"Filename: pool/main/{name[0]}/{name}/{name}_{version.replace(':', '%3a')}_amd64.deb")
    rows.append(f"Size: {len(content)}")
    rows.append(f"SHA256: {hashlib.sha256(content).hexdigest()}")
    return "\n".join(rows) + "\n"


def make_universe(*stanzas: str, suite: str = "test", release: str = "20260711T101637Z") -> Universe:
    return Universe("debian", [Index(suite=suite, release=release, text="\n".join(stanzas))])


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeArchive:
    """A folder that a server shows at `url`."""

    folder: Path
    url: str
    key: pysequoia.Tsk
    foreign: pysequoia.Tsk

    def packages(self, suite: str, text: str, *, end: str = ".xz", arch: str = "amd64") -> dict[str, bytes]:
        """Write an index and say what Release should list."""
        plain = text.encode()
        found = {f"main/binary-{arch}/Packages": plain}
        if end == ".xz":
            found[f"main/binary-{arch}/Packages.xz"] = lzma.compress(plain)
        for path, data in found.items():
            self.write(f"dists/{suite}/{path}", data)
            digest = hashlib.sha256(data).hexdigest()
            self.write(f"dists/{suite}/{path.rpartition('/')[0]}/by-hash/SHA256/{digest}", data)
        return found

    def write(self, path: str, data: bytes) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def release(self, files: dict[str, bytes], **fields: str) -> str:
        """The text of a Release file; a field set to "" is left out."""
        said = {"Suite": "stable", "Codename": "test", "Date": DATE, "Acquire-By-Hash": "yes", **fields}
        rows = [f"{name}: {value}" for name, value in said.items() if value]
        rows.append("SHA256:")
        rows += [f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in files.items()]
        return "\n".join(rows) + "\n"

    def sign(self, text: str, key: pysequoia.Tsk | None = None) -> bytes:
        signer = (key or self.key).signer()
        return pysequoia.sign(signer, text.encode(), mode=pysequoia.SignatureMode.CLEAR)

    def publish(self, suite: str, *stanzas: str, **fields: str) -> None:
        """A whole suite, as it should be."""
        files = self.packages(suite, "\n".join(stanzas))
        text = self.release(files, **{"Codename": suite, **fields})
        self.write(f"dists/{suite}/InRelease", self.sign(text))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def stanza() -> Callable[..., str]:
    return make_stanza


@pytest.fixture(scope="session")
def universe() -> Callable[..., Universe]:
    return make_universe


@pytest.fixture(scope="session")
def keys() -> tuple[pysequoia.Tsk, pysequoia.Tsk]:
    """A trusted key and one that is not."""
    return pysequoia.Tsk.generate("Archive <a@example.org>"), pysequoia.Tsk.generate("Foreign <f@example.org>")


@pytest.fixture
def fake(tmp_path: Path, keys: tuple[pysequoia.Tsk, pysequoia.Tsk]) -> Iterator[FakeArchive]:
    """A served, still empty archive."""
    folder = tmp_path / "archive"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield FakeArchive(folder=folder, url=url, key=keys[0], foreign=keys[1])
    server.shutdown()
    server.server_close()


@pytest.fixture
def archive(fake: FakeArchive, tmp_path: Path) -> Archive:
    """The manifest's table for the fake archive; its keyring is a file beside the manifest."""
    (tmp_path / "keys.gpg").write_bytes(bytes(fake.key.extract_certificate()))
    return Archive(name="toy-archive", suites=("test",), keyring="keys.gpg")


@pytest.fixture
def means(fake: FakeArchive, tmp_path: Path) -> Means:
    """A client, a store and the fake archive as the only mirror; no clock but `NOW`."""
    host = Host(environ={"STACKBUILD_MIRROR_TOY_ARCHIVE": fake.url})
    return Means(client=Client(), store=Store.open(tmp_path / "store"), host=host, folder=tmp_path, now=NOW)


@pytest.fixture
def needed() -> Callable[[bool, str], None]:
    """Skip with a reason where a tool or a network is missing; in CI fail instead."""

    def check(there: bool, reason: str) -> None:
        if not there and os.environ.get("CI") == "true":
            pytest.fail(f"needed in CI: {reason}")
        if not there:
            pytest.skip(reason)

    return check
