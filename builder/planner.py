"""Manifest + locks + overlays → the actions of every target. Pure: reads locks and overlays, fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import ModuleType

from builder import image
from builder.action import Action, Result, Workshop
from builder.errors import StackbuildError, raise_all
from builder.kinds import kinds, submodule
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.site import Planned, Site


def plan_targets(manifest: Manifest, locks: Locks, targets: Iterable[Target]) -> dict[Target, Planned]:
    """The planned actions of these targets and of their ancestors, parents first.

    Raises:
        Problems: locks are missing or damaged; all of them are reported.
    """
    planned: dict[Target, Planned] = {}
    problems: list[StackbuildError] = []
    for target in targets:
        try:
            _plan(manifest, locks, target, planned)
        except StackbuildError as error:
            if str(error) not in {str(one) for one in problems}:
                problems.append(error)
    raise_all(problems)
    return planned


def _plan(manifest: Manifest, locks: Locks, target: Target, planned: dict[Target, Planned]) -> Planned:
    if target in planned:
        return planned[target]
    parent = manifest.parent(target)
    ancestors: tuple[Planned, ...] = ()
    if parent is not None:
        _plan(manifest, locks, parent, planned)
        ancestors = lineage(manifest, parent, planned)
    site = Site(manifest=manifest, target=target, locks=locks, ancestors=ancestors)
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
    name, or rows that begin with a name and end with a version), and `space(action)`.
    """
    return submodule(name, "build") or kinds()[name]


def space(action: Action) -> int:
    """Bytes of disk that performing an action takes beside what it fetches, estimated from locks alone."""
    if action.kind not in kinds():
        return 0  # `pip.bytecode` and the like take little.
    module = room(action.kind)
    return int(module.space(action)) if hasattr(module, "space") else 0


def packages(action: Action) -> str:
    """The option of an action that says which packages it lays, "" for none."""
    return str(getattr(_maker(action), "PACKAGES", ""))


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Perform one action whose inputs exist."""
    found: Result = _maker(action).perform(action, results, workshop)
    return found


def _maker(action: Action) -> ModuleType:
    return image if action.kind == "image" else room(action.kind.partition(".")[0])
