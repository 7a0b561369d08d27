"""The versions that a manifest's text pins, and the same text with others in their places.

    pip = ["numpy==2.4.6"]                       a request with one exact version; conda's also with a build
    [[images.rstudio.fetch]] version = "1.2"     what is fetched, by its `name`
    from = "oci:quay.io/jupyter/base:2026-10"    a base image, by its repository; a digest behind the tag goes with it

Everything else in the text stays as it is, comments and layout too: tomlkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence
from dataclasses import dataclass
from typing import Any, Final

import tomlkit

from builder import toml
from builder.manifest.shape import join, request_name

_REQUEST = re.compile(r"(?P<head>[^=<>!~]+?)(?P<equals> ?== ?)(?P<version>[^=,*]+)(?P<build>=[^=,]+)?")
_BASE = re.compile(r"oci:(?P<repository>.+?):(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]*)(?P<digest>@sha256:[0-9a-f]{64})?")
OCI, FETCH = "oci", "fetch"
LISTS: Final = {"apt": "apt", "conda": "conda", "constraints": "pip", "npm": "npm", "pip": "pip"}
"""The keys whose lists pin packages, and what locks these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the text pins a version.

    Attributes:
        path: TOML path of the value: `images.jupyter.pip[2]`.
        table: the set or image it belongs to: `images.jupyter`.
        kind: what locks it: "pip", "apt" and so on, "fetch" or "oci".
        name: of what, normalised as requests are; of a base image its repository.
        text: the value as it stands there.
    """

    path: str
    table: str
    kind: str
    name: str
    version: str
    text: str

    def at(self, version: str) -> str:
        """The value with another version; a digest that belonged to the old one is left out."""
        if self.kind == FETCH:
            return version
        if self.kind == OCI:
            found = _BASE.fullmatch(self.text)
            assert found is not None
            return f"oci:{found['repository']}:{version}"
        found = _REQUEST.fullmatch(self.text)
        assert found is not None
        return f"{found['head']}{found['equals']}{version}{found['build'] or ''}"

    def opened(self) -> str:
        """The value that allows this version and every later one; the same again where that cannot be said."""
        found = _REQUEST.fullmatch(self.text) if self.kind not in {FETCH, OCI} else None
        if found is None or found["build"]:
            return self.text
        return found["head"] if self.kind == "apt" else f"{found['head']}>={found['version']}"


def places(text: str) -> tuple[Place, ...]:
    """Every version that the text of a manifest pins, in its order; the manifest can be read."""
    document = toml.loads(text)
    found: list[Place] = []
    for top in ("sets", "images"):
        for name, table in document.get(top, {}).items():
            path = join(top, name)
            found += _of(table, path, path)
            for on, special in table.get("on", {}).items():
                found += _of(special, path, join(join(path, "on"), on))
    return tuple(found)


def _of(table: Mapping[str, Any], owner: str, path: str) -> Iterator[Place]:
    for key, value in table.items():
        here = join(path, key)
        if key == "from" and isinstance(value, str) and (base := _BASE.fullmatch(value)):
            yield Place(path=here, table=owner, kind=OCI, name=base["repository"], version=base["tag"], text=value)
        elif key == FETCH:
            for number, one in enumerate(value):
                if "version" in one:
                    at, name, version = f"{here}[{number}].version", request_name(one["name"]), one["version"]
                    yield Place(path=at, table=owner, kind=FETCH, name=name, version=version, text=version)
        elif key in LISTS:
            for number, item in enumerate(value):
                if request := _REQUEST.fullmatch(item):
                    at, name, version = f"{here}[{number}]", request_name(item), request["version"].strip()
                    yield Place(path=at, table=owner, kind=LISTS[key], name=name, version=version, text=item)


def replaced(text: str, values: Mapping[str, str]) -> str:
    """The text with other values at these paths, which `places` named."""
    document = tomlkit.parse(text)
    for top in ("sets", "images"):
        for name, table in document.get(top, {}).items():
            _replace(table, join(top, name), values)
    return tomlkit.dumps(document)


def _replace(table: Any, path: str, values: Mapping[str, str]) -> None:
    """Set what stands at these paths below `path`, whose value `table` is."""
    below: Iterator[tuple[Any, str]]
    if isinstance(table, MutableMapping):
        below = iter([(key, join(path, key)) for key in table])
    elif isinstance(table, MutableSequence):
        below = iter([(number, f"{path}[{number}]") for number in range(len(table))])
    else:
        return
    for key, here in below:
        if here in values:
            table[key] = values[here]
        else:
            _replace(table[key], here, values)
