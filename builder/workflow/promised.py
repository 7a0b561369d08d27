"""What manifest and locks promise of one target: its ancestors' pins and its own, by where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from builder.checks import Environment, Promised
from builder.kinds.kernelspec.request import inherited as kernelspecs
from builder.kinds.pip.inherit import inherited, requested
from builder.kinds.pip.python import Home, home, locked
from builder.lock import Lock, Pin
from builder.manifest.env import CONDA
from builder.manifest.model import Manifest, Target
from builder.manifest.shape import request_name
from builder.workflow.project import Project


def promised(project: Project, target: Target) -> Promised:
    """What is to be in the image, and nothing besides.

    Raises:
        Problems: the locks are damaged, or do not fit each other.
    """
    manifest, locks = project.manifest, project.locks
    lineage = manifest.lineage(target)
    base = locks.read(lineage[0], "inherited") if manifest.image(lineage[0]).base else None
    conda: dict[str, dict[str, Pin]] = {}
    wanted: dict[str, set[str]] = {}
    for one in lineage:
        prefix = str(manifest.option(one, "conda-prefix") or CONDA)
        conda.setdefault(prefix, {}).update(_pins(locked(manifest, locks, one, "conda")))
        wanted.setdefault(prefix, set()).update(request_name(request) for request in manifest.ask(one, "conda"))
    asked = {prefix: _seen_by_pip(pins, wanted[prefix]) for prefix, pins in conda.items()}
    homes: dict[Home, list[Target]] = {}
    for one in lineage:
        if (where := home(manifest, one)) is not None:
            homes.setdefault(where, []).append(one)
    environments = [
        _environment(project, where, members, asked.get(where.prefix, {})) for where, members in homes.items()
    ]
    for prefix, pins in conda.items():
        if prefix not in {one.prefix for one in homes} and "python" in pins:  # Nothing is asked of pip there.
            found = _seen_by_pip(pins, set(pins))
            environments.append(Environment(prefix=prefix, pins=found, asked=tuple(sorted(asked[prefix]))))
    return Promised(
        target=target,
        environments=tuple(environments),
        conda={
            prefix: {name: f"{pin.version} {pin.field('build')}" for name, pin in pins.items()}
            for prefix, pins in conda.items()
            if pins
        },
        apt={name: pin.version for name, pin in _pins(locked(manifest, locks, target, "apt")).items()},
        held=frozenset((pin.field("prefix"), pin.name) for pin in (base.pins if base else ()) if pin.kind == "pip"),
        foreign=base is not None,
        cuda=_is_cuda(manifest, target),
        kernelspecs={one.name: manifest.published(one.kernel) for one in kernelspecs(manifest, target)},
    )


def _environment(project: Project, where: Home, members: list[Target], conda: Iterable[str]) -> Environment:
    """One environment.

    Args:
        members: the images of the lineage that have it, root first.
        conda: the Python packages that conda is asked for in its prefix.
    """
    manifest, locks, last = project.manifest, project.locks, members[-1]
    own = locks.read(last, "pip")
    pins = _pins((*inherited(manifest, locks, last), *(((last.image, own),) if own else ())))
    asked = {request_name(request) for one in members for request in requested(manifest, one)}
    return Environment(
        prefix=where.prefix,
        pins={name: pin.version for name, pin in pins.items()},
        wheels=frozenset(name for name, pin in pins.items() if pin.kind == "pip" and pin.filename),
        asked=tuple(sorted(asked.union(conda) & set(pins))),
    )


def _seen_by_pip(conda: Mapping[str, Pin], names: set[str]) -> dict[str, str]:
    """The Python packages, name → version, of those conda packages that have these names."""
    items = [
        value.partition("==")
        for pin in conda.values()
        if pin.name in names
        for key, value in pin.fields
        if key == "pypi"
    ]
    return {request_name(name): version for name, _, version in items}


def _pins(locks: Iterable[tuple[str, Lock]]) -> dict[str, Pin]:
    """By name; a later lock's pin replaces an earlier one's."""
    return {pin.name: pin for _, lock in locks for pin in lock.pins}


def _is_cuda(manifest: Manifest, target: Target) -> bool:
    """A variant that says `virtual = ["__cuda…"]`, or is called like CUDA."""
    variant = manifest.variants[target.variant]
    return variant.name.startswith("cuda") or any(one.startswith("__cuda") for one in variant.virtual)
