"""An entry of the remote cache: what an action came to, said so that somebody else may believe it.

    <repository>:action-<hex of its plan key>     an OCI manifest
        config    the action's document and result, as the store's `actions/<key>.json` has them, and sizes of files
        layers    every blob and source that the result names, and every file that the action read
        annotations
        dev.stackbuild.signature              of the key and the config's digest
        org.opencontainers.image.created      when it was left there, for `gc`; nobody vouches for that

So a registry that collects garbage keeps what an entry needs, and pins outlive their mirrors: a file that was read is
found under its digest in the same repository.

What is believed: a fetched file, because its bytes have the digest that its pin names. That an action came to a result
nobody can see from the result: an entry counts only if a key that the manifest names has signed it, or if the manifest
says that whoever can write to the registry is trusted. Its document must be the one that was asked for, its result
must look like one, and all files that it names must have their sizes and digests.

Sources: OCI image-spec v1.1, "Guidelines for Artifact Usage"; distribution-spec v1.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builder.action import Action, Result
from builder.digest import Digest, Json, canonical, key
from builder.errors import HostileInput
from builder.plan import files_of
from builder.signing import Signer, signed
from builder.transports.registry import Registry
from builder.transports.upload import Upload

TYPE = "application/vnd.stackbuild.action.v1+json"
CREATED = "org.opencontainers.image.created"
TAG = re.compile(r"action-([0-9a-f]{64})")
"""What entries are called: by plan keys, in hex."""
NONSENSE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What comes of an entry that is no entry."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_FILE = "application/octet-stream"
_SIGNATURE = "dev.stackbuild.signature"
_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What makes an entry count.

    Attributes:
        registry: whoever can write there is believed.
        keys: public keys, of which one must have signed it otherwise.
    """

    registry: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An action's result as the cache has it, believed."""

    action: Action
    result: Result
    sizes: Mapping[Digest, int]


def judged(registry: Registry, trust: Trust, action: Action) -> Entry | None:
    """The entry of an action, None where there is none.

    Raises:
        HostileInput: it does not count; one of `NONSENSE`: it is none.
        Unreachable, StackbuildError: as `Registry.head`.
    """
    digest = registry.head(_tag(action))
    if digest is None:
        return None
    manifest = json.loads(registry.document(digest).body)
    config = manifest["config"]
    told = Digest.parse(config["digest"])
    if not _believed(trust, action, told, manifest):
        raise HostileInput(
            f"an entry of the cache is not signed by a known key: {action.name}",
            where=f"{registry.name}:{_tag(action)}",
            next_step="add the key of whoever fills the cache to keys in [cache] of stacks.toml",
        )
    found = json.loads(registry.blob(told, min(int(config["size"]), _LARGEST)))
    if key(found["document"]) != action.plan_key:
        raise HostileInput(f"an entry of the cache is of another action: {action.name}")
    result, sizes = found["result"], {Digest.parse(one): int(size) for one, size in found["sizes"].items()}
    if not whole(action, result, sizes):
        raise HostileInput(f"an entry of the cache is not whole: {action.name}")
    return Entry(action, result, sizes)


def whole(action: Action, result: Result, sizes: Mapping[Digest, int]) -> bool:
    """Whether what somebody calls an action's result looks like one, and the sizes of all its files are said."""
    wanted = {"manifest", "config", "layers"} if action.kind == "image" else {"layers"} if action.layers else set()
    return wanted <= result.keys() and {digest for digest, _ in files_of(result)} <= sizes.keys()


def write(upload: Upload, entry: Entry, signer: Signer | None, time: str) -> None:
    """Write an entry, all of whose files are in the repository; its sizes are also of the files that the action read.

    Args:
        signer: None where the registry is trusted.
        time: when this is, in UTC as RFC 3339 writes it; "" to leave that out.

    Raises:
        Unreachable, StackbuildError: as `Upload.manifest`.
    """
    sizes: dict[str, Json] = {str(one): size for one, size in entry.sizes.items()}
    body = canonical({"document": entry.action.document, "result": entry.result, "sizes": sizes})
    config = Digest.of(body)
    upload.data(config, body)
    layers: list[Json] = [{"mediaType": _FILE, "digest": one, "size": size} for one, size in sizes.items()]
    manifest: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "artifactType": TYPE,
        "config": {"mediaType": TYPE, "digest": config, "size": len(body)},
        "layers": layers,
    }
    annotations = {CREATED: time} if time else {}
    if signer is not None:
        annotations[_SIGNATURE] = signer.sign(_statement(entry.action, config))
    if annotations:
        manifest["annotations"] = annotations
    upload.manifest(_tag(entry.action), _MANIFEST, canonical(manifest))


def _believed(trust: Trust, action: Action, config: Digest, manifest: Mapping[str, Any]) -> bool:
    if trust.registry:
        return True
    signature = str(manifest.get("annotations", {}).get(_SIGNATURE, ""))
    return signed(_statement(action, config), signature, trust.keys)


def _tag(action: Action) -> str:
    return f"action-{Digest(action.plan_key).hex}"


def _statement(action: Action, config: Digest) -> bytes:
    """What is signed: that this action came to what the config says."""
    return canonical({"action": action.plan_key, "config": config, "type": TYPE})
