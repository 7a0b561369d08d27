"""Indexes, manifests and configs of foreign images: text that nobody vouches for → checked types.

Sources: OCI image-spec v1.1, image-index.md, manifest.md and config.md; Docker Image Manifest V2, Schema 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.transports.document import INDEX_TYPES, MANIFEST_TYPES, Document

_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_TYPES: Mapping[str, str] = {
    _TAR: _TAR,
    f"{_TAR}+gzip": f"{_TAR}+gzip",
    f"{_TAR}+zstd": f"{_TAR}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": _TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{_TAR}+gzip",
}
"""What a foreign manifest may call a layer → what ours calls it: one manifest has OCI's types or Docker's, not both."""
_CONFIG_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_MOST_LAYERS = 127
_LARGEST = 1 << 40
_KEPT = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "Shell", "StopSignal", "User")
_ALSO_KEPT = ("Volumes", "WorkingDir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A descriptor; `size` in bytes, compressed."""

    media_type: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What an image's config says.

    Attributes:
        diff_ids: of the layers, lowest first.
        defaults: the `config` object, only with what a container's start depends on, and labels.
        history: its entries, only with texts and `empty_layer`.
    """

    diff_ids: tuple[Digest, ...]
    defaults: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]


def is_index(document: Document) -> bool:
    """Whether it is an index, which has a manifest for each platform."""
    return _type(_object(document.body, "manifest"), document) in INDEX_TYPES


def choose(document: Document, platform: str, name: str) -> Digest:
    """The digest of an index's manifest for a platform.

    Raises:
        StackbuildError: it has none.
        HostileInput: it is no index.
    """
    there = platforms(document, name)
    found = there.get(platform)
    if found is None:
        raise StackbuildError(
            f"no image for {platform}: {name}",
            expected=platform,
            got=", ".join(sorted(there))[:300] or "an index without platforms",
            next_step="narrow platforms of the image in stacks.toml, or take another base",
        )
    return found


def platforms(document: Document, name: str) -> Mapping[str, Digest]:
    """The manifests of an index by platform, as `linux/arm64` or `linux/arm/v7`; the first of each.

    Raises:
        HostileInput: it is no index.
    """
    there: dict[str, Digest] = {}
    for row in _rows(_object(document.body, name), "manifests", name):
        one = row.get("platform")
        if not isinstance(one, dict) or one.get("os") == "unknown":
            continue  # An attestation, which belongs to one of the others.
        variant = one.get("variant")
        plain = variant is None or (one.get("architecture"), variant) == ("arm64", "v8")
        label = f"{one.get('os')}/{one.get('architecture')}{'' if plain else f'/{variant}'}"
        there.setdefault(label, Digest.parse(str(row.get("digest"))))
    return there


def manifest(document: Document, name: str) -> tuple[Blob, tuple[Blob, ...]]:
    """Config and layers, lowest first, of a manifest.

    Raises:
        StackbuildError: of a type that cannot be built on.
        HostileInput: it is no manifest.
    """
    found = _object(document.body, name)
    media_type = _type(found, document)
    if media_type not in MANIFEST_TYPES:
        raise StackbuildError(
            f"not an image that can be built on: {name}",
            expected=" or ".join(MANIFEST_TYPES),
            got=media_type[:100] or "no media type",
            next_step="push it again with a tool of this decade",
        )
    config = _blob(found.get("config"), name)
    layers = tuple(_blob(row, name) for row in _rows(found, "layers", name))
    if config.media_type not in _CONFIG_TYPES:
        raise StackbuildError(f"not a container image: {name}", expected=_CONFIG_TYPES[0], got=config.media_type[:100])
    for layer in layers:
        if layer.media_type not in LAYER_TYPES:
            raise StackbuildError(
                f"a layer of a kind that cannot be built on: {name}",
                expected="tar, plain or compressed with gzip or zstd",
                got=layer.media_type[:100],
            )
    if not 0 < len(layers) <= _MOST_LAYERS:
        raise HostileInput(f"no image: {name}", expected=f"1 to {_MOST_LAYERS} layers", got=str(len(layers)))
    return config, layers


def config(body: bytes, platform: str, layers: int, name: str) -> Config:
    """What a config says.

    Raises:
        StackbuildError: it is for another platform.
        HostileInput: it is no config, or not of so many layers.
    """
    found = _object(body, name)
    told = platform_of(body, name)
    if told != platform:
        raise StackbuildError(f"no image for {platform}: {name}", expected=platform, got=told[:100])
    rootfs = found.get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(ids, list) or len(ids) != layers:
        raise HostileInput(f"config and manifest disagree: {name}", expected=f"{layers} diff IDs", got=repr(ids)[:100])
    return Config(
        diff_ids=tuple(Digest.parse(str(one)) for one in ids),
        defaults=_defaults(found.get("config"), name),
        history=_history(found.get("history"), name),
    )


def platform_of(body: bytes, name: str) -> str:
    """The platform that a config says it is for.

    Raises:
        HostileInput: it is no JSON object.
    """
    found = _object(body, name)
    return f"{found.get('os')}/{found.get('architecture')}"


def _defaults(found: object, name: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        return {}
    kept = {}
    for key in (*_KEPT, *_ALSO_KEPT):
        value = found.get(key)
        if value in (None, "", [], {}):
            continue
        shape = _SHAPES[key]
        if not shape(value):
            raise HostileInput(f"no config of an image: {name}", got=f"{key}: {value!r}"[:200])
        kept[key] = value
    return kept


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _set(value: object) -> bool:
    return isinstance(value, dict) and all(one == {} for one in value.values())


def _table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _healthcheck(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, int) or _texts(one) for one in value.values())


def _text(value: object) -> bool:
    return isinstance(value, str)


def _env(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one.partition("=")[1] for one in value)


_SHAPES = {
    "Cmd": _texts,
    "Entrypoint": _texts,
    "Env": _env,
    "ExposedPorts": _set,
    "Healthcheck": _healthcheck,
    "Labels": _table,
    "Shell": _texts,
    "StopSignal": _text,
    "User": _text,
    "Volumes": _set,
    "WorkingDir": _text,
}


def _history(found: object, name: str) -> tuple[Mapping[str, Any], ...]:
    rows = found if isinstance(found, list) else []
    if len(rows) > 10 * _MOST_LAYERS or not all(isinstance(row, dict) for row in rows):
        raise HostileInput(f"no history of an image: {name}")
    texts = ("author", "comment", "created", "created_by")
    return tuple(
        {key: row[key] for key in texts if isinstance(row.get(key), str) and row[key]}
        | ({"empty_layer": True} if row.get("empty_layer") is True else {})
        for row in rows
    )


def _object(body: bytes, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HostileInput(f"no JSON object: {name}")
    return found


def _type(found: Mapping[str, Any], document: Document) -> str:
    """The media type: what the document says itself counts, then the header of the answer."""
    told = str(found.get("mediaType") or document.media_type.partition(";")[0].strip())
    if told.endswith("v1+prettyjws") or found.get("schemaVersion") == 1:
        return "Docker's manifest schema 1"
    return told


def _rows(found: Mapping[str, Any], key: str, name: str) -> Sequence[Mapping[str, Any]]:
    rows = found.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise HostileInput(f"no manifest: {name}", expected=f"a list of {key}")
    return rows


def _blob(found: object, name: str) -> Blob:
    if not isinstance(found, dict):
        raise HostileInput(f"no manifest: {name}", expected="descriptors", got=repr(found)[:100])
    size = found.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _LARGEST:
        raise HostileInput(f"no manifest: {name}", expected="a size in bytes", got=repr(size)[:100])
    return Blob(
        media_type=str(found.get("mediaType", "")), digest=Digest.parse(str(found.get("digest", ""))), size=size
    )
