"""Lay the project's own files verbatim: bytes and exec bits as in the tree, owner from the manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.digest import Digest, Json
from builder.errors import StackbuildError
from builder.kinds.oci import standing
from builder.listing import Listed, folders
from builder.own import own
from builder.parts import write_parts
from builder.site import Site
from builder.tree import Bytes, Entry, safe

FROM_LISTINGS = frozenset({"overlay"})


def plan(site: Site) -> tuple[Action, ...]:
    """One layer with all overlays of the image: bytes and exec bits as in the tree, owner from the manifest."""
    asked = cast(Sequence[Any], site.image.asks.get("overlays", ()))
    if not asked:
        return ()
    files: dict[str, Json] = {}
    local: dict[str, Path] = {}
    for one in asked:
        name, owner = (one, "root") if isinstance(one, str) else (one["name"], one.get("owner", "root"))
        ids = (site.layout.uid, site.layout.gid) if owner == "user" else (0, 0)
        folder = own(site.manifest.folder, f"overlays/{name}", "an overlay", f"images.{site.target.image}.overlays")
        for path, kind, content in _read(folder, site.target.image):
            files[path] = [kind, content, *ids]
            if kind != "link":
                local[content] = folder / path
    needs = {f"below-{n}": action for n, action in enumerate(site.below()) if action.kind in {"apt", "account"}}
    options: dict[str, Json] = {"files": files, "codec": site.codec}
    foreign = standing.of(site)
    if foreign is not None:
        folders = {path[:end] for path in files for end, one in enumerate(path) if one == "/"}
        options["standing"] = foreign.among(folders | files.keys())
    name = f"overlays of {site.target}"
    return (Action(kind="overlay", version=2, name=name, options=options, needs=needs, local=local),)


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Lay the files. A folder on the way that a layer below has is repeated as it stands there: a layer that left it
    out would, once unpacked into a folder of its own, cover it with whatever the unpacking made.

    Raises:
        StackbuildError: a file changed since it was planned, a path leads through a link of the image, or one is a
            folder to some and a file to others.
    """
    stand, links = folders(workshop.store, results.values())
    for path, found in cast(Any, action.options).get("standing", {}).items():
        if isinstance(found, str):
            links.setdefault(path, found)
        elif path not in cast(Any, action.options)["files"]:
            mode, uid, gid = found
            stand.setdefault(path, Listed("dir", f"{mode:04o}", f"{uid}:{gid}", 0, "-", path, ""))
    entries: dict[str, Entry] = {}
    for path, (kind, content, uid, gid) in cast(Any, action.options)["files"].items():
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            parent = "/".join(parents[:depth])
            if parent in links:
                raise StackbuildError(
                    f"an overlay's folder would replace a link of the image: /{parent} -> {links[parent]}",
                    where=f"overlay file {path}",
                    next_step="move the file below the link's target in the overlay",
                )
            entries.setdefault(parent, _folder(parent, stand.get(parent), uid, gid))
        if path in stand:
            raise StackbuildError(f"an overlay's {kind} would replace a folder of the image: /{path}")
        if kind == "link":
            entries[path] = Entry(path, "link", 0o777, uid, gid, target=content)
            continue
        data = action.local[content].read_bytes()
        if Digest.of(data) != content:
            raise StackbuildError(
                f"an overlay changed while it was built: {path}", next_step="run the same command again"
            )
        mode = 0o755 if kind == "program" else 0o644
        entries[path] = Entry(path, "file", mode, uid, gid, content=Bytes(data))
    below = {path.rpartition("/")[0] for path in entries}
    for entry in entries.values():
        if entry.kind != "dir" and entry.path in below:
            raise StackbuildError(f"two overlays disagree whether this is a folder: /{entry.path}", where=action.name)
    ordered = sorted(entries.values(), key=lambda entry: entry.path.encode())
    return write_parts(workshop, [("overlays", ordered)], cast(Any, action.options)["codec"])


def _folder(path: str, standing: Listed | None, uid: int, gid: int) -> Entry:
    if standing is None:
        return Entry(path, "dir", 0o755, uid, gid)
    owner, _, group = standing.ids.partition(":")
    return Entry(path, "dir", int(standing.mode, 8), int(owner), int(group))


def _read(folder: Path, image: str) -> Iterator[tuple[str, str, str]]:
    """(path, "file" | "program" | "link", digest or target), by path.

    Raises:
        StackbuildError: the folder is missing, or holds what is neither file, folder nor link.
    """
    if not folder.is_dir():
        raise StackbuildError(
            f"overlay is missing: {folder}", where=f"images.{image}.overlays", next_step=f"mkdir {folder}"
        )
    for base, names, files in os.walk(folder):
        names.sort()
        for name in sorted([*files, *(one for one in names if os.path.islink(os.path.join(base, one)))]):
            full = Path(base) / name
            path = safe(full.relative_to(folder).as_posix(), str(folder))
            if full.is_symlink():
                yield path, "link", os.readlink(full)
            elif full.is_file():
                kind = "program" if full.stat().st_mode & 0o100 else "file"
                yield path, kind, Digest.of_file(full)
            else:
                raise StackbuildError(f"an overlay holds a device, socket or pipe: {full}")
