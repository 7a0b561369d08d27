"""Move pins of the manifest, and relock what that moves: all of it or nothing.

    stacks.toml ── pins.places ──► places of the names ── at / opened ──► text ── lock.solve ──► locks
                                                              ▲                                    │
                                                              └── the version that was chosen ◄────┘

Where a version is given, the manifest says it and is solved once. Else its pins are opened upwards, solved with
everything that stands beside them, and the manifest says what came out: the newest that fits, not the newest there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from builder import together
from builder.awaited import ready
from builder.errors import StackbuildError
from builder.lock import Pin
from builder.locks import Locks, formats
from builder.manifest.model import Manifest, Target
from builder.manifest.pins import Place, places, replaced
from builder.manifest.read import loads
from builder.manifest.shape import request_name
from builder.replacing import replace
from builder.workflow.lock import Change, Solution, Told, Wish, solve
from builder.workflow.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to move: a package's name, or an image's, and the version it is to have; "" for the newest that fits."""

    name: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One value of the manifest that changed."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bump:
    """What moved.

    Attributes:
        edits: in the manifest, in its order.
        changes: locks.
        left: what was asked for and could not be said in the manifest, and why.
    """

    edits: tuple[Edit, ...]
    changes: tuple[Change, ...]
    left: tuple[str, ...]


def parse(text: str) -> Asked:
    """`numpy` or `numpy==2.4.6`.

    Raises:
        StackbuildError: it is neither.
    """
    name, equals, version = (part.strip() for part in text.partition("=="))
    if not name or set(name) & set("=<>!~,") or (equals and not version) or set(version) & set("=<>, "):
        raise StackbuildError(f"not a name: {text}", expected="NAME or NAME==VERSION, such as numpy==2.4.6")
    return Asked(name=name, version=version)


def bump(
    project: Project, asked: Sequence[Asked], told: Told, *, images: Collection[str] = (), dry: bool = False
) -> Bump:
    """Move these names, every pin for none, and what they force; sets that move as one move whole.

    Args:
        images: only where these ask for it themselves, or sets that no other image uses.
        dry: solve, and write nothing.

    Raises:
        StackbuildError: nobody asks for a name, or a version does not fit its request; all is as before.
        Problems: there is no solution with it; likewise.
    """
    manifest = project.manifest
    text = manifest.path.read_text("utf-8")
    there = [one for one in places(text) if not images or _of_images(manifest, one, images)]
    wanted = _wanted(asked)
    moving = together.widened(manifest, wanted) if wanted else {one.name for one in there}
    chosen = [one for one in there if one.name in moving]
    _known(project, asked, chosen, images)
    wish = Wish(upgrade=frozenset(moving), toward={name: version for name, version in wanted.items() if version})
    exact = {one.path: one.at(wanted[one.name]) for one in chosen if wanted.get(one.name)}
    opened = {one.path: one.opened() for one in chosen if one.path not in exact}
    try:
        found = _solved(project, replaced(text, {**exact, **opened}), wish, chosen, told)
    except StackbuildError:
        told(f"nothing moved: {manifest.path.name} and its locks are as they were, and with what was asked:")
        raise
    left: list[str] = []
    settled = {one.path: _settled(one, found, left) for one in chosen if one.path in opened}
    final = replaced(text, {**exact, **settled})
    if opened and opened != settled:
        found = _solved(project, final, wish, chosen, told)
    changes = tuple(found.changes())
    if not dry:
        replace({manifest.path: final, **found.texts(changes)})
    lines = manifest.lines
    values = {**exact, **settled}
    return Bump(
        edits=tuple(
            Edit(where=f"{manifest.path.name}:{lines.get(one.path, 1)}", old=one.text, new=values[one.path])
            for one in chosen
            if values[one.path] != one.text
        ),
        changes=changes,
        left=tuple(left),
    )


def _wanted(asked: Iterable[Asked]) -> dict[str, str]:
    """The version that each name is to have; "" for the newest that fits."""
    wanted: dict[str, str] = {}
    for one in asked:
        name = request_name(one.name)
        if wanted.setdefault(name, one.version) != one.version:
            raise StackbuildError(
                f"{one.name} is to have two versions",
                expected="one",
                got=f"{wanted[name] or 'any'}, {one.version or 'any'}",
            )
    return wanted


def _of_images(manifest: Manifest, place: Place, images: Collection[str]) -> bool:
    top, _, name = place.table.partition(".")
    if top == "images":
        return name.strip('"') in images
    users = {image.name for image in manifest.images.values() if name.strip('"') in image.use}
    return bool(users) and users <= set(images)


def _known(project: Project, asked: Sequence[Asked], chosen: Iterable[Place], images: Collection[str]) -> None:
    """Refuse a name that nobody asks for, and a version for what no request pins."""
    pinned = {one.name for one in chosen}
    for one in asked:
        if request_name(one.name) in pinned:
            continue
        locked = {request_name(pin.name) for pin in _pins(project, project.manifest.targets())}
        if request_name(one.name) not in locked:
            close = get_close_matches(request_name(one.name), sorted(pinned | locked), n=1)
            raise StackbuildError(
                f"nothing is called {one.name} here",
                where=f"{project.manifest.path.name} and its locks" + (f", of {', '.join(images)}" if images else ""),
                next_step=f'did you mean "{close[0]}"?' if close else "stackbuild tree TARGET",
            )
        if one.version or images:
            raise StackbuildError(
                f"no request pins {one.name}",
                expected=f"a request such as {one.name}==… " + (f"of {', '.join(images)}" if images else "to change"),
                next_step=f"without a version, to move it as far as its requests let it: stackbuild bump {one.name}",
            )


def _pins(project: Project, targets: Iterable[Target]) -> Iterator[Pin]:
    for target in targets:
        for kind in formats():
            lock = project.locks.read(target, kind)
            yield from lock.pins if lock else ()


def _solved(project: Project, text: str, wish: Wish, at: Sequence[Place], told: Told) -> Solution:
    """The locks that answer a manifest of this text, unwritten.

    Names move in the targets that ask for them at these places, and where an ancestor brings them there, as a child's
    request cannot be met otherwise; in all where nobody asks.
    """
    manifest = loads(text, project.manifest.path)
    fresh = Project(manifest=manifest, locks=Locks(project.locks.folder), store=project.store)
    paths = {one.path.partition("[")[0].rpartition(".")[0] for one in at}
    asking = {target for target in manifest.targets() if any(path in paths for path, _ in manifest.asking(target))}
    bringing = {
        above
        for above in {one for target in asking for one in manifest.lineage(target)} - asking
        if any(request_name(pin.name) in wish.upgrade for pin in _pins(fresh, [above]))
    }
    within = frozenset(asking | bringing) if at else None
    narrowed = Wish(upgrade=wish.upgrade, toward=wish.toward, within=within)
    return solve(fresh, ready(manifest, fresh.locks), narrowed, told)


def _settled(place: Place, found: Solution, left: list[str]) -> str:
    """The value with the version that was chosen for it; as it was where there is none, or more than one.

    A constraint may be about what other images ask for.
    """
    versions = _versions(found, place, own=True) or _versions(found, place, own=False)
    if len(versions) == 1:
        return place.at(versions[0])
    if place.opened() == place.text:
        left.append(f"{place.text}: nobody here knows its versions; say one: {place.name}==VERSION")
    elif not versions:
        left.append(f"{place.text}: nothing here is locked from it, so nobody knows its newest version")
    else:
        left.append(f"{place.text}: its targets differ in what they take, {', '.join(versions)}; say one")
    return place.text


def _versions(found: Solution, place: Place, *, own: bool) -> list[str]:
    """What was chosen for the name, in targets that say what stands at the place, or in any."""
    path = place.path.partition("[")[0]
    versions = set()
    for (target, kind), (lock, _) in found.solved.items():
        if kind == place.kind and (not own or any(path == f"{one}.{_key(path)}" for one in _paths(found, target))):
            versions |= {pin.version for pin in lock.pins if request_name(pin.name) == place.name}
    return sorted(versions)


def _key(path: str) -> str:
    return path.rpartition(".")[2]


def _paths(found: Solution, target: Target) -> Iterator[str]:
    return (path for path, _ in found.project.manifest.asking(target))
