"""Look through a foreign image once: what stands in it after all its layers, as far as others must know.

Layers are read from the lowest up. Of each, whiteouts first hide what the layers below brought, then its own members
take their places (OCI image-spec v1.1, layer.md). Kept in memory are folders, links, and the few files that tell what
is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci.archive import Layer, Member

_WANTED: Final = re.compile(
    r"""
      var/lib/dpkg/status | var/lib/dpkg/status\.d/[^/]+
    | etc/(passwd|group|os-release) | usr/lib/os-release
    | (.*/)?conda-meta/[^/]+\.json
    | (.*/)?[^/]+\.(dist|egg)-info/(METADATA|PKG-INFO) | (.*/)?[^/]+\.egg-info
    | (.*/)?pyvenv\.cfg
    | (.*/)?include/python3\.\d+/patchlevel\.h
    | (.*/)?libc\.so\.6 | (.*/)?libc-2\.\d+\.so
    """,
    re.VERBOSE,
)
_HEADS_ONLY: Final = ("/METADATA", "/PKG-INFO", ".egg-info")
_HEAD: Final = 64 << 10
_LARGEST: Final = 32 << 20
"""Of a file that is taken into memory; dpkg's status of 4,000 packages has 5 MB."""
_MOST: Final = 1 << 30
"""Of all of them."""
_PROGRAM: Final = re.compile(r"(.*/)?bin/python3\.\d+")


@dataclass(slots=True)
class Surveyed:
    """What stands. Paths are relative, without links on the way resolved.

    Attributes:
        files: content of those that tell what is installed; of metadata only its head.
        folders: path → mode, uid, gid.
        links: path → text.
        programs: Pythons.
        uids: of each layer, lowest first, whom its members belong to.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    programs: dict[str, None] = field(default_factory=dict)
    uids: list[tuple[int, ...]] = field(default_factory=list)

    def tables(self) -> tuple[dict[str, Any], ...]:
        """Everything that is kept by path."""
        return self.files, self.folders, self.links, self.programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Blobs:
    """One layer to look through: its judge, and the diff ID that the config claims."""

    layer: Layer
    diff_id: Digest
    name: str


def survey(layers: Iterable[Blobs]) -> Surveyed:
    """Read layers, lowest first.

    Raises:
        HostileInput: one is not what its config claims, or may not be part of an image.
    """
    found = Surveyed()
    total = 0
    for one in layers:
        own = _one(one.layer)
        if one.layer.diff_id != one.diff_id:
            raise HostileInput(f"wrong diff ID: {one.name}", expected=one.diff_id, got=one.layer.diff_id)
        _compose(found, own)
        total += sum(len(data) for data in own.surveyed.files.values())
        if total > _MOST:
            raise HostileInput(f"too much metadata in an image: {one.name}", expected=f"at most {_MOST} bytes")
    return found


@dataclass(slots=True)
class _Own:
    """One layer: what it brings, every path that is no folder, and what it hides."""

    surveyed: Surveyed = field(default_factory=Surveyed)
    others: set[str] = field(default_factory=set)
    whiteouts: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)


def _one(layer: Layer) -> _Own:
    own = _Own()
    kept: dict[str, bytes] = {}
    uids: set[int] = set()
    for member in layer:
        if member.kind == "whiteout":
            own.whiteouts.add(member.path)
            continue
        if member.kind == "opaque":
            own.opaque.add(member.path)
            continue
        uids.add(member.info.uid)
        surveyed = own.surveyed
        if member.kind == "dir":
            info = member.info
            surveyed.folders[member.path] = (info.mode & 0o7777, info.uid, info.gid)
            own.others.discard(member.path)
            continue
        own.others.add(member.path)
        surveyed.links.pop(member.path, None)
        surveyed.files.pop(member.path, None)
        if member.kind == "link":
            surveyed.links[member.path] = member.target
        elif member.kind == "hardlink":
            if member.target in kept:
                kept[member.path] = kept[member.target]
        elif _WANTED.fullmatch(member.path):
            kept[member.path] = _content(layer, member)
        if member.path in kept and member.kind != "link" and _WANTED.fullmatch(member.path):
            surveyed.files[member.path] = kept[member.path]
        if member.kind != "link" and _PROGRAM.fullmatch(member.path):
            surveyed.programs[member.path] = None
    own.surveyed.uids = [tuple(sorted(uids))]
    return own


def _content(layer: Layer, member: Member) -> bytes:
    if member.path.endswith(_HEADS_ONLY):
        return layer.content(member).read(_HEAD)
    if member.info.size > _LARGEST:
        raise HostileInput(f"too large for what it is: /{member.path}", expected=f"at most {_LARGEST} bytes")
    return layer.content(member).read()


def _compose(found: Surveyed, own: _Own) -> None:
    """Put a layer on top."""
    hidden = own.whiteouts | {path for path in own.others if path in found.folders}
    for table, new in zip(found.tables(), own.surveyed.tables(), strict=True):
        if hidden or own.opaque:
            for path in [one for one in table if one in hidden or _below(one, hidden) or _below(one, own.opaque)]:
                del table[path]
        for path in own.others:
            table.pop(path, None)
        if table is not found.folders:
            for path in own.surveyed.folders:
                table.pop(path, None)
        table.update(new)
    found.uids += own.surveyed.uids


def _below(path: str, tops: set[str]) -> bool:
    if "" in tops:
        return True
    while "/" in path:
        path = path.rpartition("/")[0]
        if path in tops:
            return True
    return False


def resolve(path: str, links: Mapping[str, str]) -> str:
    """Where a path of the image leads, links followed as inside it; "" where it goes in circles."""
    todo = [part for part in reversed(path.split("/")) if part]
    done: list[str] = []
    for _ in range(4096):
        if not todo:
            return "/".join(done)
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            done = done[:-1]
            continue
        here = "/".join((*done, part))
        if here not in links:
            done.append(part)
            continue
        target = links[here]
        if target.startswith("/"):
            done = []
        todo += [one for one in reversed(target.split("/")) if one]
    return ""


def folder_rules(found: Surveyed) -> tuple[tuple[str, int, int, int], ...]:
    """Folders whose mode or owner is not that of the nearest folder listed above them: path, mode, uid, gid, sorted.

    A prefix of 20,000 folders that all belong to one user is one row so.
    """
    rules: dict[str, tuple[int, int, int]] = {"": (0o755, 0, 0)}
    for path in sorted(found.folders, key=lambda one: one.encode("utf-8", "surrogateescape")):
        if path and path.isprintable() and nearest(path, rules) != found.folders[path]:
            rules[path] = found.folders[path]
    return tuple((path, *rules[path]) for path in rules if path)


def nearest(path: str, rules: Mapping[str, tuple[int, int, int]]) -> tuple[int, int, int]:
    """Mode, uid and gid of the nearest folder listed: the path itself or one above it."""
    while path not in rules:
        path = path.rpartition("/")[0]
    return rules[path]


def folder_links(found: Surveyed) -> tuple[tuple[str, str], ...]:
    """Links that lead to folders, path and text, sorted; an overlay must not put a folder in their place."""
    rows: Sequence[str] = sorted(found.links, key=lambda one: one.encode("utf-8", "surrogateescape"))
    return tuple(
        (path, found.links[path])
        for path in rows
        if path.isprintable()
        and found.links[path].isprintable()
        and not path.startswith("usr/share/doc/")
        and resolve(path, found.links) in found.folders
    )
