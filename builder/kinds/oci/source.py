"""Where a base image is: a repository of a registry, or a folder in the OCI layout. Both answer alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from builder import limits
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.oci.reference import Reference
from builder.net import Client
from builder.transports.document import Document
from builder.transports.registry import Registry

_REF = "org.opencontainers.image.ref.name"


class Source(Protocol):
    """Manifests by tag or digest, and blobs. What comes has the digest that was asked for."""

    def head(self, tag: str) -> Digest | None:
        """What a tag names now, None where there is no such tag."""
        ...

    def document(self, name: str) -> Document: ...

    def blob(self, digest: Digest, size: int) -> bytes: ...

    def url(self, digest: Digest) -> str: ...


def open_source(host: str, repository: str, client: Client, folder: Path, environ: Mapping[str, str]) -> Source:
    """The source that a reference names.

    Args:
        folder: the project's; a layout's path counts from there.
    """
    if host:
        return Registry(client, host, repository, environ)
    return Layout(folder / repository)


def of(reference: Reference, client: Client, folder: Path, environ: Mapping[str, str]) -> Source:
    """The source of a reference."""
    return open_source(reference.host, reference.repository, client, folder, environ)


class Layout:
    """A folder in the OCI layout (image-spec v1.1, image-layout.md)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, digest: Digest) -> str:
        return (self._folder.absolute() / "blobs/sha256" / digest.hex).as_uri()

    def head(self, tag: str) -> Digest | None:
        path = self._folder / "index.json"
        try:
            rows = json.loads(limits.read(path, limits.LAYOUT, "index of an OCI layout"))["manifests"]
            found = [Digest.parse(row["digest"]) for row in rows if row.get("annotations", {}).get(_REF) == tag]
        except OSError as error:
            raise StackbuildError(
                f"no OCI layout: {self._folder}", got=str(error.strerror), expected="a folder with index.json"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise HostileInput(f"a damaged OCI layout: {self._folder}", where=str(path)) from None
        return found[0] if found else None

    def document(self, name: str) -> Document:
        digest = Digest(name) if name.startswith("sha256:") else self.head(name)
        if digest is None:
            raise StackbuildError(f"no such image: {self._folder}:{name}", next_step="correct it in stacks.toml")
        return Document(media_type="", digest=digest, body=self._read(digest))

    def blob(self, digest: Digest, size: int) -> bytes:
        body = self._read(digest)
        if len(body) != size:
            raise HostileInput(f"wrong size: {digest}", where=str(self._folder), expected=str(size), got=str(len(body)))
        return body

    def _read(self, digest: Digest) -> bytes:
        path = self._folder / "blobs/sha256" / digest.hex
        try:
            body = limits.read(path, limits.LAYOUT, "document of an OCI layout")
        except OSError as error:
            raise StackbuildError(f"no such image: {digest}", where=str(path), got=str(error.strerror)) from None
        if Digest.of(body) != digest:
            raise HostileInput(f"wrong digest: {path}", expected=digest, got=Digest.of(body))
        return body
