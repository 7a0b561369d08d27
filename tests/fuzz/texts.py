"""Parsers of texts: what archives, registries, packages and branches of strangers say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from builder.advisories import entry
from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds import submodule
from builder.kinds.apt import package, relation, release, version
from builder.kinds.npm import tarball
from builder.kinds.npm.package import Package
from builder.kinds.oci import documents
from builder.locks import formats
from builder.manifest import read as manifest
from builder.platforms import NATIVE
from builder.transports.document import Document
from tests import osv
from tests.fuzz import Parser

ROOT = Path(__file__).parent.parent.parent
_SHORT = 60_000
"""Bytes of a seed: a fuzzer gets further with short ones. Of formats whose locks are longer, the corpus has some."""


def _text(data: bytes) -> str:
    """As the caller of the parser decodes it, who refuses what is no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HostileInput("not UTF-8") from None


def _lock(kind: str) -> Parser:
    suffix, owner = formats()[kind]
    module: Any = submodule(owner, "lockfile") or submodule(owner, "")

    def read(data: bytes, folder: Path) -> object:
        return module.loads(_text(data), folder / f"x{suffix}")

    def seeds() -> Iterable[bytes]:
        found = [path for folder in ("locks", "examples") for path in (ROOT / folder).rglob(f"*{suffix}")]
        short = sorted((path.stat().st_size, path) for path in found)[:3]
        return [path.read_bytes() for size, path in short if size < _SHORT]

    return Parser(read=read, seeds=seeds)


def _manifest(data: bytes, folder: Path) -> object:
    return manifest.loads(_text(data), folder / "stacks.toml")


def _manifests() -> Iterable[bytes]:
    yield from (path.read_bytes() for path in sorted((ROOT / "examples").rglob("stacks.toml")))


def _packages(data: bytes, folder: Path) -> object:
    return [
        package.of_stanza(stanza, source="x", suite="y", release="20260101T000000Z")
        for stanza in _text(data).split("\n\n")
        if stanza.strip()
    ]


STANZA = b"""Package: bash
Source: bash (5.2.15-2)
Version: 5.2.15-2+b8
Installed-Size: 7164
Architecture: amd64
Replaces: bash-completion (<< 20060301-0), bash-doc (<= 2.05-1)
Depends: base-files (>= 2.1.12), debianutils (>= 5.6-0.1)
Pre-Depends: libc6 (>= 2.36), libtinfo6 (>= 6) | libtinfo5:any
Conflicts: bash-completion (<< 20060301-0)
Provides: shell (= 1:2~rc1)
Multi-Arch: foreign
Filename: pool/main/b/bash/bash_5.2.15-2+b8_amd64.deb
Size: 1491016
SHA256: 8a4c2d3a3a7f0a5bca4ac9dbd5fd4b1c0f9f8a4c2d3a3a7f0a5bca4ac9dbd5fd
"""
RELEASE = b"""Origin: Debian
Suite: stable
Codename: bookworm
Date: Sat, 11 Jul 2026 10:16:37 UTC
Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC
Acquire-By-Hash: yes
Architectures: all amd64
Components: main contrib
SHA256:
 8a4c2d3a3a7f0a5bca4ac9dbd5fd4b1c0f9f8a4c2d3a3a7f0a5bca4ac9dbd5fd   738242 main/binary-amd64/Packages.xz
"""


def _relations(data: bytes, folder: Path) -> object:
    found = relation.clauses(_text(data))
    for clause in found:
        for atom in clause:
            version.holds(atom.version, atom.operator, "1:2.3~rc1-4+b5")
    return found


def _release(data: bytes, folder: Path) -> object:
    return release.parse(_text(data), where="InRelease")


def _document(read: Callable[[Document], object]) -> Callable[[bytes, Path], object]:
    def parse(data: bytes, folder: Path) -> object:
        return read(Document(media_type="", digest=Digest.of(data), body=data))

    return parse


def _index(document: Document) -> object:
    return documents.platforms(document, "x") if documents.is_index(document) else None


_BLOB = {"digest": f"sha256:{'0' * 64}", "size": 3}
_IMAGE = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **_BLOB},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **_BLOB}],
}
_INDEX = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [{**_BLOB, "mediaType": _IMAGE["mediaType"], "platform": {"os": "linux", "architecture": "amd64"}}],
}
_CONFIG = {
    "architecture": NATIVE.partition("/")[2],
    "os": "linux",
    "config": {"Env": ["PATH=/bin"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "User": "1:2", "Cmd": ["x"]},
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]},
    "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "x", "empty_layer": True}],
}
_NPM = Package(
    location="node_modules/x",
    name="x",
    version="1.0.0",
    integrity="",
    digest=Digest.of(b""),
    size=0,
    path="x/-/x-1.0.0.tgz",
    native={},
)


def _encoded(*documents: object) -> Callable[[], Iterable[bytes]]:
    return lambda: [json.dumps(one).encode() for one in documents]


PARSERS = {
    **{f"lock-{kind}": _lock(kind) for kind in formats()},
    "manifest": Parser(read=_manifest, seeds=_manifests),
    "packages": Parser(read=_packages, seeds=lambda: [STANZA]),
    "relations": Parser(read=_relations, seeds=lambda: [b"a (>= 1:2~b-3) | b:any, c"]),
    "release": Parser(read=_release, seeds=lambda: [RELEASE]),
    "oci-manifest": Parser(
        read=_document(lambda one: documents.manifest(one, "x")),
        seeds=_encoded(_IMAGE),
    ),
    "oci-index": Parser(read=_document(_index), seeds=_encoded(_INDEX)),
    "oci-config": Parser(read=lambda data, _: documents.config(data, NATIVE, 1, "x"), seeds=_encoded(_CONFIG)),
    "npm-manifest": Parser(
        read=lambda data, _: tarball.manifest(data, _NPM, gyp=True),
        seeds=_encoded({"name": "x", "version": "1.0.0", "scripts": {"install": "x"}, "bin": {"a": "b"}}),
    ),
    "advisory": Parser(
        read=lambda data, _: entry.parse(data, "x"),
        seeds=_encoded(osv.entry("GHSA-1", osv.affected("PyPI", "torch", {"introduced": "0"}, {"fixed": "1.0"}))),
    ),
}
