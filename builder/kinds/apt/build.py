"""Plan and perform: locked packages → a configured root → layers.

One action an image: package scripts read the composed root, so packages cannot be laid one by one. What it reads of
the ancestors is their apt layers alone, as no package script looks into a virtual environment or an overlay; a pip
bump in a parent configures nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from builder import ahead, failed, scratch, unpacked
from builder.action import Action, Result, Workshop
from builder.closure import closure
from builder.difference import Layer
from builder.digest import Digest, Json, canonical
from builder.errors import HostileInput, StackbuildError
from builder.kinds.account.build import passwd
from builder.kinds.apt import normalise
from builder.kinds.apt.hidden import spelled_out
from builder.kinds.apt.inside import inside
from builder.kinds.apt.relation import names
from builder.lock import Pin
from builder.parts import write_parts
from builder.sandbox import Command, Root, run
from builder.scan import scan
from builder.site import Site
from builder.tree import NEWEST, Entry, File, partition

VERSION = 5
_OF_CHILDREN = 6
"""Before it, what dpkg itself had unpacked in a child's folders could hide files of the same image."""
_MOUNTED = frozenset({"dev", "proc", "run", "sys", "tmp"})
_INFO = "var/lib/dpkg/info"
_LIST = 64 << 20
PACKAGES = "versions"
SANDBOXED = frozenset({"apt"})
_REPACKED = 1.7
"""Bytes of a layer for each byte of its packages, which are compressed with xz: measured with the catalogue."""
_SCRATCH = 3
"""What a root takes at most, as a multiple of its packages' installed size: unpacked, in layers, for mounting."""


def plan(site: Site) -> tuple[Action, ...]:
    """The image's own packages, or nothing where it asks for none."""
    if not site.manifest.ask(site.target, "apt") and not site.image.archive:
        return ()
    lock = site.lock("apt")
    if not lock.pins:
        return ()
    below = [
        action
        for action in site.below()
        if action.kind.startswith("oci") or (action.kind in {"apt", "account"} and action not in site.own)
    ]
    options: Json = {
        "account": passwd(site.layout) if site.image.archive else None,
        "architecture": site.architecture,
        "codec": site.codec,
        "debconf": _answers(site),
        "essential": sorted(_essential(lock.pins)) if site.image.archive else [],
        "fresh": bool(site.image.archive),
        "newest": NEWEST,
        "normalise": normalise.VERSION,
        "versions": {pin.name: pin.version for pin in lock.pins},
        # A child's packages may await a dear trigger, such as TeX's, which each wave would have dpkg process once more.
        "waves": bool(site.image.archive),
        "parts": [[part.name, list(part.members)] for part in partition(_sizes(lock.pins))],
    }
    return (
        Action(
            kind="apt",
            version=VERSION if site.image.archive else _OF_CHILDREN,
            name=f"apt of {site.target}",
            options=options,
            platform=site.target.platform,
            needs={f"below-{n}": action for n, action in enumerate(below)},
            sources={pin.name: pin for pin in lock.pins},
        ),
    )


def space(action: Action) -> int:
    """Bytes of disk that performing it takes beside what it fetches."""
    return _SCRATCH * sum(size for _, size in _sizes(tuple(action.sources.values())))


def effort(action: Action) -> float:
    """Seconds that performing it takes two cores: measured with the catalogue."""
    return 1 + 0.1 * sum(pin.size for pin in action.sources.values()) / 1e6


def expected(action: Action) -> Iterator[Layer]:
    """The layers it will leave, of the packages in each; what nobody owns is known when it is there."""
    options = cast(dict[str, Any], action.options)
    for name, members in options["parts"]:
        pins = [action.sources[member] for member in members]
        made_of = Digest.of(canonical([action.version, [[pin.name, pin.digest] for pin in pins]]))
        yield Layer(name=f"apt/{name}", digest=made_of, size=int(sum(pin.size for pin in pins) * _REPACKED))
    yield Layer(name="apt/rest", digest=action.plan_key, size=None)


def _sizes(pins: Sequence[Pin]) -> list[tuple[str, int]]:
    """Installed sizes in bytes, as the archive estimates them (Debian Policy 5.6.20: KiB)."""
    return [(pin.name, int(pin.field("Installed-Size", "0") or 0) * 1024) for pin in pins]


def _answers(site: Site) -> Json:
    """What the image and its sets answer, sorted."""
    asking = site.manifest.asking(site.target)
    return sorted({str(text) for _, asked in asking for text in cast(Sequence[str], asked.get("debconf", ()))})


def _essential(pins: Sequence[Pin]) -> set[str]:
    """Essential packages and all they need: what must lie there before dpkg can run."""
    by_name = {pin.name: pin for pin in pins}
    for pin in pins:  # `awk`, which is essential, is what mawk provides.
        for name in names(pin.field("Provides")):
            by_name.setdefault(name, pin)

    def needs(name: str) -> set[str]:
        pin = by_name[name]
        return {by_name[one].name for one in names(pin.field("Pre-Depends"), pin.field("Depends")) if one in by_name}

    return {one for pin in pins if pin.field("Essential") == "yes" for one in closure(pin.name, needs)}


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Install in the sandbox, then write what changed as layers.

    Raises:
        StackbuildError: a package script failed; its output is in the workshop's log.
        HostileInput: a package in the store has changed, or its scripts left what no image may hold.
    """
    options = cast(dict[str, Any], action.options)
    store = workshop.store
    lowers = unpacked.layers(store, [layer for result in results.values() for layer in result["layers"]])
    with store.workspace(sum(size for _, size in _sizes(tuple(action.sources.values())))) as workspace:
        upper, mount, deflated = workspace / "upper", workspace / "mount", workspace / "deflated"
        upper.mkdir()
        mount.mkdir()
        root = Root(workspace=mount, lowers=() if options["fresh"] else tuple(reversed(lowers)), upper=upper)
        with ahead.deflating(workshop, upper, deflated, _MOUNTED, options["codec"]) as begin:
            debs = inside(store, tuple(action.sources.values()), workspace, workshop.jobs)
            binds = (*debs.binds, *(((str(begin), "run/stackbuild/unpacked", False),) if begin else ()))
            order = json.dumps(_order(options, debs.paths, workshop.jobs))
            command = Command(argv=(order,), program="builder.kinds.apt.install", binds=binds)
            code = run(root, command, log=workshop.log)
        if code:
            said = workshop.log.read_text(errors="replace")
            kept = failed.keep(store, workshop.log.stem, upper, root.lowers)
            raise StackbuildError(
                f"step failed: {action.name} (exit {code})",
                where=f"log: {workshop.log}",
                got="\n".join(said.splitlines()[-4:]),
                next_step=scratch.full(workspace, said)
                or (f"stackbuild shell --at {workshop.log.stem}" if kept else ""),
            )
        return write_parts(workshop, _parts(options["parts"], upper, lowers), options["codec"], deflated)


def _order(options: Mapping[str, Any], paths: Mapping[str, str], jobs: int) -> Json:
    first = set(options["essential"])
    taken = ("fresh", "architecture", "account", "debconf", "newest", "waves")
    return {
        "essential": [path for name, path in paths.items() if name in first],
        "debs": [path for name, path in paths.items() if name not in first],
        "jobs": jobs,
        **{name: options[name] for name in taken},
    }


def _parts(parts: Sequence[Any], upper: Path, lowers: Sequence[Path]) -> list[tuple[str, list[Entry]]]:
    """Entries by layer: packages as planned, then a last layer with what no package of ours owns."""
    layer_of = {member: name for name, members in parts for member in members}
    owned = _owned(list(scan(str(upper), {}, _MOUNTED)), upper, set(layer_of))
    entries = list(spelled_out(owned, lowers))
    folders = {entry.path: entry for entry in entries if entry.kind == "dir"}
    by_layer: dict[str, dict[str, Entry]] = {name: {} for name in [*(name for name, _ in parts), "rest"]}
    home: dict[str, str] = {}
    originals = {entry.path: entry for entry in entries if entry.kind == "file"}
    for entry in sorted(entries, key=lambda one: (one.kind == "hardlink", one.path)):
        layer = layer_of.get(entry.owner, "rest")
        if entry.kind == "hardlink" and home[entry.target] != layer:
            first = originals[entry.target]
            entry = Entry(
                entry.path, "file", first.mode, first.uid, first.gid, first.mtime, first.content, "", entry.owner
            )
        home[entry.path] = layer
        by_layer[layer][entry.path] = entry
    found = []
    for name, own in by_layer.items():
        for path in list(own):
            while "/" in path:
                path = path.rpartition("/")[0]
                if path in own:
                    break
                own[path] = folders[path]
        if own:
            found.append(
                (f"apt/{name}", sorted(own.values(), key=lambda one: one.path.encode("utf-8", "surrogateescape")))
            )
    return found


def _owned(entries: Sequence[Entry], upper: Path, packages: set[str]) -> Iterator[Entry]:
    """The entries with their packages, from dpkg's own lists, the first package by name; links on the way are resolved.

    Package scripts may have changed these lists, so they are read where `scan` has found them to be files.
    """
    owners: dict[str, str] = {}
    links = {
        name: (upper / name).readlink().as_posix()
        for name in ("bin", "sbin", "lib", "lib64")
        if (upper / name).is_symlink()
    }
    if not links:  # A child's upper folder has them in a layer below.
        links = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
    infos = {entry.path: entry for entry in entries if entry.path.rpartition("/")[0] == _INFO}
    infos = {path: entry for path, entry in infos.items() if _package(path) in packages}
    for path in sorted(path for path in infos if path.endswith(".list")):
        content = infos[path].content
        if not isinstance(content, File):
            continue
        if content.size > _LIST:
            raise HostileInput(f"a list of files is too long: /{path}", expected=f"at most {_LIST} bytes")
        for line in Path(content.path).read_text("utf-8", "surrogateescape").splitlines():
            place = line.strip("/")
            top, slash, rest = place.partition("/")
            if slash and top in links:
                place = f"{links[top]}/{rest}"
            if place != ".":
                owners.setdefault(place, _package(path))
    owners.update({path: _package(path) for path in infos})
    for entry in entries:
        owner = owners.get(entry.path, "") if entry.kind != "whiteout" else ""
        yield replace(entry, owner=owner) if owner else entry


def _package(info: str) -> str:
    """Whose a file of dpkg's info folder is."""
    return info.rpartition("/")[2].rpartition(".")[0].split(":")[0]
