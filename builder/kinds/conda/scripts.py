"""Post-link scripts: what a package does in the root once it is installed, in the sandbox, as a layer of its own.

    bin/.<name>-post-link.sh    with PREFIX, PKG_NAME, PKG_VERSION and PKG_BUILDNUM, as conda runs it

Only packages that the manifest names have theirs run; `part.py` refuses all others. A script reads the composed root,
so this step reads every layer below. Scripts run one after another, those of dependencies first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from builder import failed, unpacked
from builder.action import Action, Result, Workshop
from builder.digest import Json
from builder.errors import StackbuildError
from builder.kinds.conda import request
from builder.kinds.conda.record import fields
from builder.lock import Pin
from builder.parts import write_parts
from builder.sandbox import ENVIRONMENT, Command, Root, run
from builder.scan import scan
from builder.site import Site
from builder.tree import NEWEST, Entry

VERSION = 1
_MOUNTED = frozenset({"dev", "proc", "run", "sys", "tmp"})
_RUN = """\
script="$PREFIX/bin/.$PKG_NAME-post-link.sh"
[ -e "$script" ] || exit 0
shell=$(command -v bash) || shell=/bin/sh
"$shell" "$script"
code=$?
if [ -e "$PREFIX/.messages.txt" ]; then cat "$PREFIX/.messages.txt"; rm "$PREFIX/.messages.txt"; fi
exit $code
"""


def plan(
    site: Site, pins: Sequence[Pin], allowed: frozenset[str], prefix: str, below: Iterable[Action]
) -> tuple[Action, ...]:
    """The scripts of the packages among `pins` that the manifest allows; nothing where it allows none of them.

    Args:
        below: every action whose layers the scripts see, lowest first.
    """
    ordered = [pin for pin in _ordered(pins) if pin.name in allowed]
    if not ordered:
        return ()
    options: Json = {
        "codec": site.codec,
        "mtime": NEWEST,
        "prefix": prefix,
        "packages": [[pin.name, pin.version, _number(pin)] for pin in ordered],
    }
    layers = [action.readable for action in below if action.layers]
    return (
        Action(
            kind="conda.scripts",
            version=VERSION,
            name=f"conda scripts of {site.target}",
            options=options,
            platform=site.target.platform,
            needs={f"below-{number:03}": action for number, action in enumerate(layers)},
        ),
    )


def _ordered(pins: Sequence[Pin]) -> list[Pin]:
    """Dependencies before what needs them, else by name; a circle is entered at its first name."""
    by_name = {pin.name: pin for pin in pins}
    found: dict[str, Pin] = {}
    for start in sorted(by_name):
        stack = [(start, False)]
        entered: set[str] = set()
        while stack:
            name, ready = stack.pop()
            if ready:
                found.setdefault(name, by_name[name])
            elif name in by_name and name not in found and name not in entered:
                entered.add(name)
                needed = {request.name(text) for text in fields(by_name[name], "depends")}
                stack.append((name, True))
                stack += [(one, False) for one in sorted(needed, reverse=True)]
    return list(found.values())


def _number(pin: Pin) -> str:
    """The build number, with which a build string ends."""
    found = re.search(r"(?:^|_)(\d+)$", pin.field("build"))
    return found[1] if found else "0"


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Run the scripts; what they changed is a layer, if anything.

    Raises:
        StackbuildError: a script failed; its output is in the workshop's log.
    """
    options = cast(dict[str, Any], action.options)
    store = workshop.store
    below = [layer for role in sorted(results) for layer in results[role]["layers"]]
    lowers = tuple(reversed(unpacked.layers(store, below)))
    with store.workspace() as workspace:
        upper = workspace / "upper"
        upper.mkdir()
        for number, (name, version, build_number) in enumerate(options["packages"]):
            mount = workspace / f"mount-{number}"
            mount.mkdir()
            root = Root(workspace=mount, lowers=lowers, upper=upper)
            code = run(root, _command(options["prefix"], name, version, build_number), log=workshop.log)
            if code:
                failed.keep(store, workshop.log.stem, upper, lowers)
                raise StackbuildError(
                    f"step failed: post-link script of {name} in {action.name} (exit {code})",
                    where=f"log: {workshop.log}",
                    got="\n".join(workshop.log.read_text(errors="replace").splitlines()[-4:]),
                    next_step=f"stackbuild shell --at {workshop.log.stem}",
                )
        entries = _entries(upper, options["prefix"])
        return write_parts(workshop, [("conda/scripts", entries)] if entries else [], options["codec"])


def _command(prefix: str, name: str, version: str, build_number: str) -> Command:
    return Command(
        argv=("/bin/sh", "-c", _RUN),
        env={
            **ENVIRONMENT,
            "PATH": f"{prefix}/bin:{ENVIRONMENT['PATH']}",
            "PREFIX": prefix,
            "CONDA_PREFIX": prefix,
            "PKG_NAME": name,
            "PKG_VERSION": version,
            "PKG_BUILDNUM": build_number,
            "PYTHONDONTWRITEBYTECODE": "1",  # What is compiled by the way depends on what was imported before.
        },
    )


def _entries(upper: Path, prefix: str) -> list[Entry]:
    """What was changed, owned as everything in the prefix is; the rest keeps the owners and modes that it got."""
    inside = f"{prefix.strip('/')}/"
    found = [
        replace(entry, mode=_shared(entry.mode), uid=0, gid=0)
        if f"{entry.path}/".startswith(inside) and entry.kind in {"dir", "file"}
        else entry
        for entry in scan(str(upper), {}, _MOUNTED)
    ]
    return sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))


def _shared(mode: int) -> int:
    """The mode with the user's rights for the group too."""
    return (mode & ~0o070) | (mode & 0o700) >> 3
