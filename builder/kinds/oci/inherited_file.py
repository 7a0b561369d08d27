"""The text of what a base image holds, `locks/<image>/<stem>.inherited.toml`.

Its pins are ancestors' pins to apt, pip and conda. They have no file: `digest` is that of nothing and `size` 0, because
what they stand for lies in the base's layers already.

    [python."/opt/conda"]        a Python: its version with the patch level, and where the program lies
    [pip."/opt/conda"]           what pip would find installed there
    [[conda]]                    a record of conda-meta
    [[apt]]                      a package of dpkg's status, in the archive's own fields
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.oci import toml
from builder.lock import Lock, Pin

NOTHING = Digest.of(b"")
"""The digest of a pin that has no file."""

_COMMENT = """\
# What the base image holds: children neither move nor repeat it.
# Written by `stackbuild lock`, never by hand.
"""
_ORDER = ("python", "pip", "conda", "apt")


@dataclass(frozen=True, slots=True, kw_only=True)
class InheritedLock(Lock):
    """What stands in a base image.

    Attributes:
        pins: of the kinds `python` (named by its prefix), `pip`, `conda` and `apt`, in this order, each sorted by
            prefix and name. Pins of one name may stand in several prefixes.
        base: the manifest that was read.
        system: `debian 12 bookworm`: id, version and code name of os-release(5); "" where it has none.
        glibc: `2.36`, "" for an image without one.
        passwd: lines of /etc/passwd, without passwords; `group` the same.
        folders: path, mode, uid and gid of those that differ from the nearest one above them that is listed; the root
            folder is 0755 0:0.
        links: path and text of those that lead to folders.
    """

    base: Digest
    system: str = ""
    glibc: str = ""
    passwd: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    folders: tuple[tuple[str, int, int, int], ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def of(self, kind: str, prefix: str = "") -> tuple[Pin, ...]:
        """The pins of a kind, of one prefix only unless that is ""."""
        return tuple(pin for pin in self.pins if pin.kind == kind and prefix in {"", pin.field("prefix")})


def pin(kind: str, name: str, version: str, fields: tuple[tuple[str, str], ...]) -> Pin:
    """A pin without a file."""
    return Pin(kind=kind, name=name, version=version, filename="", digest=NOTHING, size=0, fields=fields)


def has_file(one: Pin) -> bool:
    """Whether a pin can be fetched; what lies in a base's layers cannot."""
    return one.digest != NOTHING


def dumps(lock: InheritedLock) -> str:
    """The text of a lock."""
    lines = [
        f"{_COMMENT}format = {toml.FORMAT}",
        f"base = {toml.text(lock.base)}",
        f"system = {toml.text(lock.system)}",
        f"glibc = {toml.text(lock.glibc)}",
        *toml.rows("passwd", lock.passwd),
        *toml.rows("group", lock.group),
        *toml.rows("folders", [f"{mode:04o} {uid}:{gid} {path}" for path, mode, uid, gid in lock.folders]),
        *toml.rows("links", [list(one) for one in lock.links]),
    ]
    for one in lock.of("python"):
        lines += ["", f"[python.{toml.text(one.name)}]", f"version = {toml.text(one.version)}"]
        lines += [f"executable = {toml.text(one.field('executable'))}"]
    for prefix in sorted({one.field("prefix") for one in lock.of("pip")}):
        lines += ["", f"[pip.{toml.text(prefix)}]"]
        lines += [f"{toml.key(one.name)} = {toml.text(one.version)}" for one in lock.of("pip", prefix)]
    for kind in ("conda", "apt"):
        for one in lock.of(kind):
            lines += ["", f"[[{kind}]]", f"name = {toml.text(one.name)}", f"version = {toml.text(one.version)}"]
            for name in dict.fromkeys(name for name, _ in one.fields):
                values = [value for key, value in one.fields if key == name]
                lines += (
                    toml.rows(name, values)
                    if name in LISTS
                    else [f"{toml.key(name)} = {toml.text(value)}" for value in values]
                )
    return "\n".join(lines) + "\n"


LISTS = frozenset({"depends", "constrains"})
"""Fields that a pin may have several times."""


def loads(text: str, path: Path | str) -> InheritedLock:
    """The lock that a text says.

    Raises:
        StackbuildError: the text is not what `dumps` writes.
    """
    found = toml.read(text, path)
    try:
        lock = _lock(found)
        if dumps(lock) != text:
            raise ValueError("not the text that `stackbuild lock` writes; edited by hand?")
    except (HostileInput, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise toml.damaged(path, f"{type(error).__name__}: {error}") from None
    return lock


def _lock(found: Mapping[str, Any]) -> InheritedLock:
    pins = [
        pin("python", prefix, row["version"], (("prefix", prefix), ("executable", row["executable"])))
        for prefix, row in found.get("python", {}).items()
    ]
    for prefix, packages in found.get("pip", {}).items():
        pins += [pin("pip", name, version, (("prefix", prefix),)) for name, version in packages.items()]
    for kind in ("conda", "apt"):
        pins += [pin(kind, row["name"], row["version"], _fields(row)) for row in found.get(kind, ())]
    return InheritedLock(
        request=(),
        pins=tuple(pins),
        base=Digest.parse(found["base"]),
        system=found["system"],
        glibc=found["glibc"],
        passwd=tuple(found.get("passwd", ())),
        group=tuple(found.get("group", ())),
        folders=tuple(_folder(row) for row in found.get("folders", ())),
        links=tuple((path, target) for path, target in found.get("links", ())),
    )


def _fields(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    fields: list[tuple[str, str]] = []
    for name, value in row.items():
        if name not in {"name", "version"}:
            fields += [(name, one) for one in value] if name in LISTS else [(name, value)]
    return tuple(fields)


def _folder(row: str) -> tuple[str, int, int, int]:
    mode, ids, path = row.split(" ", 2)
    uid, _, gid = ids.partition(":")
    return path, int(mode, 8), int(uid), int(gid)


def sorted_pins(pins: list[Pin]) -> tuple[Pin, ...]:
    """The pins in a lock's order."""
    return tuple(sorted(pins, key=lambda one: (_ORDER.index(one.kind), one.field("prefix"), one.name)))
