"""Compare two states of an image. Pure: data to data.

    Contents of A ─┐                  Difference: one pair     ┐
                   ├─→ compare ─→                              ├─→ Report
    Contents of B ─┘                  bytes to push, in all    ┘

Where both are built, layers are told apart by their digests, and the bytes to push are exact. Where one is not, each
has the layers that it is expected to get, named by what they are made from; then the bytes are an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from builder.difference import Change, Contents, Difference, Grown, Key, Layer, Package, Pair, Push, total


def same(a: Contents, b: Contents) -> bool:
    """Whether two sides are the same image, without a look at what is in them."""
    return bool(a.plan_key and a.plan_key == b.plan_key) or bool(
        a.manifest and a.manifest == b.manifest and not _changes(a, b)
    )


def compare(a: Contents | None, b: Contents | None) -> Difference:
    """The difference of one pair; a side may have no such target."""
    layers = _layers(a, b)
    had = {one.digest for one in layers.a} if layers else set()
    has = {one.digest for one in layers.b} if layers else set()
    packages = _changes(a, b)
    gone = tuple(one for one in layers.a if one.digest not in has) if layers else None
    new = tuple(one for one in layers.b if one.digest not in had) if layers else None
    notes = [note for side in (a, b) if side is not None for note in side.notes]
    if a and b and layers and not (gone or new or packages or same(a, b)):
        notes.append("no layer differs, only the image's config")
    return Difference(
        a=a.name if a else None,
        b=b.name if b else None,
        packages=packages,
        grown=_grown(a, b),
        gone=gone,
        new=new,
        exact=bool(layers and layers.exact),
        compressed=(_compressed(a), _compressed(b)),
        download=_download(a, b),
        push=push([(a, b)]),
        notes=tuple(dict.fromkeys(notes)),
    )


def push(pairs: Sequence[Pair], held: Set[str] = frozenset()) -> Push | None:
    """What sending all Bs takes where all As are, each layer once; None where that is not known of one of them.

    A push takes what is built, so if any B that differs is, those that are not are left out. If a pair's layers can
    only be expected, those of all are, so that what several have in common counts once.

    Args:
        held: what else is there: digests of layers of As that are in no pair.
    """
    differing = [(a, b) for a, b in pairs if not (a and b and same(a, b))]
    wanted = differing
    if any(b and b.layers is not None for _, b in differing):
        wanted = [(a, b) for a, b in differing if not b or b.layers is not None]
    found = [_built(a, b) for a, b in wanted]
    if None in found:
        foreseen = [_expected(a, b) for a, b in wanted]
        found = foreseen if None not in foreseen else [_layers(a, b) for a, b in wanted]
    sides = [one for one in found if one is not None]
    if len(sides) < len(wanted):
        return None
    had = {*held, *(one.digest for a, _ in pairs if a for one in (*(a.layers or ()), *(a.expected or ())))}
    sizes = {one.digest: one.size for side in sides for one in side.b if one.digest not in had}.values()
    return Push(
        size=sum(size for size in sizes if size is not None),
        exact=all(side.exact for side in sides),
        unknown=sum(size is None for size in sizes),
        without=len(differing) - len(wanted),
    )


@dataclass(frozen=True, slots=True)
class _Layers:
    """The layers of both sides, such as can be compared with each other."""

    a: Sequence[Layer]
    b: Sequence[Layer]
    exact: bool


def _layers(a: Contents | None, b: Contents | None) -> _Layers | None:
    return _built(a, b) or _expected(a, b)


def _built(a: Contents | None, b: Contents | None) -> _Layers | None:
    if any(side is not None and side.layers is None for side in (a, b)):
        return None
    return _Layers(a.layers or () if a else (), b.layers or () if b else (), True)


def _expected(a: Contents | None, b: Contents | None) -> _Layers | None:
    if any(side is not None and side.expected is None for side in (a, b)):
        return None
    return _Layers(a.expected or () if a else (), b.expected or () if b else (), False)


def _changes(a: Contents | None, b: Contents | None) -> tuple[Change, ...] | None:
    if any(side is not None and side.packages is None for side in (a, b)):
        return None
    old, new = _by_key(a), _by_key(b)
    return tuple(
        Change(a=old.get(key), b=new.get(key))
        for key in sorted(old.keys() | new.keys())
        if _what(old.get(key)) != _what(new.get(key))
    )


def _by_key(side: Contents | None) -> dict[Key, Package]:
    return {one.key: one for one in (side.packages or () if side else ())}


def _what(package: Package | None) -> tuple[str, str] | None:
    return None if package is None else (package.version, package.digest)


def _download(a: Contents | None, b: Contents | None) -> int | None:
    if any(side is not None and side.packages is None for side in (a, b)):
        return None
    had = {one.digest for one in _by_key(a).values()}
    files = {one.digest: one.size for one in _by_key(b).values()}
    return sum(size for digest, size in files.items() if digest not in had)


def _grown(a: Contents | None, b: Contents | None) -> tuple[Grown, ...] | None:
    if any(side is not None and side.weights is None for side in (a, b)):
        return None
    old, new = (side.weights or {} if side else {} for side in (a, b))
    found = [
        Grown(kind=owner[0], name=owner[1], a=old.get(owner, 0), b=new.get(owner, 0))
        for owner in sorted(old.keys() | new.keys())
        if old.get(owner, 0) != new.get(owner, 0)
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.b - one.a)))


def _compressed(side: Contents | None) -> int | None:
    return None if side is None or side.layers is None else total(side.layers)
