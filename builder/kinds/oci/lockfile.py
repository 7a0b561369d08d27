"""The text of a base's lock, `locks/<image>/<stem>.oci.toml`: what the reference meant when it was locked.

It holds all of the image's config that matters, so that a plan needs neither registry nor blobs. There is exactly one
text for a lock: what `dumps` would not write, `loads` refuses. The pins of what the image holds are beside it, in
`inherited_file.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci import inherited_file, toml
from builder.kinds.oci.documents import LAYER_TYPES
from builder.lock import Lock, Pin

_COMMENT = """\
# The base image, as its tag stood when it was locked.
# Written by `stackbuild lock`, never by hand: edit stacks.toml. `stackbuild lock --check` needs no network.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLayer:
    """One layer of the base.

    Attributes:
        pin: its blob.
        media_type: as our manifests call it.
        uids: whom its members belong to, sorted.
    """

    pin: Pin
    media_type: str
    diff_id: Digest
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLock(Lock):
    """A base image for one platform. Its only pin is the config, which names all the rest.

    Attributes:
        index: what the tag named: an index, or the manifest itself.
        manifest: the platform's manifest.
        signed_by: the key that had signed index or manifest when it was locked: its path, and the digest of what it
            is; None where no signature was asked for.
        layers: lowest first.
        defaults: the image's `config` object, as far as a container's start depends on it, and its labels.
        history: the config's.
    """

    host: str
    repository: str
    tag: str
    index: Digest
    manifest: Digest
    layers: tuple[BaseLayer, ...]
    signed_by: tuple[str, Digest] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """`quay.io/jupyter/base-notebook:2026-10-26`."""
        place = f"{self.host}/{self.repository}" if self.host else self.repository
        return f"{place}:{self.tag}" if self.tag else place

    @property
    def blobs(self) -> tuple[Pin, ...]:
        """Every blob that it names."""
        return (*self.pins, *(layer.pin for layer in self.layers))


def pin(lock_name: tuple[str, str, str], what: str, index: Digest, digest: Digest, size: int) -> Pin:
    """The pin of one blob.

    Args:
        lock_name: host, repository and tag.
        what: for messages: `config`, `layer 3`.
        index: what the tag named, which tells versions of the image apart.
    """
    host, repository, tag = lock_name
    place = f"{host}/{repository}" if host else repository
    name = place if what == "config" else f"{place} {what}"
    version = f"{tag}@{index[:19]}" if tag else index[:19]
    return Pin(
        kind="oci",
        name=name,
        version=version,
        filename=digest,
        digest=digest,
        size=size,
        fields=(("host", host), ("repository", repository)),
    )


def dumps(lock: BaseLock) -> str:
    """The text of a lock."""
    config = lock.pins[0]
    lines = [
        f"{_COMMENT}format = {toml.FORMAT}",
        f"request = {toml.text(lock.request[0])}",
        f"host = {toml.text(lock.host)}",
        f"repository = {toml.text(lock.repository)}",
        f"tag = {toml.text(lock.tag)}",
        f"index = {toml.text(lock.index)}",
        f"manifest = {toml.text(lock.manifest)}",
        *_signed_by(lock),
        f"config = {toml.inline({'digest': config.digest, 'size': config.size})}",
        *toml.rows("history", lock.history),
    ]
    for layer in lock.layers:
        lines += [
            "",
            "[[layers]]",
            f"digest = {toml.text(layer.pin.digest)}",
            f"size = {layer.pin.size}",
            f"media-type = {toml.text(layer.media_type)}",
            f"diff-id = {toml.text(layer.diff_id)}",
            f"uids = {toml.inline(layer.uids)}",
        ]
    lines += ["", "[defaults]"]
    for name, value in sorted(lock.defaults.items()):
        lines += (
            toml.rows(name, value)
            if value and isinstance(value, list)
            else [f"{toml.key(name)} = {toml.inline(value)}"]
        )
    return "\n".join(lines) + "\n"


def _signed_by(lock: BaseLock) -> list[str]:
    if lock.signed_by is None:
        return []
    path, digest = lock.signed_by
    return [f"signed-by = {toml.inline({'key': path, 'digest': digest})}"]


def loads(text: str, path: Path | str) -> Lock:
    """The lock that a text says: a base's, or, by the name of its file, what that base holds.

    Raises:
        StackbuildError: the text is not what `dumps` writes.
    """
    if str(path).endswith(".inherited.toml"):
        return inherited_file.loads(text, path)
    found = toml.read(text, path)
    try:
        lock = _lock(found)
        if dumps(lock) != text:
            raise ValueError("not the text that `stackbuild lock` writes; edited by hand?")
    except (HostileInput, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise toml.damaged(path, f"{type(error).__name__}: {error}") from None
    return lock


def _lock(found: Mapping[str, Any]) -> BaseLock:
    name = (str(found["host"]), str(found["repository"]), str(found["tag"]))
    index = Digest.parse(found["index"])
    config, signer = found["config"], found.get("signed-by")
    layers = []
    for number, row in enumerate(found["layers"], 1):
        if row["media-type"] not in LAYER_TYPES.values():
            raise ValueError(f"no type of a layer: {row['media-type']}")
        layers.append(
            BaseLayer(
                pin=pin(name, f"layer {number}", index, Digest.parse(row["digest"]), int(row["size"])),
                media_type=row["media-type"],
                diff_id=Digest.parse(row["diff-id"]),
                uids=tuple(int(one) for one in row["uids"]),
            )
        )
    return BaseLock(
        request=(str(found["request"]),),
        pins=(pin(name, "config", index, Digest.parse(config["digest"]), int(config["size"])),),
        host=name[0],
        repository=name[1],
        tag=name[2],
        index=index,
        manifest=Digest.parse(found["manifest"]),
        layers=tuple(layers),
        signed_by=(str(signer["key"]), Digest.parse(signer["digest"])) if signer is not None else None,
        defaults=found["defaults"],
        history=tuple(found.get("history", ())),
    )
