"""A fetched file → entries, where the manifest wants them; what stands in the image is not looked at yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from builder.errors import HostileInput, StackbuildError
from builder.guarded import Readable
from builder.kinds.fetch.archive import members
from builder.kinds.fetch.member import LIMITS, Limits, Member, damaged
from builder.kinds.fetch.pattern import matches
from builder.kinds.fetch.request import Item
from builder.tree import Entry, File

_CHUNK = 1 << 20


def entries(item: Item, source: Path, scratch: Path | None, limits: Limits = LIMITS) -> list[Entry]:
    """The entries that one fetched file brings, without the folders above `item.to`.

    Links on the way are those of the archive. A hard link's `target` is the path of the entry that has the content.

    Args:
        source: the file, whose digest was checked.
        scratch: a folder for the archive's content, kept for as long as the entries are; without one, the entries
            have no content.

    Raises:
        HostileInput: the archive is not to be trusted.
        StackbuildError: nothing, or not what the manifest means, is left of it.
    """
    if item.format == "raw":
        whole = File(str(source), source.stat().st_size)
        mode = 0o644 if item.mode is None else item.mode
        return [Entry(item.to, "file", mode, item.uid, item.gid, content=whole, owner=item.name)]
    found: dict[str, Entry] = {}
    laid: dict[str, str] = {}
    hits: set[str] = set()
    for number, (member, content) in enumerate(members(source, item.format, item.name, limits)):
        path = _kept(item, member, hits)
        if path is None:
            continue
        entry = _entry(item, member, path, laid)
        if scratch is not None and content is not None:
            entry = replace(entry, content=_extracted(member, content, item.name, scratch / str(number)))
        if path in found and not entry.kind == found[path].kind == "dir":
            raise HostileInput(f"an archive has a path twice: {member.path}", where=item.name)
        found[path] = entry
        laid[member.path] = path
    return list(_judged(item, found, hits))


def _kept(item: Item, member: Member, hits: set[str]) -> str | None:
    """Where the member goes below `item.to`, or None where it is left out; what patterns match is added to `hits`."""
    path = "/".join(member.path.split("/")[item.strip :])
    if not path:
        return None
    matching = [pattern for pattern in item.include if matches(pattern, path)]
    hits.update(matching)
    if (item.include and not matching) or any(matches(pattern, path) for pattern in item.exclude):
        return None
    return path


def _entry(item: Item, member: Member, path: str, laid: dict[str, str]) -> Entry:
    made = Entry(path, member.kind, 0o755, item.uid, item.gid, member.mtime, owner=item.name)
    if member.kind == "dir":
        return made
    if member.kind == "link":
        return replace(made, mode=0o777, target=member.target)
    if member.kind == "hardlink":
        if member.target not in laid:
            raise StackbuildError(
                f"a hard link of {item.name} names what is left out, or comes later: {member.path} to {member.target}",
                expected="both names of the file",
                next_step="widen include, or exclude both",
            )
        return replace(made, target=laid[member.target])
    if member.special and item.mode is None:
        raise HostileInput(
            f"an archive's member has {member.special}: {member.path}",
            where=item.name,
            next_step='exclude it, or fetch it by itself (include) with a mode, such as mode = "4755"',
        )
    return replace(made, mode=item.mode if item.mode is not None else 0o755 if member.program else 0o644)


def _extracted(member: Member, content: Readable, where: str, into: Path) -> File:
    """The content of a member as a file of our own; its size is what the archive claims."""
    done = 0
    with into.open("wb") as stream:
        while chunk := content.read(_CHUNK):
            done += len(chunk)
            if done > member.size:
                break
            stream.write(chunk)
    if done != member.size:
        raise damaged(where, f"{member.path} has {member.size} bytes by its header, and not so many")
    return File(str(into), member.size)


def _judged(item: Item, found: dict[str, Entry], hits: set[str]) -> Iterator[Entry]:
    """The entries below `item.to`, once it is sure that they are what the manifest means."""
    for pattern in item.include:
        if pattern not in hits:
            raise StackbuildError(
                f"nothing in {item.name} is {pattern}",
                expected="a file or a folder of the archive, after strip",
                next_step="correct include",
            )
    if not any(entry.kind != "dir" for entry in found.values()):
        raise StackbuildError(
            f"nothing is left of {item.name}",
            got=f"strip = {item.strip}, which leaves no file" if item.strip and not found else "no file in it is taken",
            next_step="lower strip, or widen include",
        )
    into_folder = not item.to or item.to.endswith("/")  # It is "" for the root.
    for path, entry in found.items():
        parent = path
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            if parent in found and found[parent].kind != "dir":
                raise HostileInput(f"an archive's member lies below a {found[parent].kind}: {path}", where=item.name)
        if entry.kind == "link":
            _inside_root(f"{item.to}{path}" if into_folder else item.to, entry.target, item.name)
    if into_folder:
        yield from (_moved(entry, item.to) for entry in found.values())
        return
    files = [entry for entry in found.values() if entry.kind != "dir"]
    if len(files) != 1 or files[0].kind != "file":
        raise StackbuildError(
            f"one file is to be /{item.to}, and {item.name} has {len(files)}",
            next_step=f'take one of them (include), or lay them into a folder: to = "/{item.to}/"',
        )
    yield replace(files[0], path=item.to)


def _moved(entry: Entry, to: str) -> Entry:
    target = to + entry.target if entry.kind == "hardlink" else entry.target
    return replace(entry, path=to + entry.path, target=target)


def _inside_root(path: str, target: str, where: str) -> None:
    """Refuse a link that climbs above the root: it means something only where the archive was packed."""
    depth = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            raise HostileInput(f"a link leaves the root: /{path} -> {ascii(target)[1:-1]}", where=where)
