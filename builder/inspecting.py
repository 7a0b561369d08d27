"""What is wrong with a store: everything in it is read, and held to what its name and its neighbours say of it.

    sources, blobs      bytes ↔ the digest that is the name
    actions             their own seal, the key that is the name; the files that their results name
    index.json          the manifests and indexes that it names, and all that these name
    roots               the layer's entry list: kinds, modes, owners, sizes, contents
    other notes         whether they can be read; nothing seals them

A file that was found damaged counts as missing for whoever names it, so what is found is all that must go for the rest
to be sound. What a killed build leaves in `tmp/` is no damage, nor what NFS leaves of a removed file that somebody has
open (`.nfs…`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from builder import image_index, root_inspecting
from builder.digest import Digest, key
from builder.errors import HostileInput
from builder.image_index import parsed
from builder.marking import named
from builder.naming import is_left
from builder.plan import files_of
from builder.sealing import unsealed
from builder.store import Store

Kind: TypeAlias = Literal["damaged", "incomplete", "unknown"]

_HEX = re.compile(r"[0-9a-f]{64}")
_ROOMS = re.compile(
    r"actions|advisories|checked|dask|failed|images|keys|locks|logs|metadata|names|npm|pip-tools|projects|proven|pushed\.jsonl|"
    r"released|repodata|roots|sources|tables|tmp|took|uv|version|wheels"
)
_JSON = ("checked", "released", "tables", "took", "wheels")
_DIGESTS = ("names", "proven")
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, RecursionError, HostileInput)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: "damaged": not what was written; "incomplete": sound, but what it names is not there, or damaged;
            "unknown": nothing of ours, which harms nobody.
        path: below the store, with `/`.
        what: in words.
        tag: what `index.json` names so, "" for anything else.
        remedy: what to do where `--repair` must not; "" where removing it is enough.
    """

    kind: Kind
    path: str
    what: str
    tag: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What was found, sorted, and how much was read: files, and bytes of them."""

    findings: tuple[Finding, ...]
    files: int
    size: int


def inspect(store: Store, jobs: int, only: Collection[str] | None = None) -> Inspected:
    """Look at all of a store, or only at these paths; what is not looked at is taken for sound if it is there.

    Args:
        jobs: threads that read.
    """
    found: list[Finding] = []
    looked = size = 0

    def wanted(path: Path) -> bool:
        return only is None or path.relative_to(store.path).as_posix() in only

    files = [path for room in ("sources/sha256", "images/blobs/sha256") for path in _inside(store.path / room)]
    hashed = [path for path in files if _HEX.fullmatch(path.name) and wanted(path)]
    with ThreadPoolExecutor(jobs) as threads:
        for path, said in zip(hashed, threads.map(_differs, hashed), strict=True):
            looked, size = looked + 1, size + _size(path)
            if said:
                found.append(Finding(kind="damaged", path=_name(store, path), what=said))
        there = {path.relative_to(store.path).as_posix() for path in files} - {one.path for one in found}
        actions = dict(_actions(store, wanted))
        looked += len(actions)
        entries = {path: entry for path, entry in actions.items() if not isinstance(entry, str)}
        found += [
            Finding(kind="damaged", path=_name(store, path), what=said)
            for path, said in actions.items()
            if isinstance(said, str)
        ]
        found += _incomplete(store, entries, there)
        found += _index(store, entries.values(), there)
        layers = {layer["diff_id"]: layer for entry in entries.values() for layer in entry["result"].get("layers", ())}
        roots = [path for path in _inside(store.path / "roots") if wanted(path)]
        for path, root in zip(roots, threads.map(lambda one: _root(store, one, layers, there), roots), strict=True):
            looked, size = looked + root.files, size + root.size
            if root.what:
                found.append(Finding(kind="damaged", path=_name(store, path), what=root.what))
    found += _notes(store)
    found += _unknown(store)
    return Inspected(findings=tuple(sorted(found)), files=looked, size=size)


def _inside(folder: Path) -> list[Path]:
    """What a folder holds, by name; nothing if it is not there."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not is_left(path))


def _name(store: Store, path: Path) -> str:
    return path.relative_to(store.path).as_posix()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, read: Callable[[Path], str]) -> str:
    """What `read` says of a file: "" if it is sound, or gone meanwhile; that it cannot be read, if so."""
    try:
        return read(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _differs(path: Path) -> str:
    def hashed(path: Path) -> str:
        with path.open("rb") as stream:
            got = hashlib.file_digest(stream, "sha256").hexdigest()
        return "" if got == path.name else f"its bytes have the digest sha256:{got}"

    return _read(path, hashed)


def _actions(store: Store, wanted: Callable[[Path], bool]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """Every action, or what is wrong with its file."""
    for path in _inside(store.path / "actions"):
        try:
            entry = unsealed(path.read_bytes())
            if entry is None:
                yield path, "its seal is broken"
            elif wanted(path) and key(entry["document"]) != f"sha256:{path.stem}":
                yield path, "it is the action of another key"
            else:
                list(files_of(entry["result"]))
                yield path, entry
        except FileNotFoundError:
            continue
        except _NONSENSE:
            yield path, "it is not what a build leaves"
        except OSError as error:
            yield path, f"it cannot be read: {error.strerror}"


def _incomplete(store: Store, entries: Mapping[Path, Mapping[str, Any]], there: Collection[str]) -> Iterator[Finding]:
    """Actions whose results name files that are not there. A build makes these anew, so they are of no use."""
    for path, entry in entries.items():
        places = [store.blob(one) if blob else store.source(one) for one, blob in files_of(entry["result"])]
        missing = [_name(store, one) for one in places if _name(store, one) not in there]
        if missing:
            what = f"not there, or damaged: {_listed(missing)}"
            yield Finding(kind="incomplete", path=_name(store, path), what=what)


def _index(store: Store, entries: Iterable[Mapping[str, Any]], there: Collection[str]) -> Iterator[Finding]:
    """The layout's index, and the images that it names. Layers that ours only refer to need not be there."""
    foreign = {
        f"sha256:{Digest(layer['digest']).hex}"
        for entry in entries
        for layer in entry["result"].get("layers", ())
        if layer.get("foreign")
    }
    place = store.path / "images/index.json"
    layout = store.path / "images/oci-layout"
    if not layout.exists() or layout.read_bytes() != image_index.LAYOUT:
        yield Finding(kind="damaged", path="images/oci-layout", what="it is not what makes the folder an OCI layout")
    index = parsed(place.read_bytes()) if place.exists() else None
    if index is None:
        yield Finding(
            kind="damaged", path="images/index.json", what="it is no index" if place.exists() else "it is gone"
        )
        return
    for row in index["manifests"]:
        missing = sorted(_missing(store, image_index.digest(row), there, foreign))
        if missing:
            said = image_index.name(row) or image_index.digest(row)
            yield Finding(
                kind="incomplete",
                path="images/index.json",
                what=f"{said}: not there, or damaged: {_listed(missing)}",
                tag=image_index.digest(row),
            )


def _missing(store: Store, text: str, there: Collection[str], foreign: Collection[str]) -> set[str]:
    """The blobs that an image needs and that are not there, or are damaged."""
    todo, seen, missing = [text], set[str](), set[str]()
    while todo:
        one = todo.pop()
        if one in seen or one in foreign or not _HEX.fullmatch(one.removeprefix("sha256:")):
            continue  # Of another algorithm, which nothing of ours has.
        seen.add(one)
        digest = Digest(one)
        if _name(store, store.blob(digest)) not in there:
            missing.add(_name(store, store.blob(digest)))
            continue
        documents, files = named(store, digest)
        todo += documents
        missing |= {
            _name(store, store.blob(file))
            for file in files
            if file not in foreign and _name(store, store.blob(file)) not in there
        }
    return missing


def _root(
    store: Store, path: Path, layers: Mapping[str, Mapping[str, Any]], there: Collection[str]
) -> root_inspecting.Root:
    layer = layers.get(f"sha256:{path.name.removeprefix('layer-')}")
    if layer is not None and _name(store, store.source(Digest(layer["listing"]))) in there:
        return root_inspecting.of_layer(store, path, layer)
    return root_inspecting.whatever(path)


def _notes(store: Store) -> Iterator[Finding]:
    """Small files that nothing seals: whether they can be read at all."""
    for room in (*_JSON, *_DIGESTS):
        for path in _inside(store.path / room):
            if said := _read(path, _json if room in _JSON else _digest):
                yield Finding(kind="damaged", path=_name(store, path), what=said)


def _json(path: Path) -> str:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "it is no JSON"
    return ""


def _digest(path: Path) -> str:
    text = path.read_text("utf-8", "replace")
    return "" if _HEX.fullmatch(text.removeprefix("sha256:")) else "it names no key"


def _unknown(store: Store) -> Iterator[Finding]:
    """What no part of stackbuild, and no tool that it starts, has put there."""
    paths = [path for path in _inside(store.path) if not _ROOMS.fullmatch(path.name)]
    paths += [path for path in _inside(store.path / "sources") if path.name != "sha256"]
    paths += [path for path in _inside(store.path / "images") if path.name not in {"blobs", "index.json", "oci-layout"}]
    for room in ("sources/sha256", "images/blobs/sha256", *_DIGESTS, "checked", "keys", "tables", "took"):
        paths += [path for path in _inside(store.path / room) if not _HEX.fullmatch(path.name)]
    for room in ("actions", "projects", "released", "wheels"):
        wrong = (path for path in _inside(store.path / room) if not _HEX.fullmatch(path.stem) or path.suffix != ".json")
        paths += wrong
    for path in paths:
        yield Finding(
            kind="unknown",
            path=_name(store, path),
            what="nothing of stackbuild's",
            remedy="remove it if nobody needs it",
        )


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return ", ".join(paths[:2]) + more
