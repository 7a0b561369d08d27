"""Signatures beside an image: an image manifest at the tag `sha256-<hex>.sig`, with a layer for each.

    layers      what was signed, small documents, uncompressed
      annotations   dev.cosignproject.cosign/signature    the signature, in base64
                    and what keyless signing adds; kept, not read
    config      a container image's without a platform, whose diff IDs name the layers

Whoever adds a signature reads the manifest, appends, and writes it again. The protocol has no condition for that, so
each looks again afterwards whether its own is there. What lies there of others stays.

Sources: cosign's SIGNATURE_SPEC.md, "Storage" and "Tag-based discovery"; OCI distribution-spec v1.1.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from builder.digest import Digest, Json, canonical
from builder.errors import HostileInput, Unreachable
from builder.requester import ATTEMPTS
from builder.transports.document import MANIFEST_TYPES, Document
from builder.transports.upload import Upload

_ANNOTATION: Final = "dev.cosignproject.cosign/signature"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_MOST: Final = 1000
"""So many signatures of one image are looked at, as by cosign."""
_LONGEST: Final = 4 << 10
"""Characters of one; of RSA with 8192 bits it has 1368."""


class Beside(Protocol):
    """Where images lie, and signatures beside them: a registry's repository, or a folder in the OCI layout."""

    def head(self, tag: str) -> Digest | None: ...

    def document(self, name: str) -> Document: ...

    def blob(self, digest: Digest, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature, which nobody has verified.

    Attributes:
        media_type, payload, size: of what was signed, size in bytes.
        signature: b"" where there is none, or it is too long.
    """

    media_type: str
    payload: Digest
    size: int
    signature: bytes


def signatures(source: Beside, digest: Digest) -> tuple[Signature, ...]:
    """What lies beside a manifest or an index, oldest first.

    Raises:
        Unreachable: no answer.
        StackbuildError: the registry refuses.
        HostileInput: it is no list of signatures, or is too long.
    """
    manifest = _manifest(source, digest)
    return tuple(_signature(row, tag(digest)) for row in manifest["layers"]) if manifest else ()


def add(upload: Upload, digest: Digest, signed: Signature, data: bytes) -> None:
    """Lay a signature beside a manifest or an index.

    Args:
        data: what was signed.

    Raises:
        Unreachable: no answer; others write all the time.
        StackbuildError: the registry refuses.
        HostileInput: what lies there is no list of signatures, or is full.
    """
    upload.data(signed.payload, data)
    said = {_ANNOTATION: base64.b64encode(signed.signature).decode()}
    row: Json = {"mediaType": signed.media_type, "digest": signed.payload, "size": signed.size, "annotations": said}
    for _ in range(ATTEMPTS):  # Somebody else may have written meanwhile, without us.
        there = _manifest(upload.registry, digest) or {"layers": []}
        if _kept(there, signed, tag(digest)):
            return
        if len(there["layers"]) >= _MOST:
            raise _no_list(tag(digest), f"fewer than {_MOST} signatures", str(len(there["layers"])))
        _write(upload, tag(digest), {**there, "layers": [*there["layers"], row]})
    if not _kept(_manifest(upload.registry, digest) or {"layers": []}, signed, tag(digest)):
        raise Unreachable(f"the registry does not keep signatures of {upload.registry.name}@{digest}")


def _kept(manifest: Mapping[str, Any], signed: Signature, name: str) -> bool:
    return any(_signature(row, name) == signed for row in manifest["layers"])


def tag(digest: Digest) -> str:
    """What signatures of it are called."""
    return f"sha256-{digest.hex}.sig"


def _write(upload: Upload, name: str, manifest: Mapping[str, Any]) -> None:
    rows: Sequence[Mapping[str, Any]] = manifest["layers"]
    body = canonical(
        {
            "architecture": "",
            "config": {},
            "created": "0001-01-01T00:00:00Z",
            "os": "",
            "rootfs": {"diff_ids": [str(row["digest"]) for row in rows], "type": "layers"},
        }
    )
    upload.data(Digest.of(body), body)
    config: Json = {"mediaType": _CONFIG, "digest": Digest.of(body), "size": len(body)}
    whole = {"schemaVersion": 2, **manifest, "mediaType": MANIFEST_TYPES[0], "config": config}
    upload.manifest(name, MANIFEST_TYPES[0], canonical(whole))


def _manifest(source: Beside, digest: Digest) -> dict[str, Any] | None:
    """The manifest at the tag, with its layers known to be tables; None where there is none."""
    named = source.head(tag(digest))
    if named is None:
        return None
    try:
        found = json.loads(source.document(named).body)
    except (ValueError, RecursionError):
        found = None
    rows = found.get("layers") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _no_list(tag(digest), "an image manifest", "another document")
    if len(rows) > _MOST:
        raise _no_list(tag(digest), f"at most {_MOST} signatures", str(len(rows)))
    assert isinstance(found, dict)
    return found


def _signature(row: Mapping[str, Any], name: str) -> Signature:
    size, said = row.get("size"), row.get("annotations")
    text = said.get(_ANNOTATION) if isinstance(said, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _no_list(name, "sizes in bytes", repr(size)[:100])
    try:
        short = isinstance(text, str) and len(text) <= _LONGEST
        signature = base64.b64decode(text, validate=True) if isinstance(text, str) and short else b""
    except (binascii.Error, ValueError):
        signature = b""
    return Signature(
        media_type=str(row.get("mediaType", "")),
        payload=Digest.parse(str(row.get("digest", ""))),
        size=size,
        signature=signature,
    )


def _no_list(name: str, expected: str, got: str) -> HostileInput:
    return HostileInput(f"not a list of signatures: {name}", expected=expected, got=got)
