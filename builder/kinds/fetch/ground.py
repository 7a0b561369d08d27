"""What stands in the image where files are to go: the folders on their ways, and the links that these ways take.

A fetched file does not depend on the image below, but for this. So it is an action's result of its own: a change below
that leaves the ways as they are is cut off here, and no archive is laid again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from builder.digest import Json
from builder.errors import StackbuildError
from builder.listing import Listed, read
from builder.store import Store
from builder.tree import Entry

_HOPS = 40
"""Links that may follow on each other, as the kernel has it (path_resolution(7))."""

_MOUNTED = frozenset({"dev", "proc", "sys"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The ways below the root.

    Attributes:
        folders: path → (mode, uid, gid) of those that stand.
        links: path → target of those that stand.
    """

    folders: Mapping[str, tuple[int, int, int]]
    links: Mapping[str, str]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Ground:
        """As it lies in the store."""
        folders = {path: (mode, uid, gid) for path, (mode, uid, gid) in result["folders"].items()}
        return cls(folders=folders, links=result["links"])

    def result(self) -> dict[str, Json]:
        return {"folders": dict(self.folders), "links": dict(self.links)}


def standing(store: Store, layers: Iterable[Mapping[str, Any]]) -> dict[str, Listed]:
    """Everything that stands after these layers, lowest first, by path."""
    found: dict[str, Listed] = {}
    for layer in layers:
        listed = list(read(store, layer))
        for entry in listed:
            if entry.kind == "whiteout":
                path = entry.path.removesuffix("/.wh..opq")
                if path == entry.path:
                    found.pop(path, None)
                _clear(found, path)
        for entry in listed:
            if entry.kind == "whiteout":
                continue
            if entry.kind != "dir" and entry.path in found and found[entry.path].kind == "dir":
                _clear(found, entry.path)
            found[entry.path] = entry
    return found


def _clear(found: dict[str, Listed], folder: str) -> None:
    for path in [path for path in found if path.startswith(folder + "/")]:
        del found[path]


def survey(there: Mapping[str, Listed], entries: Iterable[Entry]) -> Ground:
    """The ground of these entries.

    Raises:
        StackbuildError: an entry would replace what stands, or its way leads nowhere.
    """
    links = {path: one.mark.removeprefix("-> ") for path, one in there.items() if one.kind == "link"}
    passed: set[str] = set()
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        way = entry.path if entry.kind == "dir" else folder
        end = follow(way, links, passed)
        parts = end.split("/") if end else []
        if (parts or [name])[0] in _MOUNTED:
            raise StackbuildError(
                f"a fetched file would lie where every container mounts something of its own: /{entry.path}",
                where=entry.owner,
                next_step="lay it elsewhere (to), or leave it out (exclude)",
            )
        for depth in range(1, len(parts) + 1):
            on_the_way = there.get("/".join(parts[:depth]))
            if on_the_way is not None and on_the_way.kind != "dir":
                raise StackbuildError(
                    f"a fetched file's folder would replace a file of the image: /{on_the_way.path}",
                    where=f"{entry.owner}: /{entry.path}",
                    next_step="lay it elsewhere (to)",
                )
        if entry.kind != "dir" and (other := there.get(f"{end}/{name}" if end else name)) is not None:
            what = {"dir": "folder", "link": "link"}.get(other.kind, "file")
            raise StackbuildError(
                f"a fetched file would replace a {what} of the image: /{other.path}",
                where=f"{entry.owner}: /{entry.path}" + (f", there from {other.owner}" if other.owner else ""),
                next_step="leave one of the two out, or lay it elsewhere (to); only overlays replace",
            )
    folders = {}
    for path in passed:
        if path in there and there[path].kind == "dir":
            uid, _, gid = there[path].ids.partition(":")
            folders[path] = (int(there[path].mode, 8), int(uid), int(gid))
    return Ground(folders=folders, links={path: target for path, target in links.items() if path in passed})


def follow(way: str, links: Mapping[str, str], passed: set[str] | None = None) -> str:
    """The folder that a path means once each link on it was followed, as inside the image: nothing leads out.

    Args:
        passed: gets every path that was looked at.

    Raises:
        StackbuildError: the links go round in a circle.
    """
    done: list[str] = []
    todo = way.split("/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            del done[-1:]
            continue
        path = "/".join((*done, part))
        if passed is not None:
            passed.add(path)
        target = links.get(path)
        if target is None:
            done.append(part)
            continue
        hops += 1
        if hops > _HOPS:
            raise StackbuildError(f"links of the image go round in a circle: /{way}", where=f"at /{path}")
        if target.startswith("/"):
            done = []
        todo += target.split("/")[::-1]
    return "/".join(done)


def settle(entries: Iterable[Entry], ground: Ground) -> list[Entry]:
    """The entries where they really go, sorted, each folder on the way with them: as it stands there, else new.

    A new folder above an entry is the entry's owner's. Of the names of one file, the first is the file.
    """
    found: dict[str, Entry] = {}
    moved: dict[str, str] = {}
    linked: list[Entry] = []
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        way = follow(entry.path if entry.kind == "dir" else folder, ground.links)
        path = way if entry.kind == "dir" else f"{way}/{name}" if way else name
        moved[entry.path] = path
        if entry.kind == "hardlink":
            linked.append(replace(entry, path=path))
        elif path:
            _add(found, _as_it_stands(replace(entry, path=path), ground))
    _group(found, linked, moved)
    for path, entry in list(found.items()):
        while "/" in path:
            path = path.rpartition("/")[0]
            if path in found:
                if found[path].kind != "dir":
                    raise _twice(path, entry.owner)
                break
            made = Entry(path, "dir", 0o755, entry.uid, entry.gid, owner=entry.owner)
            found[path] = _as_it_stands(made, ground)
    return sorted(found.values(), key=lambda entry: entry.path.encode())


def _add(found: dict[str, Entry], entry: Entry) -> None:
    """Two ways may end in one path: `bin/x` and `usr/bin/x`."""
    if entry.path in found and not entry.kind == found[entry.path].kind == "dir":
        raise _twice(entry.path, entry.owner)
    found[entry.path] = entry


def _twice(path: str, owner: str) -> StackbuildError:
    return StackbuildError(
        f"two of one archive's paths are /{path} in the image", where=owner, next_step="leave one of them out (exclude)"
    )


def _as_it_stands(entry: Entry, ground: Ground) -> Entry:
    if entry.kind != "dir" or entry.path not in ground.folders:
        return entry
    mode, uid, gid = ground.folders[entry.path]
    return replace(entry, mode=mode, uid=uid, gid=gid)


def _group(found: dict[str, Entry], linked: Iterable[Entry], moved: Mapping[str, str]) -> None:
    """Add hard links: a layer may name only what stands before it, and entries are sorted by their final paths."""
    names: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    for entry in linked:
        first = moved[entry.target]
        first = owners.get(first, first)
        owners[entry.path] = first
        names.setdefault(first, [first]).append(entry.path)
    for first, paths in names.items():
        original = found.pop(first)
        one, *others = sorted(paths, key=str.encode)
        _add(found, replace(original, path=one))
        for path in others:
            _add(found, replace(original, path=path, kind="hardlink", content=None, target=one))
