"""What is attached to an image in a registry, beside the image: small artifacts that name it as their subject.

A registry that knows the referrers API lists them by itself, and says so when one is written. For any other, as the
specification asks, whoever writes one keeps the list: an index under the tag `sha256-<hex of the subject>`. Of two that
write a list at the same moment one is lost; attaching it again mends that.

An artifact carries annotations, which both lists repeat, so that one request reads them, and at most one file.

Source: OCI distribution-spec v1.1, "Pushing Manifests with Subject", "Listing Referrers", "Referrers Tag Schema";
image-spec v1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from builder.digest import Digest, Json, canonical
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.requester import ATTEMPTS
from builder.transports.document import INDEX_TYPES, MANIFEST_TYPES, Document
from builder.transports.registry import Registry
from builder.transports.upload import Upload

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_TITLE = "org.opencontainers.image.title"
"""On a layer: the file's name (image-spec v1.1, annotations.md), as tools that pull artifacts use it."""
_MOST = 1000
"""So many artifacts of one image are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What is attached.

    Attributes:
        type: a media type, also of the file.
        said: annotations.
        data: the file; None for annotations alone.
        filename: what tools that pull artifacts call it.
    """

    type: str
    said: Mapping[str, str]
    data: bytes | None = None
    filename: str = ""

    def manifest(self, subject: Mapping[str, Json]) -> bytes:
        """The manifest that names what has this descriptor as its subject; always the same bytes."""
        empty: Json = {"mediaType": _EMPTY_TYPE, "digest": Digest.of(_EMPTY), "size": len(_EMPTY)}
        about: Json = {name: subject[name] for name in ("mediaType", "digest", "size")}
        return canonical(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPES[0],
                "artifactType": self.type,
                "config": empty,
                "layers": [empty if self.data is None else self._file(self.data)],
                "subject": about,
                "annotations": dict(self.said),
            }
        )

    def _file(self, data: bytes) -> Json:
        found: dict[str, Json] = {"mediaType": self.type, "digest": Digest.of(data), "size": len(data)}
        return {**found, "annotations": {_TITLE: self.filename}} if self.filename else found


def attach(upload: Upload, subject: Mapping[str, Json], artifact: Artifact) -> bool:
    """Attach an artifact to what lies in a repository; whether it was not there before.

    Args:
        subject: its descriptor.

    Raises:
        Unreachable: no answer.
        StackbuildError: the registry refuses.
    """
    body = artifact.manifest(subject)
    digest = Digest.of(body)

    def listed() -> bool:
        rows = _listed(upload.registry, Digest(str(subject["digest"])), artifact.type)
        return any(one.get("digest") == digest for one in rows)

    if listed():
        return False
    for data in dict.fromkeys((_EMPTY, artifact.data or _EMPTY)):
        upload.data(Digest.of(data), data)
    if upload.manifest(digest, MANIFEST_TYPES[0], body):
        return True
    row: dict[str, Json] = {"mediaType": MANIFEST_TYPES[0], "digest": digest, "size": len(body)}
    for _ in range(ATTEMPTS):  # Somebody else may have written the list meanwhile, without us.
        _enlist(
            upload, str(subject["digest"]), {**row, "artifactType": artifact.type, "annotations": dict(artifact.said)}
        )
        if listed():
            return True
    raise Unreachable(f"the registry does not keep what is attached to {upload.registry.name}@{subject['digest']}")


def attached(registry: Registry, subject: Digest, artifact: str) -> Iterator[Mapping[str, str]]:
    """The annotations of all artifacts of a type that are attached to a manifest or an index.

    Raises:
        Unreachable: no answer.
        StackbuildError: the registry refuses.
        HostileInput: its list is none.
    """
    for row in _listed(registry, subject, artifact)[:_MOST]:
        if row.get("artifactType") == artifact:
            said = row.get("annotations")
            yield {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}


def _listed(registry: Registry, subject: Digest, artifact: str) -> list[dict[str, Any]]:
    try:
        found = registry.found(f"{registry.base}/referrers/{subject}?artifactType={quote(artifact, safe='')}")
    except Unreachable:
        raise
    except StackbuildError:
        found = None  # The specification has 404 for "no such API"; not every registry does.
    if found is None:
        found = registry.found(f"{registry.base}/manifests/{_tag(subject)}")
    return _rows(found, registry.name)


def _enlist(upload: Upload, subject: str, row: Mapping[str, Json]) -> None:
    """Add an artifact to the list of a registry that keeps none by itself."""
    tag = _tag(subject)
    rows = _rows(upload.registry.found(f"{upload.registry.base}/manifests/{tag}"), tag)
    kept: list[Json] = [one for one in rows if one.get("digest") != row["digest"]]
    index: Json = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": [*kept, dict(row)]}
    upload.manifest(tag, INDEX_TYPES[0], canonical(index))


def _rows(found: Document | None, name: str) -> list[dict[str, Any]]:
    if found is None:
        return []
    try:
        rows = json.loads(found.body)["manifests"]
        assert isinstance(rows, list) and all(isinstance(one, dict) for one in rows)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise HostileInput(f"not a list of what is attached to an image: {name}") from None
    return rows


def _tag(subject: str) -> str:
    return subject.replace(":", "-")
