"""Plan and perform: locked packages → layers.

Laying a tarball reads no root, so a new base lays no package again, and the cut into layers is known from the lock
alone. A package whose install scripts run is a layer of its own: it reads the image's Debian packages, the ones of
`npm-build` above them, and what it can require; nothing else of the lock compiles it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from builder import unpacked
from builder.action import Action, Result, Workshop
from builder.digest import Json
from builder.kinds.npm import lay, node, scripts, toolchain
from builder.kinds.npm.lay import Laying
from builder.kinds.npm.lockfile import NpmLock
from builder.kinds.npm.package import Package, reach
from builder.kinds.npm.part import write_packages
from builder.kinds.npm.request import parse
from builder.lock import Pin
from builder.site import Site
from builder.tree import NEWEST, partition

VERSION, SCRIPTS = 1, 2
PACKAGES = "npm"
SANDBOXED = frozenset({"npm.scripts"})
_SPACE = 5
"""Bytes of disk that laying takes at most for each byte of a package: unpacked, and in a layer."""
_ROOT = ("account", "apt", "oci")
"""Kinds whose layers install scripts see."""


def plan(site: Site) -> tuple[Action, ...]:
    """One action for each layer of packages, then one for each package whose install scripts run."""
    if not site.manifest.ask(site.target, "npm"):
        return ()
    lock = cast(NpmLock, site.lock("npm"))
    allowed = set(site.manifest.ask(site.target, "npm-scripts"))
    running = [one for one in lock.every if one.scripted and one.name in allowed and not one.bundled]
    plain = {one.title: one for one in lock.every if one not in running and not one.bundled}
    asked = frozenset(one.name for one in parse(lock.request))
    prefix = prefix_of(site.manifest.option(site.target, "node"))
    actions = []
    for part in partition([(title, one.size) for title, one in plain.items()]):
        packages = [plain[title] for title in part.members]
        actions.append(_layer(site, part.name, _layings(lock, packages, asked), prefix))
    for within, every in lock.trees.items():
        actions += _scripted(site, lock, [one for one in running if one.within == within], every)
    return tuple(actions)


def _layings(lock: NpmLock, packages: Sequence[Package], asked: frozenset[str]) -> list[Laying]:
    """Each of the packages with those of its tree that lie in its tarball."""
    return [
        laying
        for within, every in lock.trees.items()
        for laying in lay.layings([one for one in packages if one.within == within], every, asked)
    ]


def prefix_of(option: Json) -> str:
    """The prefix that the manifest's `node` says."""
    assert isinstance(option, Mapping)
    return str(option["prefix"])


def _layer(site: Site, name: str, layings: Sequence[Laying], prefix: str) -> Action:
    options: Json = {
        "codec": site.codec,
        "mtime": NEWEST,
        "npm": _versions(layings),
        "packages": [lay.document(one) for one in layings],
        "part": name,
        "prefix": prefix,
    }
    sources = {f"package:{one.package.title}": one.package.pin for one in layings}
    return Action(kind="npm", version=VERSION, name=f"npm {name} of {site.target}", options=options, sources=sources)


def _versions(layings: Sequence[Laying]) -> Json:
    """Title → version, by which `explain` says what moved."""
    return {one.package.title: one.package.version for one in layings}


def _scripted(site: Site, lock: NpmLock, running: Sequence[Package], every: Mapping[str, Package]) -> list[Action]:
    """The actions that run scripts, each after those of what it can require; of a circle, the first by location.

    Args:
        running: packages of one tree.
        every: what there is in that tree, by location.
    """
    found: dict[str, Action] = {}
    names = {one.location for one in running}
    begun: set[str] = set()

    def visit(package: Package) -> None:
        begun.add(package.location)
        within = reach(every, package)
        for one in within:
            if one.location in names and one.location not in begun:
                visit(one)
        ready = {one.location: found[one.location] for one in within if one.location in found}
        beside = [one for one in within if one.location not in ready and one is not package]
        layings = lay.layings([package, *beside], every, frozenset(one.name for one in parse(lock.request)))
        found[package.location] = _script(site, layings[0], layings[1:], ready)

    for package in running:
        if package.location not in begun:
            visit(package)
    return [found[location] for location in sorted(found)]


def _script(site: Site, own: Laying, others: Sequence[Laying], ready: Mapping[str, Action]) -> Action:
    build = site.locks.read(site.target, "npm-build")
    below = [action for action in site.below() if action.kind.partition(".")[0] in _ROOT and action.layers]
    options: Json = {
        "architecture": site.architecture,
        "beside": [lay.document(one) for one in others],
        "build": [pin.name for pin in build.pins] if build else [],
        "codec": site.codec,
        "mtime": NEWEST,
        "npm": _versions((own, *others)),
        "node": node.version(site.pins("apt"), str(site.target)),
        "package": lay.document(own),
        "prefix": prefix_of(site.manifest.option(site.target, "node")),
        "toolchain": toolchain.VERSION,
    }
    sources: dict[str, Pin] = {f"package:{one.package.title}": one.package.pin for one in (own, *others)}
    sources |= {f"build:{pin.name}": pin for pin in (build.pins if build else ())}
    needs = {f"below-{n:03}": action for n, action in enumerate(below)}
    needs |= {f"ready:{location}": action for location, action in ready.items()}
    return Action(
        kind="npm.scripts",
        version=SCRIPTS,
        name=f"npm scripts of {own.package.title} in {site.target}",
        options=options,
        platform=site.target.platform,
        needs=needs,
        sources=sources,
    )


def effort(action: Action) -> float:
    """Seconds that performing it takes two cores: measured with code-server. A script compiles with what it reads."""
    if action.kind == "npm.scripts":
        return 5
    return 0.2 + 0.1 * sum(pin.size for pin in action.sources.values()) / 1e6


def space(action: Action) -> int:
    """Bytes of disk that performing it takes beside what it fetches."""
    return _SPACE * sum(pin.size for pin in action.sources.values())


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Lay packages, or run the scripts of one.

    Raises:
        HostileInput: a tarball is not what its pin or its package.json says.
        StackbuildError: an install script failed; its output is in the workshop's log.
    """
    options = cast(dict[str, Any], action.options)
    if action.kind == "npm.scripts":
        return {"layers": [_run(action, options, results, workshop)]}
    layings = [_laying(action, one) for one in options["packages"]]
    name, prefix, codec = f"npm/{options['part']}", options["prefix"], options["codec"]
    return {"layers": [workshop.heavy(write_packages, workshop.store, name, layings, prefix, codec).result()]}


def _laying(action: Action, document: Mapping[str, Any]) -> Laying:
    return lay.of_document(document, action.sources[f"package:{lay.title(document)}"].digest)


def _run(action: Action, options: Mapping[str, Any], results: Mapping[str, Result], workshop: Workshop) -> Any:
    build = [action.sources[f"build:{name}"] for name in options["build"]]
    below = {role: result for role, result in sorted(results.items()) if role.startswith("below-")}
    ready = [layer for role in sorted(results) if role.startswith("ready:") for layer in results[role]["layers"]]
    root = toolchain.lowers(below, build, options["architecture"], workshop)
    laying = _laying(action, options["package"])
    order = scripts.Order(
        laying=laying,
        beside=tuple(_laying(action, one) for one in options["beside"]),
        lowers=(*unpacked.layers(workshop.store, ready), *root),
        prefix=options["prefix"],
        codec=options["codec"],
        node=options["node"],
        platform=action.platform,
    )
    return scripts.build(order, workshop, f"npm/{laying.package.title}")
