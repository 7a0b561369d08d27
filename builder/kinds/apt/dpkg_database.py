"""Tell dpkg about packages that we unpacked. Runs inside the sandbox: standard library only.

What is written is what dpkg's own `--unpack` leaves behind, so that the image's dpkg carries on from there:
`info/<pkg>.list`, the control members, `Status: install ok unpacked`, and the triggers that packages declare
(`triggers/File`, `triggers/<name>`) or activate.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from builder.kinds.apt.deb import Deb
from builder.kinds.apt.stage import Row

DPKG = "/var/lib/dpkg"


class Laid(NamedTuple):
    """What was laid of a package: its paths as dpkg lists them, and its conffiles with their md5 or `newconffile`."""

    paths: list[str]
    sums: dict[str, str]


def paths(rows: Sequence[Row]) -> list[str]:
    """What a package brings, as dpkg lists it."""
    return ["/" + row[1] if row[1] else "/." for row in rows]


def write_info(deb: Deb, rows: Sequence[Row]) -> None:
    """Write the `info` files of a package: its list, and its control members."""
    base = f"{DPKG}/info/{deb.key}"
    if "md5sums" not in deb.members:  # dpkg makes up for a package that brings none; `dpkg --audit` asks for it.
        conffiles = set(deb.conffiles())
        files = [row for row in rows if row[0] == "file" and "/" + row[1] not in conffiles]
        text = "".join(f"{row[3]}  {row[1]}\n" for row in files)
        _write(base + ".md5sums", text.encode("utf-8", "surrogateescape"), 0o644)
    _write(base + ".list", ("\n".join(paths(rows)) + "\n").encode("utf-8", "surrogateescape"), 0o644)
    for name, (mode, data) in deb.members.items():
        _write(f"{base}.{name}", data, mode)


def register(debs: Sequence[Deb], laid: Mapping[str, Laid]) -> None:
    """Tell dpkg about unpacked packages: status paragraphs and triggers, in the order given."""
    paragraphs = []
    for deb in debs:
        first, _, rest = deb.control.strip().partition("\n")
        lines = [first, "Status: install ok unpacked", rest] if rest else [first, "Status: install ok unpacked"]
        if sums := laid[deb.key].sums:
            lines.append("Conffiles:\n" + "\n".join(f" {path} {digest}" for path, digest in sums.items()))
        paragraphs.append("\n".join(lines) + "\n\n")
    with open(f"{DPKG}/status", "a", encoding="utf-8") as stream:
        stream.write("".join(paragraphs))
    _register_triggers(debs)
    _activate_triggers(debs, laid)


def _register_triggers(debs: Sequence[Deb]) -> None:
    wanted: dict[str, list[str]] = {}
    for deb in debs:
        for directive, trigger in deb.triggers():
            if directive.startswith("interest"):
                waits = "/noawait" if directive == "interest-noawait" else ""
                wanted.setdefault(trigger, []).append(deb.key + waits)
    by_path = [f"{trigger} {name}\n" for trigger, names in wanted.items() if trigger.startswith("/") for name in names]
    if by_path:
        with open(f"{DPKG}/triggers/File", "a") as stream:
            stream.write("".join(by_path))
    for trigger, names in wanted.items():
        if not trigger.startswith("/"):
            with open(f"{DPKG}/triggers/{trigger}", "a") as stream:
                stream.write("".join(f"{name}\n" for name in names))


def _activate_triggers(debs: Sequence[Deb], laid: Mapping[str, Laid]) -> None:
    """Note what unpacking activates, for packages that are configured already: dpkg takes it up by itself."""
    active: set[str] = set()
    try:
        with open(f"{DPKG}/triggers/File") as stream:
            watched = {line.split()[0] for line in stream if line.strip()}
    except FileNotFoundError:
        watched = set()
    for deb in debs:
        active.update(trigger for directive, trigger in deb.triggers() if directive.startswith("activate"))
        for path in laid[deb.key].paths:
            while len(path) > 1:
                if path in watched:
                    active.add(path)
                path = path.rpartition("/")[0]
    if active:
        with open(f"{DPKG}/triggers/Unincorp", "a") as stream:
            stream.write("".join(f"{trigger} -\n" for trigger in sorted(active)))


def _write(path: str, data: bytes, mode: int) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
    os.chmod(path, stat.S_IMODE(mode))
