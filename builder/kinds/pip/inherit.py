"""What a target's pip packages stand on: the ancestors' pins of the same environment, and conda's.

conda's Python packages are pins like any other here, under their PyPI names, which their locks keep in the field
`pypi`. They have no file that pip could install, so nothing asks an index about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from builder.errors import StackbuildError, raise_all
from builder.kinds.pip.python import home, locked, sharing
from builder.kinds.pip.waivers import overrides
from builder.lock import Lock, Pin
from builder.locking import inherited_locks
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.manifest.shape import request_name

KIND, CONDA = "pip", "conda"
Inherited = tuple[tuple[str, Lock], ...]
"""Whose pins, in words (`base`, `conda of base`), and the pins: conda's, then the ancestors', root first."""


def requested(manifest: Manifest, target: Target) -> tuple[str, ...]:
    """What the target's image asks of pip, sorted: its requests, and what it overrides."""
    asked = {request_name(one): one for one in manifest.ask(target, KIND)}
    return tuple(sorted((asked | {one.name: one.request for one in overrides(manifest, target)}).values()))


def inherited(manifest: Manifest, locks: Locks, target: Target) -> Inherited:
    """The pins that the target may neither move nor repeat, without those that it or an ancestor overrides.

    Raises:
        Problems: a package that both conda and pip bring, or an override of what is no pip package of an ancestor.
    """
    if home(manifest, target) is None:
        return ()
    lineage = manifest.lineage(target)
    shared = {one.image for one in sharing(manifest, target)}
    others = {one.image for one in lineage[:-1]} - shared
    above = [(image, lock) for image, lock in inherited_locks(manifest, locks, target, KIND) if image not in others]
    conda = _conda(manifest, locks, target)
    raise_all([*_both(conda, above), *_idle(manifest, target, conda, above)])
    kept = []
    for image, lock in above:
        below = lineage[[one.image for one in lineage].index(image) + 1 :] if image in shared else lineage
        gone = {one.name for later in below for one in overrides(manifest, later)}
        kept.append((image, replace(lock, pins=tuple(pin for pin in lock.pins if pin.name not in gone))))
    return (*conda, *kept)


def _conda(manifest: Manifest, locks: Locks, target: Target) -> Inherited:
    """conda's Python packages, inherited and own, where the environment is conda's."""
    where = home(manifest, target)
    if where is None or where.kind != CONDA:
        return ()
    return tuple(
        (f"{CONDA} of {image}", Lock(request=(), pins=tuple(_python_packages(image, lock))))
        for image, lock in locked(manifest, locks, target, CONDA)
    )


def _python_packages(image: str, lock: Lock) -> Iterator[Pin]:
    for pin in lock.pins:
        for key, value in pin.fields:
            if key != "pypi":
                continue
            name, _, version = value.partition("==")
            try:
                Version(version)
            except InvalidVersion:
                raise StackbuildError(
                    f"conda's {pin.name} has a version that pip does not know",
                    where=f"{CONDA} of {image}: {pin.filename}",
                    expected="a version as PEP 440 has them",
                    got=version[:100],
                ) from None
            yield replace(pin, kind=CONDA, name=request_name(name), version=version, source="", via=(), fields=())


def _both(conda: Inherited, above: Sequence[tuple[str, Lock]]) -> Iterator[StackbuildError]:
    theirs = {pin.name: (label, pin) for label, lock in conda for pin in lock.pins}
    for image, lock in above:
        for pin in lock.pins:
            if pin.name in theirs and pin.filename:
                label, other = theirs[pin.name]
                yield StackbuildError(
                    f"two kinds bring one package: {pin.name}",
                    where=f"{label} has {other.filename}, pip of {image} has {pin.filename}",
                    expected="a child to leave what it inherits as it is",
                    next_step=f"ask conda for it in {image} already, or let pip bring it in both",
                )


def _idle(
    manifest: Manifest, target: Target, conda: Inherited, above: Sequence[tuple[str, Lock]]
) -> Iterator[StackbuildError]:
    """Overrides that have nothing to override."""
    pinned = {pin.name for _, lock in above for pin in lock.pins}
    theirs = {pin.name: f"{label}'s" for label, lock in conda for pin in lock.pins}
    theirs |= {pin.name: f"in {label}" for label, lock in above for pin in lock.pins if not pin.filename}
    for one in overrides(manifest, target):
        if one.name in theirs:
            yield StackbuildError(
                f"override of what pip did not bring: {one.name}",
                where=f"{target.image}; {one.name} is {theirs[one.name]}",
                expected="a Python package of an ancestor's pip lock",
                next_step="change what asks conda for it, or the base",
            )
        elif one.name not in pinned:
            yield StackbuildError(
                f"override of nothing: {one.name}",
                where=target.image,
                expected="a Python package that an ancestor pins",
                got=f"pins of {', '.join(image for image, _ in above) or 'no ancestor'} without it",
                next_step=f'remove it, or ask for it: pip = ["{one.request}"]',
            )
