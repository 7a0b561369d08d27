"""A conda package → what it says of itself, held against what is in it.

info/index.json    name, version, build, depends, …                      (CEP 34)
info/paths.json    each file: kind, sha256, size, the placeholder in it
info/link.json     of noarch python: the entry points
info/files, info/has_prefix, info/no_link    the same in packages from before 2017, which have no paths.json
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from builder.errors import HostileInput
from builder.kinds.conda.archive import Stored, content, judged, malformed, members, unpack
from builder.tree import safe

_LARGEST = 64 << 20
"""Bytes of a file below info/ that we read."""
_KINDS = {"hardlink": "file", "softlink": "link", "directory": "dir"}
_OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""What a line of has_prefix means that names a path only (conda-build)."""
_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """One path that a package installs.

    Attributes:
        member: as it lies in the package.
        digest: sha256 that paths.json claims, None where it is silent; of a link, that of what it leads to.
        size: bytes that paths.json claims, likewise.
        placeholder: the prefix that it was built with, "" where it has none in it.
        mode: how that is to be replaced.
        no_link: whether it must be a copy of its own.
    """

    member: Stored
    digest: bytes | None = None
    size: int | None = None
    placeholder: str = ""
    mode: Literal["text", "binary"] = "text"
    no_link: bool = False

    @property
    def path(self) -> str:
        return self.member.path


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """`command = module:function`."""

    command: str
    module: str
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package whose paths are known to be those of its tar.

    Attributes:
        index: info/index.json.
        files: sorted by path.
        noarch: `python`, `generic`, or "".
    """

    filename: str
    index: Mapping[str, Any]
    files: tuple[PackageFile, ...]
    noarch: str
    entry_points: tuple[EntryPoint, ...]


def read(path: Path, filename: str, folder: Path) -> Package:
    """Read a package; its tars lie decompressed in `folder`, which was empty, as long as the result is used.

    Args:
        path: the package, its digest already checked; `filename` its own name.

    Raises:
        HostileInput: it is malformed, or says of itself what is not so.
    """
    found = members(unpack(path, filename, folder), filename)
    with judged(filename):
        index = _object(found, "info/index.json", filename)
        noarch = index.get("noarch") or ""
        link = _object(found, "info/link.json", filename) if "info/link.json" in found else {}
        return Package(
            filename=filename,
            index=index,
            files=_files(found, filename),
            noarch="generic" if noarch is True else str(noarch),
            entry_points=tuple(_entry_point(str(one), filename) for one in _of(link, "noarch").get("entry_points", ())),
        )


def _of(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key) or {}
    return value if isinstance(value, Mapping) else {}


def _object(found: Mapping[str, Stored], path: str, filename: str) -> Mapping[str, Any]:
    document = json.loads(_info(found, path, filename))
    if not isinstance(document, dict):
        raise malformed(filename, f"{path} is no table")
    return document


def _info(found: Mapping[str, Stored], path: str, filename: str) -> str:
    member = found.get(path)
    if member is None or member.kind != "file" or member.size > _LARGEST:
        raise malformed(filename, f"no {path}, or one of more than {_LARGEST} bytes")
    return content(member).decode("utf-8")


def _files(found: Mapping[str, Stored], filename: str) -> tuple[PackageFile, ...]:
    """What the package lists, if that is what its tar has, no more and no less."""
    told = _told(found, filename) if "info/paths.json" in found else _told_in_lists(found, filename)
    extra = [path for path, one in found.items() if one.kind != "dir" and path not in told and path[:5] != "info/"]
    if extra:
        raise _lie(filename, f"it has {len(extra)} files that it does not list", sorted(extra)[0])
    return tuple(one for _, one in sorted(told.items(), key=lambda item: item[0].encode()))


def _told(found: Mapping[str, Stored], filename: str) -> dict[str, PackageFile]:
    told: dict[str, PackageFile] = {}
    for row in _object(found, "info/paths.json", filename)["paths"]:
        path = safe(str(row["_path"]), filename)
        member = found.get(path)
        if path in told:
            raise HostileInput(f"a path stands twice in paths.json: {path}", where=filename)
        if member is None or path.startswith("info/"):
            raise _lie(filename, "it lists what is not there", path)
        kind = _KINDS.get(str(row.get("path_type", "hardlink")))
        if kind != member.kind:
            raise _lie(filename, f"a {member.kind} is to be a {row.get('path_type')}", path)
        size, digest = row.get("size_in_bytes"), row.get("sha256")
        if size is not None and (type(size) is not int or (kind == "file" and size != member.size)):
            raise _lie(filename, f"{member.size} bytes are to be {size}", path)
        if digest is not None and not re.fullmatch("[0-9a-f]{64}", str(digest)):
            raise _lie(filename, "no sha256 where there is to be one", path)
        told[path] = PackageFile(
            member=member,
            digest=bytes.fromhex(digest) if digest is not None else None,
            size=size,
            placeholder=_placeholder(str(row.get("prefix_placeholder") or ""), filename),
            mode=_mode(str(row.get("file_mode") or "text"), filename),
            no_link=bool(row.get("no_link")),
        )
    return told


def _told_in_lists(found: Mapping[str, Stored], filename: str) -> dict[str, PackageFile]:
    """The lists of old packages: paths; `placeholder mode path` or only a path; paths."""
    prefixes: dict[str, tuple[str, Literal["text", "binary"]]] = {}
    for line in _lines(found, "info/has_prefix", filename):
        words = shlex.split(line)
        placeholder, mode, path = words if len(words) == 3 else (_OLD_PLACEHOLDER, "text", line)
        prefixes[safe(path, filename)] = (_placeholder(placeholder, filename), _mode(mode, filename))
    alone = {*_lines(found, "info/no_link", filename), *_lines(found, "info/no_softlink", filename)}
    told: dict[str, PackageFile] = {}
    for line in _lines(found, "info/files", filename, needed=True):
        path = safe(line, filename)
        if path in told:
            raise HostileInput(f"a path stands twice in info/files: {path}", where=filename)
        if path not in found or path.startswith("info/"):
            raise _lie(filename, "it lists what is not there", path)
        placeholder, replaced = prefixes.get(path, ("", "text"))
        told[path] = PackageFile(member=found[path], placeholder=placeholder, mode=replaced, no_link=path in alone)
    return told


def _lines(found: Mapping[str, Stored], path: str, filename: str, *, needed: bool = False) -> list[str]:
    if path not in found and not needed:
        return []
    return [line for line in _info(found, path, filename).splitlines() if line.strip()]


def _placeholder(text: str, filename: str) -> str:
    if text and (not text.startswith("/") or text.strip("/") == "" or "\0" in text):
        raise malformed(filename, f"no placeholder of a prefix: {text[:80]!r}")
    return text


def _mode(text: str, filename: str) -> Literal["text", "binary"]:
    if text == "text":
        return "text"
    if text == "binary":
        return "binary"
    raise malformed(filename, f"no way to replace a prefix: {text[:80]!r}")


def _entry_point(text: str, filename: str) -> EntryPoint:
    """One line of link.json; its words become a file's name and Python."""
    command, _, target = (part.strip() for part in text.partition("="))
    module, _, function = (part.strip() for part in target.partition(":"))
    if not (_COMMAND.fullmatch(command) and _DOTTED.fullmatch(module) and _DOTTED.fullmatch(function)):
        raise HostileInput(
            f"an entry point is none: {text[:200]!r}", where=filename, expected="command = module:function"
        )
    return EntryPoint(command=command, module=module, function=function)


def _lie(filename: str, got: str, path: str) -> HostileInput:
    return HostileInput(
        f"a conda package is not what it says: {filename}",
        where=path,
        got=got,
        next_step="report it to the package's authors, and pin another version",
    )
