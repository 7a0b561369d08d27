"""What targets hold, under the names that databases of advisories know: from the locks alone.

Build requirements, which stay outside of images, are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.advisories.hits import Subject
from builder.ecosystem import Named, Origin
from builder.kinds import submodule
from builder.lock import Lock
from builder.locks import formats
from builder.manifest.model import Target
from builder.workflow.project import Project


def subjects(project: Project, target: Target) -> tuple[Subject, ...]:
    """The packages of a target and its ancestors, root first; what a foreign base holds too.

    Raises:
        StackbuildError: a lock is damaged.
    """
    return tuple(one for image in project.manifest.lineage(target) for one in own(project, image))


def own(project: Project, target: Target) -> tuple[Subject, ...]:
    """The packages of a target's own locks, in the order of the kinds, sorted by name."""
    keyrings = tuple(sorted((name, one.keyring) for name, one in project.manifest.archives.items()))
    found: list[Subject] = []
    for kind, (_, owner) in formats().items():
        lock = project.locks.read(target, kind)
        if lock is None:
            continue
        if kind == "inherited":
            found += _inherited(target, lock)
        elif kind == owner != "oci":  # A base image is what `inherited` says that it holds.
            found += (_subject(kind, target, one) for one in _named(kind, lock, Origin(keyrings=keyrings)))
    return tuple(found)


def _inherited(target: Target, lock: Lock) -> Iterator[Subject]:
    """What lies in a foreign base: as its kinds have it, of one prefix after the other; its Pythons are no packages."""
    origin = Origin(system=str(getattr(lock, "system", "")) or "unknown")
    places = dict.fromkeys((pin.kind, pin.field("prefix")) for pin in lock.pins if pin.kind != "python")
    for kind, prefix in places:
        pins = tuple(pin for pin in lock.pins if (pin.kind, pin.field("prefix")) == (kind, prefix))
        for one in _named(kind, Lock(request=(), pins=pins), origin):
            yield _subject(kind, target, one, prefix)


def _named(kind: str, lock: Lock, origin: Origin) -> Iterator[Named]:
    module = submodule(kind, "osv")
    if module is None:
        return (Named(name=pin.name, version=pin.version, known=()) for pin in lock.pins)
    found: Iterator[Named] = module.packages(lock, origin)
    return found


def _subject(kind: str, target: Target, one: Named, prefix: str = "") -> Subject:
    return Subject(
        kind=kind,
        name=one.name,
        version=one.version,
        image=target.image,
        prefix=prefix,
        known=one.known,
        aliases=one.aliases,
    )
