"""Plan and perform: locked wheels → layers, each a function of its own wheels, the prefix and the Python version.

Unpacking a wheel reads no root, so a new base lays no wheel again. The cut into layers is known from the lock
alone (wheel sizes), so a plan names the layers that a bump writes before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.digest import Digest, Json
from builder.interpreter import Interpreter
from builder.kinds.oci import standing
from builder.kinds.oci.standing import Standing
from builder.kinds.pip import bytecode, environment, override, preferred, source_build
from builder.kinds.pip import python as pythons
from builder.kinds.pip.inherit import KIND, inherited, requested
from builder.kinds.pip.part import write_wheels
from builder.kinds.pip.preferred import Preferred
from builder.kinds.pip.scheme import Environment
from builder.lock import Pin
from builder.manifest.shape import request_name
from builder.site import Site
from builder.tree import NEWEST, partition

VERSION = 2
PACKAGES = "wheels"
SANDBOXED = frozenset({"pip", "pip.sdist"})
FROM_LISTINGS = frozenset({"pip.override"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """What all layers of one target share.

    Attributes:
        native: the interpreter for the machine that builds.
        built: name → the action that builds its wheel, for sdists.
        preferred: whose file it is where two packages bring one.
        foreign: what stands in the foreign image below, if there is one.
    """

    site: Site
    place: Environment
    native: Interpreter
    built: Mapping[str, Action]
    preferred: tuple[Preferred, ...]
    foreign: Standing | None


def plan(site: Site) -> tuple[Action, ...]:
    """The environment's skeleton where the image declares it, then one action for each layer of wheels.

    What the image overrides of its ancestors is hidden below these layers. conda's prefix needs no skeleton.
    """
    home = pythons.home(site.manifest, site.target)
    if home is None:
        return ()
    python = pythons.find(site.manifest, site.locks, site.target)
    place = home.environment(python.short)
    actions = []
    if "python" in site.image.asks and place.virtual:
        actions.append(environment.plan(site, place, python))
    asked = requested(site.manifest, site.target)
    lock = site.lock(KIND) if asked else site.locks.read(site.target, KIND)
    if lock is None or not lock.pins:
        return tuple(actions)
    native = pythons.native(site.manifest, site.locks, site.target)
    build = site.locks.read(site.target, "pip-build")
    pins = {pin.name: pin for pin in lock.pins}
    known = pins.keys() | {pin.name for _, one in inherited(site.manifest, site.locks, site.target) for pin in one.pins}
    if home.kind == "conda":  # By their own names too: these are what their files are told to belong to.
        known |= {request_name(name) for name in site.pins("conda")}
    layers = _Layers(
        site=site,
        place=place,
        native=native,
        built={
            name: source_build.plan(site, pin, build, pythons.builder(site.manifest, site.locks, site.target))
            for name, pin in pins.items()
            if source_build.is_sdist(pin)
        },
        preferred=preferred.plan(site.manifest, site.target, place, known),
        foreign=standing.of(site),
    )
    if hidden := override.plan(site):
        actions.append(hidden)
    for part in partition([(pin.name, pin.size) for pin in lock.pins]):
        actions.append(_layer(layers, part.name, [pins[name] for name in part.members]))
    return tuple(actions)


def _layer(layers: _Layers, name: str, pins: list[Pin]) -> Action:
    place, native, built = layers.place, layers.native, layers.built
    options: dict[str, Json] = {
        "codec": layers.site.codec,
        "installer": source_build.library("installer"),
        "interpreter": native.key if native.portable else "",
        **pythons.described(native),
        "mtime": NEWEST,
        "bytecode": bytecode.VERSION,
        "prefix": place.prefix,
        "python": place.python,
        "wheels": [[pin.name, pin.filename, pin.version] for pin in pins],
    }
    if layers.foreign is not None:
        options["standing"] = layers.foreign.around(place.prefix, inside=native.kind == "oci")
    if concerned := preferred.concerned(layers.preferred, [pin.name for pin in pins]):
        options["prefer"] = [list(one) for one in concerned]
    return Action(
        kind="pip",
        version=VERSION,
        name=f"pip {name} of {layers.site.target}",
        options={**options, "part": name},
        needs={f"wheel:{pin.name}": built[pin.name] for pin in pins if pin.name in built},
        sources={
            **{f"wheel:{pin.name}": pin for pin in pins if pin.name not in built},
            **pythons.compiler(native),
        },
        tools=pythons.tools(native),
    )


def space(action: Action) -> int:
    """Bytes of disk that performing it takes beside what it fetches: its layer, and bytecode on the way there."""
    return 2 * sum(pin.size for role, pin in action.sources.items() if role.startswith("wheel:"))


def effort(action: Action) -> float:
    """Seconds that performing it takes two cores, bytecode included: measured with the catalogue."""
    if action.kind == "pip.sdist":
        return 5
    return 0.3 + 0.055 * sum(pin.size for role, pin in action.sources.items() if role.startswith("wheel:")) / 1e6


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """One layer of wheels, or what the other steps of this kind make.

    Raises:
        HostileInput: a wheel is not what its pin, its directory or its RECORD claims.
    """
    if action.kind == "pip.environment":
        return environment.perform(action, workshop)
    if action.kind == "pip.override":
        return override.perform(action, results, workshop)
    if action.kind == "pip.sdist":
        return source_build.perform(action, workshop)
    options = cast(dict[str, Any], action.options)
    native = pythons.of(action)
    place = Environment(prefix=options["prefix"], python=options["python"], virtual=native.kind == "apt")
    wheels = []
    for name, filename, _ in options["wheels"]:
        role = f"wheel:{name}"
        if role in results:
            wheels.append(bytecode.Source(Digest(results[role]["wheel"]), name, results[role]["filename"]))
        else:
            wheels.append(bytecode.Source(action.sources[role].digest, name, filename))
    for wheel in wheels:
        workshop.store.checked(workshop.store.source(wheel.digest))
    zips: Mapping[str, Digest] = {}
    if native.portable:
        python = pythons.runnable(workshop.store, native, workshop.jobs, workshop.log)
        zips = bytecode.compiled(
            workshop.store, wheels, place, Digest(options["interpreter"]), python, workshop.jobs, workshop.log
        )
    settled = tuple(Preferred(*one) for one in options.get("prefer", ()))
    name = f"pip/{options['part']}"
    folders, codec = options.get("standing", {}), options["codec"]
    layer = workshop.heavy(write_wheels, workshop.store, name, wheels, place, zips, settled, folders, codec).result()
    return {"layers": [layer]}
