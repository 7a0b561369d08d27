"""Plan and perform: locked packages → layers, each a function of its own packages, the prefix and the Python.

Laying a package reads no root, so a new base lays none again. The cut into layers is known from the lock alone
(package sizes). Only post-link scripts, which a manifest must allow one by one, read the root that they run in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.difference import Layer as Expected
from builder.digest import Digest, Json
from builder.errors import StackbuildError
from builder.interpreter import Interpreter
from builder.kinds.apt import interpreter as apt
from builder.kinds.conda import bytecode, clash, interpreter, scripts
from builder.kinds.conda.link import Place
from builder.kinds.conda.part import Layer, Packed, write_packages
from builder.kinds.conda.places import channels_of
from builder.kinds.conda.record import of_pin
from builder.kinds.pip import python as pythons
from builder.lock import Pin
from builder.manifest.env import CONDA
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.site import Site
from builder.tree import NEWEST, partition

VERSION = 1
PACKAGES = "conda"
SANDBOXED = frozenset({"conda", "conda.scripts"})
FROM_LISTINGS = frozenset({"conda.clash"})
_SPACE = 5
"""Bytes of disk that laying takes at most for each byte of a package: unpacked, and in a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """What all layers of one target share.

    Attributes:
        place: for noarch python packages; for others only its prefix counts.
        native: the interpreter for the machine that builds; None where no package of the lock needs it, or where it
            lies in a base from a registry and has no files of its own.
        scripts: packages whose post-link scripts may run.
    """

    site: Site
    place: Place
    native: Interpreter | None
    scripts: frozenset[str]


def plan(site: Site) -> tuple[Action, ...]:
    """One action for each layer of packages, then one for their post-link scripts if any may run.

    Raises:
        StackbuildError: the lock is missing, or has noarch python packages and no Python.
    """
    asked = site.manifest.ask(site.target, "conda")
    lock = site.lock("conda") if asked else site.locks.read(site.target, "conda")
    if lock is None or not lock.pins:
        return ()
    prefix = str(site.manifest.option(site.target, "conda-prefix") or CONDA)
    place, native = Place(prefix=prefix), None
    if any(pin.field("noarch") == "python" for pin in lock.pins):
        python = _find(site, site.target, prefix, str(site.target))
        given = of_pin(_pins(site, site.target, "conda")["python"]).site_packages
        place = replace(place, python=python.short, site=given or f"lib/python{python.short}/site-packages")
        native = _native(site, python)
    layers = _Layers(
        site=site,
        place=place,
        native=native,
        scripts=frozenset(site.manifest.ask(site.target, "conda-scripts")),
    )
    pins = {pin.name: pin for pin in lock.pins}
    inherited = [action for action in site.below() if _lies_in(action, prefix)]
    actions: list[Action] = []
    for part in partition([(pin.name, pin.size) for pin in lock.pins]):
        own = [pins[name] for name in part.members]
        actions.append(_layer(layers, part.name, own, history=not inherited and not actions))
    run = scripts.plan(site, lock.pins, layers.scripts, prefix, (*site.below(), *actions))
    return (*actions, *clash.plan(site, (*inherited, *actions)), *run)


def _lies_in(action: Action, prefix: str) -> bool:
    """Whether an action lays conda's packages in that prefix."""
    return action.kind == "conda" and cast(Mapping[str, Any], action.options)["prefix"] == prefix


def _pins(site: Site, target: Target, kind: str) -> dict[str, Pin]:
    locked = pythons.locked(site.manifest, site.locks, target, kind)
    return {pin.name: pin for _, lock in locked for pin in lock.pins}


def _find(site: Site, target: Target, prefix: str, whose: str) -> Interpreter:
    return interpreter.find(_pins(site, target, "conda"), whose, prefix)


def _native(site: Site, python: Interpreter) -> Interpreter | None:
    """The same CPython for the machine that builds, with the C library of the apt pins, if they have one.

    Raises:
        StackbuildError: the manifest has no lock for this machine's platform, or another Python in it.
    """
    target = replace(site.target, platform=NATIVE)
    found = python
    if target != site.target:
        whose = f"{target.image} for {NATIVE}, on which {site.target} is built"
        found = _find(site, target, python.prefix, whose)
        if found.version != python.version:
            raise StackbuildError(
                f"two conda Pythons: {site.target} has {python.version}, {NATIVE} has {found.version}",
                next_step="stackbuild lock --upgrade-package python",
            )
    if not all(pin.filename for pin in found.pins):
        return None
    return replace(found, pins=(*found.pins, *apt.library(_pins(site, target, "apt"))))


def _layer(layers: _Layers, name: str, pins: list[Pin], *, history: bool) -> Action:
    site, place = layers.site, layers.place
    channels = channels_of(site.manifest, os.environ)
    options: dict[str, Json] = {
        "codec": site.codec,
        "conda": {pin.name: f"{pin.version}={pin.field('build')}" for pin in pins},
        "history": history,
        "mtime": NEWEST,
        "packages": [of_pin(pin).document(channels.public(pin.source)) for pin in pins],
        "part": name,
        "prefix": place.prefix,
        "scripts": sorted(layers.scripts.intersection(pin.name for pin in pins)),
    }
    sources, tools = {f"conda:{pin.name}": pin for pin in pins}, {}
    if any(pin.field("noarch") == "python" for pin in pins):
        options |= {"python": place.python, "site": place.site}
        if layers.native is not None:
            options |= {"bytecode": bytecode.VERSION, **pythons.described(layers.native)}
            sources |= pythons.compiler(layers.native)
            tools = pythons.tools(layers.native)
    name = f"conda {name} of {site.target}"
    return Action(kind="conda", version=VERSION, name=name, options=options, sources=sources, tools=tools)


def expected(action: Action) -> tuple[Expected, ...] | None:
    """None, which is one layer of its own pins, but for what only looks at other layers."""
    return () if action.kind == "conda.clash" else None


def space(action: Action) -> int:
    """Bytes of disk that performing it takes beside what it fetches."""
    return _SPACE * sum(pin.size for pin in action.sources.values())


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """One layer of packages, or what their post-link scripts change.

    Raises:
        HostileInput: a package is not what its pin or it itself says.
        StackbuildError: two packages bring one path, or a package has a script that may not run, or that failed.
    """
    if action.kind == "conda.scripts":
        return scripts.perform(action, results, workshop)
    if action.kind == "conda.clash":
        return clash.perform(action, results, workshop.store)
    options = cast(dict[str, Any], action.options)
    packages = tuple(Packed(record=record) for record in options["packages"])
    place = Place(prefix=options["prefix"], python=options.get("python", ""), site=options.get("site", ""))
    layer = Layer(
        name=f"conda/{options['part']}",
        codec=options["codec"],
        packages=packages,
        place=place,
        zips=_compiled(action, packages, place, workshop) if "bytecode" in options else {},
        scripts=frozenset(options["scripts"]),
        history=options["history"],
    )
    return {"layers": [workshop.heavy(write_packages, workshop.store, layer).result()]}


def _compiled(action: Action, packages: tuple[Packed, ...], place: Place, workshop: Workshop) -> dict[str, Digest]:
    """The bytecode of noarch python packages: of its interpreter the conda packages count, not the C library."""
    python = pythons.of(action)
    own = replace(python, pins=tuple(pin for pin in python.pins if pin.kind == "conda"))
    store, jobs, log = workshop.store, workshop.jobs, workshop.log
    return bytecode.compiled(
        store,
        [one for one in packages if one.record.get("noarch") == "python"],
        place,
        own.key,
        lambda: pythons.runnable(store, python, jobs, log),
        jobs,
        log,
    )
