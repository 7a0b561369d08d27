"""Layers → config → manifest → index: the exact JSON bytes.

Source: OCI image-spec v1.1, config.md, manifest.md and image-index.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from builder import about, conflicts
from builder.action import Action, Result, Workshop
from builder.digest import Json, canonical
from builder.errors import StackbuildError
from builder.manifest.env import PATH, image_env, programs
from builder.manifest.image import Image
from builder.manifest.model import Manifest, Target
from builder.store import Store
from builder.tree import NEWEST

VERSION = 2
FROM_LISTINGS = frozenset({"image"})
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MOST_LAYERS = 100
_CREATED = datetime.fromtimestamp(NEWEST, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the foreign image says that a family begins with.

    Attributes:
        config: its `config` object; ours goes over it.
        history: its entries, one for each of its layers but for those marked `empty_layer`.
        annotations: `base.name` and `base.digest`, as `about.standard` takes them.
    """

    config: Mapping[str, Json]
    history: tuple[Mapping[str, Json], ...]
    annotations: Mapping[str, str]


def plan(manifest: Manifest, target: Target, actions: Sequence[Action], defaults: Defaults | None = None) -> Action:
    """The image of one target from the actions of it and its ancestors, lowest layer first."""
    labels = about.standard(manifest, target, defaults.annotations if defaults else {})
    for one in manifest.family(target):
        labels.update(one.labels)
    options: dict[str, Json] = {
        "config": _config(manifest, target, labels, defaults),
        "created": _CREATED,
        "annotations": {name: value for name, value in labels.items() if name.startswith(about.PREFIX)},
    }
    if defaults is not None:
        options["history"] = defaults.history
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


def _config(manifest: Manifest, target: Target, labels: Mapping[str, str], defaults: Defaults | None) -> Json:
    """The `config` object: what the nearest image of the chain says, or what follows from the layout."""
    chain = manifest.family(target)

    def nearest(pick: str) -> Any:
        return next((found for one in reversed(chain) if (found := getattr(one, pick)) is not None), None)

    ports = {port for one in chain for port in one.expose}
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
    said = {name: value for name, value in config.items() if value not in (None, {}, (), [])}
    return _over(defaults.config, said, programs(manifest, target)) if defaults is not None else said


def _over(base: Mapping[str, Json], said: Mapping[str, Json], folders: Sequence[str]) -> Json:
    """A foreign image's config with what we say over it.

    Variables, ports, labels and volumes are added to. An entry point of ours takes the place of the base's command too,
    which was meant for another program, as a Dockerfile's ENTRYPOINT does.

    Args:
        folders: what comes first in PATH, the very first last.
    """
    found = {**base, **said}
    if "Entrypoint" in said and "Cmd" not in said:
        found.pop("Cmd", None)
    for name in ("ExposedPorts", "Labels", "Volumes"):
        tables = [cast(Mapping[str, Json], one[name]) for one in (base, said) if name in one]
        if tables:
            found[name] = {key: value for table in tables for key, value in table.items()}
    ours, env = (
        dict(row.partition("=")[::2] for row in cast(Sequence[str], one.get("Env", ()))) for one in (said, base)
    )
    env.update(ours)
    if "PATH" not in ours:
        env.setdefault("PATH", PATH)
        for folder in folders:
            if folder not in env["PATH"].split(":"):
                env["PATH"] = f"{folder}:{env['PATH']}"
    found["Env"] = [f"{name}={value}" for name, value in sorted(env.items())]
    return found


def _workdir(chain: Sequence[Image]) -> str:
    return next((one.workdir for one in reversed(chain) if one.workdir), "")


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Write config and manifest.

    Returns:
        `{"manifest": {"mediaType", "digest", "size", "platform"}, "config": digest, "layers": […]}`.

    Raises:
        StackbuildError: two packages bring one path with different bytes, or there are too many layers.
    """
    options = cast(dict[str, Any], action.options)
    layers = [layer for role in sorted(results) for layer in results[role]["layers"]]
    if len(layers) > _MOST_LAYERS:
        raise StackbuildError(
            f"{action.name} has {len(layers)} layers", expected=f"at most {_MOST_LAYERS}; runtimes stop at 127"
        )
    conflicts.refuse(action, results, workshop.store)
    system, _, architecture = action.platform.partition("/")
    platform = {"architecture": architecture.partition("/")[0], "os": system}
    config = canonical(
        {
            "created": options["created"],
            **platform,
            "config": options["config"],
            "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
            "history": _history(options, layers),
        }
    )
    config_digest = workshop.store.put_blob(config)
    words = says(action)
    said = {"annotations": words} if words else {}
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": len(config)},
            "layers": [
                {
                    "mediaType": layer["media_type"],
                    "digest": layer["digest"],
                    "size": layer["size"],
                    **{name: layer[name] for name in ("annotations",) if name in layer},
                }
                for layer in layers
            ],
            **said,
        }
    )
    digest = workshop.store.put_blob(manifest)
    descriptor = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(manifest), "platform": platform}
    return {"manifest": descriptor, "config": config_digest, "layers": layers}


def says(action: Action) -> Mapping[str, str]:
    """What the manifest of a planned image says about it."""
    options = cast(dict[str, Any], action.options)
    return cast(Mapping[str, str], options.get("annotations", {}))


def _history(options: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The foreign image's entries for its layers, which are the lowest, then ours."""
    found: list[Json] = list(options.get("history", ()))
    described = sum(not row.get("empty_layer") for row in options.get("history", ()))
    found += [
        {"created": options["created"], "created_by": f"stackbuild: {layer['name']}"} for layer in layers[described:]
    ]
    return found


def write_index(store: Store, descriptors: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> dict[str, Json]:
    """An index over images of several platforms, sorted by platform; its descriptor.

    Args:
        said: its annotations.
    """
    ordered = sorted(descriptors, key=lambda one: (one["platform"]["os"], one["platform"]["architecture"]))
    words = {"annotations": dict(said)} if said else {}
    index = canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": ordered, **words})
    return {"mediaType": INDEX_TYPE, "digest": store.put_blob(index), "size": len(index)}
