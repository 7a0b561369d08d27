"""Layers → config → manifest → index: the exact JSON bytes.

Source: OCI image-spec v1.1, config.md, manifest.md and image-index.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.digest import Json, canonical
from builder.errors import Problems, StackbuildError
from builder.listing import conflicts
from builder.manifest.env import image_env
from builder.manifest.model import Image, Manifest, Target
from builder.store import Store
from builder.tree import NEWEST

VERSION = 1
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MOST_LAYERS = 100
_CREATED = datetime.fromtimestamp(NEWEST, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plan(manifest: Manifest, target: Target, actions: Sequence[Action]) -> Action:
    """The image of one target from the actions of it and its ancestors, lowest layer first."""
    options: Json = {"config": _config(manifest, target), "created": _CREATED}
    needs = {f"{number:03}": action for number, action in enumerate(a for a in actions if a.layers)}
    return Action(
        kind="image",
        version=VERSION,
        name=f"image {target}",
        options=options,
        platform=target.platform,
        needs=needs,
        layers=False,
    )


def _config(manifest: Manifest, target: Target) -> Json:
    """The `config` object: what the nearest image of the chain says, or what follows from the layout."""
    chain = manifest.family(target)

    def nearest(pick: str) -> Any:
        return next((found for one in reversed(chain) if (found := getattr(one, pick)) is not None), None)

    labels: dict[str, str] = {}
    ports: set[int] = set()
    for one in chain:
        labels.update(one.labels)
        ports.update(one.expose)
    layout = manifest.layout(target)
    env = image_env(manifest, target)
    config: dict[str, Json] = {
        "User": str(layout.uid) if layout else None,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "WorkingDir": _workdir(chain) or (layout.home if layout else None),
        "Entrypoint": nearest("entrypoint"),
        "Cmd": nearest("cmd"),
        "ExposedPorts": {f"{port}/tcp": {} for port in sorted(ports)},
        "Labels": labels,
    }
    return {name: value for name, value in config.items() if value not in (None, {}, ())}


def _workdir(chain: Sequence[Image]) -> str:
    return next((one.workdir for one in reversed(chain) if one.workdir), "")


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Write config and manifest.

    Returns:
        `{"manifest": {"mediaType", "digest", "size", "platform"}, "config": digest, "layers": […], "diff_ids": […]}`.

    Raises:
        StackbuildError: two packages bring one path with different bytes, or there are too many layers.
    """
    options = cast(dict[str, Any], action.options)
    layers = [layer for role in sorted(results) for layer in results[role]["layers"]]
    if len(layers) > _MOST_LAYERS:
        raise StackbuildError(
            f"{action.name} has {len(layers)} layers", expected=f"at most {_MOST_LAYERS}; runtimes stop at 127"
        )
    _refuse_conflicts(action, results, workshop.store)
    system, _, architecture = action.platform.partition("/")
    platform = {"architecture": architecture.partition("/")[0], "os": system}
    config = canonical(
        {
            "created": options["created"],
            **platform,
            "config": options["config"],
            "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
            "history": [
                {"created": options["created"], "created_by": f"stackbuild: {layer['name']}"} for layer in layers
            ],
        }
    )
    config_digest = workshop.store.put_blob(config)
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": len(config)},
            "layers": [
                {"mediaType": layer["media_type"], "digest": layer["digest"], "size": layer["size"]} for layer in layers
            ],
        }
    )
    digest = workshop.store.put_blob(manifest)
    descriptor = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(manifest), "platform": platform}
    return {"manifest": descriptor, "config": config_digest, "layers": layers}


def _refuse_conflicts(action: Action, results: Mapping[str, Result], store: Store) -> None:
    """Python packages lie in separate layers, so only here can be seen that two bring one path."""
    wheels = [
        layer
        for role in sorted(results)
        if action.needs[role].kind in {"pip", "pip.environment"}
        for layer in results[role]["layers"]
    ]
    found = [
        StackbuildError(
            f"two packages bring /{path} with different content: {one} and {other}",
            where=action.name,
            next_step="leave one of them out, or pin versions that do not collide",
        )
        for path, one, other in conflicts(store, wheels)
    ]
    if found:
        raise Problems(found[:20])


def write_index(store: Store, descriptors: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """An index over images of several platforms, sorted by platform; its descriptor."""
    ordered = sorted(descriptors, key=lambda one: (one["platform"]["os"], one["platform"]["architecture"]))
    index = canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": ordered})
    return {"mediaType": INDEX_TYPE, "digest": store.put_blob(index), "size": len(index)}
