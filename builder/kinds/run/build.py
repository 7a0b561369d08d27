"""Plan and perform: a script on the composed root → what it changed, as a layer.

    all layers below ─┐
    script, env ──────┴─▶ sandbox, no network ─▶ upper folder ─▶ scan ─▶ layer

Nobody can tell what a script reads, so it reads everything: its key has the result of every action below. Nor can
anybody tell whether it does the same twice, so its result is marked `impure` until `verify` has seen it (`impure.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from builder import failed, limits, unpacked
from builder.action import Action, Result, Workshop
from builder.digest import Digest, Json
from builder.errors import HostileInput, StackbuildError
from builder.manifest.env import image_env
from builder.own import own
from builder.parts import write_parts
from builder.sandbox import ENVIRONMENT, Command, Root, run
from builder.scan import scan
from builder.site import Site
from builder.tree import NEWEST, Entry

VERSION = 1
KIND = "run"
SANDBOXED = frozenset({KIND})
_MOUNTED = frozenset({"dev", "proc", "run", "sys", "tmp"})
"""Every container mounts its own there: what a script leaves in them is not kept."""
_PLACE = "run/stackbuild/script"


def plan(site: Site) -> tuple[Action, ...]:
    """An action for each script of the image, in the manifest's order; each reads all layers below and before it.

    Raises:
        StackbuildError: a script is missing, or asks for what is not there yet.
    """
    found: list[Action] = []
    for table in site.manifest.tables(site.target, KIND):
        below = [action.readable for action in (*site.layers(), *found) if action.layers]
        found.append(_action(site, table, below))
    return tuple(found)


def _action(site: Site, table: Mapping[str, Json], below: list[Action]) -> Action:
    name, script = str(table["name"]), str(table["script"])
    where = site.manifest.where(site.target, KIND, name)
    if table.get("network"):
        raise StackbuildError(
            f"not yet: a script with network: {name}",
            where=where,
            expected="network = false, or no such key",
            next_step="fetch what it needs (fetch, apt, pip), and let it use the files",
        )
    path = _script(site.manifest.folder, script, where)
    data = limits.read(path, limits.SCRIPT, "script")
    digest = Digest.of(data)
    ids: list[int] = [0, 0]
    home = "/root"
    if table.get("user") == "user":
        ids = [site.layout.uid, site.layout.gid, *site.layout.groups]
        home = site.layout.home
    own = cast(Mapping[str, str], table.get("env", {}))
    options: Json = {
        "codec": site.codec,
        "env": {**ENVIRONMENT, **image_env(site.manifest, site.target), "HOME": home, **own},
        "ids": ids,
        "interpreted": data.startswith(b"#!"),
        "newest": NEWEST,
        "script": digest,
        "step": name,
    }
    return Action(
        kind=KIND,
        version=VERSION,
        name=f"{KIND} {name} of {site.target}",
        options=options,
        platform=site.target.platform,
        needs={f"below-{n:03}": action for n, action in enumerate(below)},
        local={digest: path},
    )


def _script(folder: Path, script: str, where: str) -> Path:
    """Where the script lies.

    Raises:
        StackbuildError: there is no such file, or a link stands on its way.
    """
    path = own(folder, script, "a script", where)
    if not path.is_file():
        raise StackbuildError(f"script is missing: {script}", where=where, next_step=f"write {path}")
    return path


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Run the script in the sandbox, and write what it changed as a layer; none where it changed nothing.

    Raises:
        StackbuildError: the script failed, or changed while it was planned; its output is in the workshop's log.
        HostileInput: it left a device, socket or pipe.
    """
    options = cast(dict[str, Any], action.options)
    store, log = workshop.store, workshop.log
    lowers = unpacked.layers(store, [layer for result in results.values() for layer in result["layers"]])
    with store.workspace() as workspace:
        upper, mount, script = workspace / "upper", workspace / "mount", workspace / "script"
        upper.mkdir()
        mount.mkdir()
        script.write_bytes(_read(action.local[options["script"]], options["script"]))
        script.chmod(0o755)
        uid, gid, *groups = options["ids"]
        command = Command(
            argv=(f"/{_PLACE}",) if options["interpreted"] else ("/bin/sh", f"/{_PLACE}"),
            env=options["env"],
            uid=uid,
            gid=gid,
            groups=tuple(groups),
            binds=((str(script), _PLACE, True),),
        )
        root = Root(workspace=mount, lowers=tuple(reversed(lowers)), upper=upper)
        code = run(root, command, log=log)
        if code:
            failed.keep(store, log.stem, upper, root.lowers)
            raise StackbuildError(
                f"step failed: {action.name} (exit {code})",
                where=f"log: {log}",
                got="\n".join(log.read_text(errors="replace").splitlines()[-4:]),
                next_step=f"stackbuild shell --at {log.stem}",
            )
        entries = _changes(upper, action.name)
        parts = [(f"{KIND}/{options['step']}", entries)] if entries else []
        return {**write_parts(workshop, parts, options["codec"]), "impure": True}


def _read(path: Path, digest: str) -> bytes:
    data = limits.read(path, limits.SCRIPT, "script")
    if Digest.of(data) != digest:
        raise StackbuildError(f"a script changed while it was built: {path}", next_step="run the same command again")
    return data


def _changes(upper: Path, where: str) -> list[Entry]:
    try:
        found = list(scan(str(upper), {}, _MOUNTED))
    except HostileInput as error:
        raise HostileInput(error.what, where=where, next_step="let the script remove it") from None
    return sorted(found, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))
