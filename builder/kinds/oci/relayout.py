"""A layout put on a foreign image: its user's files become the layout's, in a copy of the layers that hold any.

The rule, for each entry of a layer:

    belongs to the base's user (its uid, unless that is 0)
        → the layout's uid and gid; its group gets the rights that its owner has
    belongs to anybody else
        → stays as it is

So an image whose prefix and home belong to 1000:100 becomes one whose prefix and home belong to 1001:0 and may be
written by group 0, whoever runs it. Layers without such entries are referred to as they are. Nothing is laid over
them that only changes owners, which would hold every file once more.

The base's user is whom its config names, as its own passwd tells uid, gid and home.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from builder.action import Result, Workshop
from builder.compression import Codec
from builder.digest import Digest, Json
from builder.digits import digits
from builder.kinds.oci.archive import Layer, Member
from builder.kinds.oci.inherited_file import InheritedLock
from builder.kinds.oci.lockfile import BaseLock
from builder.kinds.oci.survey import nearest
from builder.manifest.settings import Layout
from builder.parts import write_part, write_parts
from builder.store import Store
from builder.tree import NEWEST, Bytes, Entry, Slice, with_parents
from builder.unpacked import decompressed

_CAPABILITY = "SCHILY.xattr.security.capability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Entries of `old` get `uid`, `gid` and group rights."""

    old: int
    uid: int
    gid: int

    def ids(self, mode: int, uid: int, gid: int) -> tuple[int, int, int]:
        """Mode, uid and gid of an entry that had these."""
        if uid != self.old:
            return mode, uid, gid
        return mode | (mode & 0o700) >> 3, self.uid, self.gid


def user(lock: BaseLock, holds: InheritedLock) -> tuple[int, int]:
    """Uid and gid of the user whom the base's config names; 0:0 where nothing tells."""
    name, _, group = str(lock.defaults.get("User", "")).partition(":")
    rows = [row.split(":") for row in holds.passwd]
    for row in rows:
        if name in {row[0], row[2]}:
            return _id(row[2]), _id(group) if digits(group) else _id(row[3])
    return (_id(name), _id(group)) if digits(name) else (0, 0)


def _id(text: str) -> int:
    return int(text) if digits(text) else 0


def change(lock: BaseLock, holds: InheritedLock, layout: Layout) -> Change | None:
    """What a layout changes in the layers; None where the base's user is root or the layout's already."""
    uid, gid = user(lock, holds)
    if uid == 0 or (uid, gid) == (layout.uid, layout.gid):
        return None
    return Change(old=uid, uid=layout.uid, gid=layout.gid)


def rewrite(store: Store, layer: Mapping[str, Any], rule: Change, codec: Codec) -> dict[str, Any]:
    """Write a fetched layer again with other owners; runs in a process of the pool."""
    blob = store.checked(store.blob(Digest(layer["digest"])))
    with store.workspace() as workspace:
        plain = workspace / "layer.tar"
        with decompressed(blob) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return write_part(store, layer["name"], _entries(plain, layer["name"], rule), codec)


def _entries(plain: Path, name: str, rule: Change) -> Iterator[Entry]:
    """The layer's members in their own order, in which a hard link follows what it names."""
    for member in Layer(plain, name):
        if member.kind == "whiteout":
            yield Entry(member.path, "whiteout")
        elif member.kind == "opaque":
            yield Entry(f"{member.path}/.wh..opq".lstrip("/"), "whiteout")  # tar_name makes it `.wh..wh..opq`
        else:
            yield _entry(member, str(plain), rule)


def _entry(member: Member, plain: str, rule: Change) -> Entry:
    info = member.info
    mode, uid, gid = rule.ids(info.mode & 0o7777, info.uid, info.gid)
    mtime = max(0, min(int(info.mtime), NEWEST))
    kind = cast(Any, member.kind)
    entry = Entry(member.path, kind, mode, uid, gid, NEWEST if kind == "dir" else mtime, target=member.target)
    if member.kind != "file":
        return entry
    capability = info.pax_headers.get(_CAPABILITY)
    xattrs = (("security.capability", capability.encode("utf-8", "surrogateescape")),) if capability else ()
    return replace(entry, content=Slice(plain, info.offset_data, info.size, None), xattrs=xattrs)


# The account -----------------------------------------------------------------------------------------------------


def account(holds: InheritedLock, layout: Layout) -> dict[str, Json] | None:
    """What must be said anew so that the layout's user is somebody and has a home; None where all is so already."""
    passwd, group = _with_user(holds.passwd, layout), _with_groups(holds.group, layout)
    wanted = (layout.home, layout.home_template, *(f"{layout.home}/{folder}" for folder in layout.folders))
    homes = [home for home in wanted if home and not _stands(holds, home)]
    if (passwd, group) == (holds.passwd, holds.group) and not homes:
        return None
    rules = {"": (0o755, 0, 0)} | {path: (mode, uid, gid) for path, mode, uid, gid in holds.folders}
    way = {"etc"} | {home.strip("/")[:end] for home in homes for end, one in enumerate(home.strip("/")) if one == "/"}
    return {
        "folders": {path: list(nearest(path, rules)) for path in sorted(way)},
        "passwd": list(passwd),
        "group": list(group),
        "homes": list(homes),
        "uid": layout.uid,
        "gid": layout.gid,
    }


def _stands(holds: InheritedLock, home: str) -> bool:
    """Whether the base surely has that folder: it is the home of one of its users, or listed."""
    homes = {row.split(":")[5] for row in holds.passwd}
    return home in homes or home.strip("/") in {path for path, *_ in holds.folders}


def _with_user(rows: tuple[str, ...], layout: Layout) -> tuple[str, ...]:
    """The lines with the layout's user: in place of the one of its name, and without another of its uid."""
    found, done = [], False
    for row in rows:
        name, password, uid, _, comment, _, shell = row.split(":")
        if name == layout.user:
            found.append(f"{name}:{password}:{layout.uid}:{layout.gid}:{comment}:{layout.home}:{shell}")
            done = True
        elif uid != str(layout.uid):
            found.append(row)
    if not done:
        found.append(f"{layout.user}:x:{layout.uid}:{layout.gid}::{layout.home}:/bin/sh")
    return tuple(found)


def _with_groups(rows: tuple[str, ...], layout: Layout) -> tuple[str, ...]:
    """The lines with the user's own group, where no line has its number, and the user in its further groups."""
    found = []
    for row in rows:
        name, password, gid, members = row.split(":")
        names = [one for one in members.split(",") if one]
        if int(gid) in layout.groups and layout.user not in names:
            names.append(layout.user)
        found.append(f"{name}:{password}:{gid}:{','.join(names)}")
    if str(layout.gid) not in {row.split(":")[2] for row in rows}:
        taken = layout.user in {row.split(":")[0] for row in rows}
        found.append(f"{f'group{layout.gid}' if taken else layout.user}:x:{layout.gid}:")
    return tuple(found)


def perform_account(options: Mapping[str, Any], workshop: Workshop) -> Result:
    """Lay the account files and the homes that the base has not."""
    entries = [Entry(path, "dir", *ids) for path, ids in options["folders"].items()]
    for name in ("passwd", "group"):
        text = "".join(f"{row}\n" for row in options[name])
        entries.append(Entry(f"etc/{name}", "file", 0o644, content=Bytes(text.encode())))
    for home in options["homes"]:
        entries.append(Entry(home.strip("/"), "dir", 0o2775, options["uid"], options["gid"]))
    return write_parts(workshop, [("account", with_parents(entries))], options["codec"])
