"""Why a target has a package, and what its packages require: from the locks alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.chains import Branch, Reason, chains, nearest, tree
from builder.difference import Asked
from builder.errors import StackbuildError
from builder.kinds import submodule
from builder.lock import Lock
from builder.locks import formats
from builder.manifest.model import Target
from builder.manifest.shape import request_name
from builder.workflow.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What the locks of a lineage hold of one kind.

    Attributes:
        locks: by image, root first.
        edges: name → the names that it requires.
        asked: name → image and item of the request about it.
    """

    name: str
    locks: Mapping[Target, Lock]
    edges: Mapping[str, frozenset[str]]
    asked: Mapping[str, tuple[Target, str]]


def why(project: Project, targets: Sequence[Target], name: str) -> dict[Target, tuple[Reason, ...]]:
    """Why the targets have a package of that name, of whatever kinds; without those that have none.

    Raises:
        StackbuildError: no target has such a package.
    """
    found = {target: tuple(_reasons(project, target, name)) for target in targets}
    found = {target: reasons for target, reasons in found.items() if reasons}
    if not found:
        raise StackbuildError(
            f"no package of that name in these locks: {name}",
            got=f"looked in {len(targets)} targets",
            next_step="stackbuild tree TARGET shows what there is",
        )
    return found


def shortest(project: Project, target: Target, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """By kind and name, the shortest way to what asks for a package: `idna ← requests ← stacks.toml:41: …`.

    Nothing of a package that no request of the manifest leads to.
    """
    found: dict[tuple[str, str], str] = {}
    for one in _kinds(project, target):
        ways = nearest(one.edges, one.asked)
        for kind, name in names:
            if kind == one.name and name in ways:
                found[kind, name] = " ← ".join((*ways[name], _where(project, one, ways[name][-1])))
    return found


def asked(project: Project, target: Target) -> dict[tuple[str, str], Asked]:
    """By kind and name, why a target has each package of its locks and of its ancestors', likewise."""
    found: dict[tuple[str, str], Asked] = {}
    for one in _kinds(project, target):
        for name, (_, *way) in nearest(one.edges, one.asked).items():
            found[one.name, name] = _asked(project, one, name, tuple(reversed(way)))
    return found


def _asked(project: Project, kind: _Kind, name: str, via: tuple[str, ...]) -> Asked:
    first = via[0] if via else name
    image, item = kind.asked[first]
    if item == "essential":
        return Asked(by="every root", where="", via=via)
    manifest = project.manifest
    return Asked(by=manifest.asker(image, kind.name, first), where=manifest.where(image, kind.name, first), via=via)


def requirements(
    project: Project, target: Target, *, inherited: bool, depth: int
) -> dict[str, list[tuple[Branch, str]]]:
    """By kind, what is asked for and what that requires: each branch with the package's version.

    Args:
        inherited: what ancestors ask for too.
        depth: how far below what is asked for.
    """
    found: dict[str, list[tuple[Branch, str]]] = {}
    for one in _kinds(project, target):
        versions = {pin.name: pin.version for lock in one.locks.values() for pin in lock.pins}
        roots = [name for name, (image, _) in one.asked.items() if inherited or image == target]
        if roots:
            branches = tree(one.edges, roots, depth)
            found[one.name] = [(branch, versions.get(branch.name, "")) for branch in branches]
    return found


def _reasons(project: Project, target: Target, name: str) -> Iterator[Reason]:
    wanted = {name, request_name(name)}
    for one in _kinds(project, target):
        for image, lock in one.locks.items():
            for pin in lock.pins:
                if pin.name in wanted:
                    found = chains(one.edges, one.asked, pin.name)
                    yield Reason(
                        kind=one.name,
                        name=pin.name,
                        version=pin.version,
                        image=image.image,
                        chains=found,
                        asked=tuple(_where(project, one, chain[-1]) for chain in found),
                    )


def _where(project: Project, kind: _Kind, name: str) -> str:
    """`stacks.toml:41: numpy==2.4.6`; for what every root has, that alone."""
    image, item = kind.asked[name]
    if item == "essential":
        return f"essential in {image.image}"
    return f"{project.manifest.where(image, kind.name, name)}: {item}"


def _kinds(project: Project, target: Target) -> Iterator[_Kind]:
    lineage = project.manifest.lineage(target)
    for lock_kind, (_, kind) in formats().items():
        module = submodule(kind, "requires")
        locks = {one: lock for one in lineage if (lock := project.locks.read(one, lock_kind)) is not None}
        if not locks or lock_kind != kind:
            continue
        asked: dict[str, tuple[Target, str]] = {}
        for one, lock in locks.items():
            items = module.asked(lock) if module else {request_name(pin.name): pin.name for pin in lock.pins}
            names = {pin.name for every in locks.values() for pin in every.pins}
            for name, item in items.items():
                if name in names:
                    asked.setdefault(name, (one, item))
        edges = module.requires(list(locks.values())) if module else {}
        yield _Kind(name=kind, locks=locks, edges=edges, asked=asked)
