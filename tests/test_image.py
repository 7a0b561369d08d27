"""Config, manifest and index: exact bytes, and the checks that only a whole image allows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from builder import image
from builder.action import Action, Result, Workshop
from builder.compression import codec
from builder.digest import Digest, Json
from builder.errors import Problems, StackbuildError
from builder.parts import write_part
from builder.store import Store
from builder.tree import Bytes, Entry
from tests.test_golden import inline


def layer(store: Store, *entries: Entry) -> Result:
    return {"layers": [write_part(store, entries[0].owner, entries, codec("gzip"))]}


def file(path: str, owner: str, data: bytes = b"1") -> Entry:
    return Entry(path, "file", 0o644, content=Bytes(data), owner=owner)


def action(**kinds: str) -> Action:
    needs = {role: Action(kind=kind, version=1, name=role, options=role) for role, kind in kinds.items()}
    options: Json = {"config": {"User": "1000", "Env": ["A=é"]}, "created": "2026-01-01T00:00:00Z"}
    return Action(kind="image", version=1, name="image x", options=options, platform="linux/arm64", needs=needs)


def perform(store: Store, wanted: Action, results: Mapping[str, Result]) -> dict[str, Any]:
    return dict(image.perform(wanted, results, Workshop(store=store, heavy=inline, jobs=1, log=store.path / "log")))


def test_exact_bytes(store: Store) -> None:
    lower, upper = layer(store, file("a", "one")), layer(store, file("b", "two"))
    found = perform(store, action(**{"000": "apt", "001": "pip"}), {"001": upper, "000": lower})
    layers = [lower["layers"][0], upper["layers"][0]]
    config = store.checked(store.blob(Digest(found["config"]))).read_bytes()
    assert json.loads(config) == {
        "architecture": "arm64",
        "config": {"Env": ["A=é"], "User": "1000"},
        "created": "2026-01-01T00:00:00Z",
        "history": [
            {"created": "2026-01-01T00:00:00Z", "created_by": f"stackbuild: {name}"} for name in ("one", "two")
        ],
        "os": "linux",
        "rootfs": {"diff_ids": [one["diff_id"] for one in layers], "type": "layers"},
    }
    descriptor = found["manifest"]
    manifest = store.checked(store.blob(Digest(descriptor["digest"]))).read_bytes()
    assert descriptor["size"] == len(manifest)
    assert descriptor["platform"] == {"architecture": "arm64", "os": "linux"}
    gzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    assert json.loads(manifest) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest.of(config), "size": len(config),
        },
        "layers": [{"mediaType": gzip, "digest": one["digest"], "size": one["size"]} for one in layers],
    }  # fmt: skip
    again = perform(store, action(**{"000": "apt", "001": "pip"}), {"000": lower, "001": upper})
    assert again == found


def test_two_wheels_of_two_layers_bring_one_path(store: Store) -> None:
    results = {"000": layer(store, file("x", "numpy")), "001": layer(store, file("x", "pandas", b"2"))}
    with pytest.raises(Problems) as caught:
        perform(store, action(**{"000": "pip", "001": "pip"}), results)
    (error,) = caught.value.problems
    assert error.what == "two packages bring /x with different content: numpy and pandas"
    assert error.where == "image x"
    perform(store, action(**{"000": "apt", "001": "pip"}), results)


def test_wheel_would_replace_the_interpreter(store: Store) -> None:
    """Only wheels were held against each other, so one of them could bring the environment's own bin/python."""
    results = {
        "000": layer(store, Entry("venv/bin/python", "link", target="/usr/bin/python3", owner="environment")),
        "001": layer(store, file("venv/bin/python", "evil")),
    }
    with pytest.raises(Problems, match="environment and evil"):
        perform(store, action(**{"000": "pip.environment", "001": "pip"}), results)


def test_too_many_layers(store: Store) -> None:
    many = {"000": {"layers": layer(store, file("x", "a"))["layers"] * 101}}
    with pytest.raises(StackbuildError, match="has 101 layers"):
        perform(store, action(**{"000": "apt"}), many)


def test_index_is_sorted_by_platform(store: Store) -> None:
    one, two = ({"digest": name, "platform": {"os": "linux", "architecture": name}} for name in ("arm64", "amd64"))
    made = image.write_index(store, [one, two], {"org.opencontainers.image.title": "x"})
    assert made == image.write_index(store, [two, one], {"org.opencontainers.image.title": "x"})
    index = json.loads(store.checked(store.blob(Digest(str(made["digest"])))).read_bytes())
    assert [found["digest"] for found in index["manifests"]] == ["amd64", "arm64"]
    assert index["annotations"] == {"org.opencontainers.image.title": "x"}


def test_what_it_says_about_itself_is_in_config_and_manifest(store: Store) -> None:
    said = {"org.opencontainers.image.title": "lab"}
    wanted = action(**{"000": "apt"})
    options: Json = {"config": {"Labels": said}, "created": "2026-01-01T00:00:00Z", "annotations": said}
    wanted = replace(wanted, options=options)
    found = perform(store, wanted, {"000": layer(store, file("a", "one"))})
    manifest = json.loads(store.blob(Digest(found["manifest"]["digest"])).read_bytes())
    assert manifest["annotations"] == image.says(wanted) == said
    assert json.loads(store.blob(Digest(found["config"])).read_bytes())["config"]["Labels"] == said
