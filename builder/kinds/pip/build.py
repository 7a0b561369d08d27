"""Plan and perform: locked wheels → layers, each a function of its own wheels, the prefix and the Python version.

Unpacking a wheel reads no root, so a new base lays no wheel again. The cut into layers is known from the lock
alone (wheel sizes), so a plan names the layers that a bump writes before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.digest import Digest, Json
from builder.errors import StackbuildError
from builder.kinds.apt import build as apt
from builder.kinds.apt import interpreter
from builder.kinds.pip import bytecode, environment, source_build
from builder.kinds.pip.part import write_wheels
from builder.kinds.pip.wheel import Environment
from builder.layer import codec
from builder.lock import Pin
from builder.platforms import NATIVE
from builder.site import Site
from builder.tree import NEWEST, partition

VERSION = 2


def plan(site: Site) -> tuple[Action, ...]:
    """The environment's skeleton where the image declares it, then one action for each layer of wheels."""
    asked = site.manifest.option(site.target, "python")
    if not isinstance(asked, Mapping):
        return ()
    python = interpreter.find(site.pins("apt"), str(site.target))
    place = Environment(prefix=str(asked["prefix"]), python=python.short)
    actions = []
    if "python" in site.image.asks:
        actions.append(environment.plan(site, place, python))
    lock = site.locks.read(site.target, "pip") if not site.manifest.ask(site.target, "pip") else site.lock("pip")
    if lock is None or not lock.pins:
        return tuple(actions)
    native = _native(site, python)
    build = site.locks.read(site.target, "pip-build")
    built = {pin.name: source_build.plan(site, pin, build, native) for pin in lock.pins if source_build.is_sdist(pin)}
    pins = {pin.name: pin for pin in lock.pins}
    for part in partition([(pin.name, pin.size) for pin in lock.pins]):
        actions.append(_layer(site, part.name, [pins[name] for name in part.members], place, native, built))
    return tuple(actions)


def _native(site: Site, python: interpreter.Interpreter) -> interpreter.Interpreter:
    """The same CPython for the machine that builds: bytecode and pure wheels do not depend on the platform.

    Raises:
        StackbuildError: the manifest has no lock for this machine's platform, or another Python in it.
    """
    if site.target.platform == NATIVE:
        return python
    pins: dict[str, Pin] = {}
    for one in site.manifest.lineage(replace(site.target, platform=NATIVE)):
        lock = site.locks.read(one, "apt")
        pins.update({pin.name: pin for pin in lock.pins} if lock else {})
    native = interpreter.find(pins, f"{site.target.image} for {NATIVE}, on which {site.target} is built")
    if native.version != python.version:
        raise StackbuildError(
            f"two Pythons: {site.target} has {python.version}, {NATIVE} has {native.version}",
            next_step="stackbuild lock --upgrade-package python3",
        )
    return native


def _layer(
    site: Site,
    name: str,
    pins: list[Pin],
    place: Environment,
    native: interpreter.Interpreter,
    built: Mapping[str, Action],
) -> Action:
    options: dict[str, Json] = {
        "codec": codec(),
        "installer": source_build.library("installer"),
        "interpreter": native.key,
        "interpreter_pins": [pin.name for pin in native.pins],
        "mtime": NEWEST,
        "bytecode": bytecode.VERSION,
        "prefix": place.prefix,
        "python": place.python,
        "wheels": [[pin.name, pin.filename, pin.version] for pin in pins],
    }
    return Action(
        kind="pip",
        version=VERSION,
        name=f"pip {name} of {site.target}",
        options={**options, "part": name},
        needs={f"wheel:{pin.name}": built[pin.name] for pin in pins if pin.name in built},
        sources={
            **{f"wheel:{pin.name}": pin for pin in pins if pin.name not in built},
            **{f"python:{pin.name}": pin for pin in native.pins},
        },
    )


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """One layer of wheels, or what the other steps of this kind make.

    Raises:
        HostileInput: a wheel is not what its pin, its directory or its RECORD claims.
    """
    if action.kind == "pip.environment":
        return environment.perform(action, workshop)
    if action.kind == "pip.sdist":
        return source_build.perform(action, workshop)
    options = cast(dict[str, Any], action.options)
    place = Environment(prefix=options["prefix"], python=options["python"])
    wheels = []
    for name, filename, _ in options["wheels"]:
        role = f"wheel:{name}"
        if role in results:
            wheels.append(bytecode.Source(Digest(results[role]["wheel"]), name, results[role]["filename"]))
        else:
            wheels.append(bytecode.Source(action.sources[role].digest, name, filename))
    for wheel in wheels:
        workshop.store.checked(workshop.store.source(wheel.digest))
    native = interpreter.Interpreter(
        version=options["python"], pins=tuple(action.sources[f"python:{name}"] for name in options["interpreter_pins"])
    )
    architecture = NATIVE.partition("/")[2]
    root = apt.interpreter_root(workshop.store, native, architecture, workshop.jobs, workshop.log)
    zips = bytecode.compiled(
        workshop.store, wheels, place, Digest(options["interpreter"]), root, workshop.jobs, workshop.log
    )
    layer = workshop.heavy(write_wheels, workshop.store, f"pip/{options['part']}", wheels, place, zips).result()
    return {"layers": [layer]}
