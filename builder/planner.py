"""Manifest + locks + overlays → the actions of every target. Pure: reads locks and overlays, fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import ModuleType

from builder import image
from builder.action import Action, Result, Workshop
from builder.difference import Layer
from builder.errors import StackbuildError, raise_all
from builder.kinds import kinds, submodule
from builder.locks import Locks
from builder.manifest import edges
from builder.manifest.model import Manifest, Target
from builder.site import Planned, Site


def plan_targets(manifest: Manifest, locks: Locks, targets: Iterable[Target]) -> dict[Target, Planned]:
    """The planned actions of these targets, of their ancestors and of what they name; what is needed comes first.

    Raises:
        Problems: locks are missing or damaged; all of them are reported.
    """
    planned: dict[Target, Planned] = {}
    problems: list[StackbuildError] = []
    for target in targets:
        try:
            plan_target(manifest, locks, target, planned)
        except StackbuildError as error:
            if str(error) not in {str(one) for one in problems}:
                problems.append(error)
    raise_all(problems)
    return planned


def plan_target(manifest: Manifest, locks: Locks, target: Target, planned: dict[Target, Planned]) -> Planned:
    """The planned actions of one target; whatever it needs is looked up in `planned`, and is there afterwards.

    Raises:
        StackbuildError: locks are missing or damaged.
    """
    if target in planned:
        return planned[target]
    parent = manifest.parent(target)
    ancestors: tuple[Planned, ...] = ()
    if parent is not None:
        plan_target(manifest, locks, parent, planned)
        ancestors = lineage(manifest, parent, planned)
    named = {one: plan_target(manifest, locks, one, planned) for one in edges.named(manifest, target)}
    site = Site(manifest=manifest, target=target, locks=locks, ancestors=ancestors, named=named)
    for name in kinds():
        module = room(name)
        if hasattr(module, "plan"):
            site = replace(site, own=(*site.own, *module.plan(site)))
    end = image.plan(manifest, target, site.layers(), _defaults(site))
    found = Planned(target=target, actions=site.own, image=end)
    planned[target] = found
    return found


def _defaults(site: Site) -> image.Defaults | None:
    """What the config of a foreign image says that the family begins with."""
    rooms = (room(name) for name in kinds())
    found = (module.defaults(site) for module in rooms if hasattr(module, "defaults"))
    return next((one for one in found if one is not None), None)


def lineage(manifest: Manifest, target: Target, planned: Mapping[Target, Planned]) -> tuple[Planned, ...]:
    """The planned target and its ancestors, root first."""
    found = [planned[target]]
    while (parent := manifest.parent(found[-1].target)) is not None:
        found.append(planned[parent])
    return tuple(reversed(found))


def room(name: str) -> ModuleType:
    """The module that plans and performs a kind: `build.py` in its folder, or the kind's own file.

    It may also have `PACKAGES`, the option of its actions that says which packages they lay (a table of versions by
    name, or rows that begin with a name and end with a version), `space(action)`, `effort(action)`,
    `expected(action)`, and the kinds of its actions that are `SANDBOXED` (`sandboxed`) or look at layers
    `FROM_LISTINGS` alone (`reads_listings`).
    """
    return submodule(name, "build") or kinds()[name]


def space(action: Action) -> int:
    """Bytes of disk that performing an action takes beside what it fetches, estimated from locks alone."""
    if action.kind not in kinds():
        return 0  # `pip.bytecode` and the like take little.
    module = room(action.kind)
    return int(module.space(action)) if hasattr(module, "space") else 0


def effort(action: Action) -> float:
    """Seconds of two cores that performing an action takes once its sources are there, estimated from locks alone."""
    if action.kind == "image":
        return 0.1
    module = room(action.kind.partition(".")[0])
    if hasattr(module, "effort"):
        return float(module.effort(action))
    return 0.2 + 0.06 * sum(pin.size for pin in action.sources.values()) / 1e6


def expected(action: Action) -> tuple[Layer, ...]:
    """The layers that an action will leave, as far as locks tell: sizes are those of the files that they are made from.

    Two actions that are expected to leave the same layer name it by the same digest. What a kind does not say itself
    is one layer of its own pins, and of the project's files; None as its size where it is made of neither.
    """
    module = _maker(action)
    said = module.expected(action) if hasattr(module, "expected") else None
    if said is not None:
        return tuple(said)
    kind = action.kind.partition(".")[0]
    read = [action, *(need for need in action.needs.values() if not need.layers)]
    sizes = [pin.size for one in read for pin in one.sources.values() if pin.kind == kind]
    sizes += [path.stat().st_size for path in action.local.values()]
    name = action.name.rpartition(" of ")[0] or action.name
    if name.startswith(f"{kind} "):  # As the kinds that part their packages call their layers.
        name = name.replace(" ", "/", 1)
    return (Layer(name=name, digest=action.plan_key, size=sum(sizes) if sizes else None),)


def sandboxed(action: Action) -> bool:
    """Whether performing an action runs programs in the sandbox, of its own platform where it names one."""
    return action.kind in getattr(_maker(action), "SANDBOXED", ())


def reads_listings(action: Action) -> bool:
    """Whether an action reads no more of layers than what they are said to hold; else their bytes must be there."""
    return action.kind in getattr(_maker(action), "FROM_LISTINGS", ())


def packages(action: Action) -> str:
    """The option of an action that says which packages it lays, "" for none."""
    return str(getattr(_maker(action), "PACKAGES", ""))


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Perform one action whose inputs exist."""
    found: Result = _maker(action).perform(action, results, workshop)
    return found


def _maker(action: Action) -> ModuleType:
    return image if action.kind == "image" else room(action.kind.partition(".")[0])
