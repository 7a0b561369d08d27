"""What two states of an image have and do not have in common: packages, layers, bytes. Pure: data to data.

    Contents of A ─┐                  Difference: one pair     ┐
                   ├─→ compare ─→                              ├─→ Report
    Contents of B ─┘                  bytes to push, in all    ┘

Where both are built, layers are told apart by their digests, and the bytes to push are exact. Where one is not, each
has the layers that it is expected to get, named by what they are made from; then the bytes are an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from builder.advice import Advice
from builder.digest import Digest

Key = tuple[str, str, str]
"""What tells packages apart: kind, name, and the prefix where a foreign image has several."""

Owner = tuple[str, str]
"""Whose files are counted together: kind and name of a package, or kind and layer of what no package owns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A pinned package as one side has it.

    Attributes:
        image: the image of the family whose lock pins it.
        digest: of its file; that of nothing for what lies in a foreign base image.
        size: bytes of that file.
        prefix: where it is installed, for what lies in a foreign base image, which may have several.
    """

    kind: str
    name: str
    version: str
    image: str
    digest: Digest
    size: int
    prefix: str = ""

    @property
    def key(self) -> Key:
        return self.kind, self.name, self.prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer, or one that is expected.

    Attributes:
        digest: of its blob; of an expected layer, of what it is made from.
        size: bytes, compressed; None where nothing is known before it is made.
        raw: bytes of the tar; None where that is not known.
        image: the image of the family that brings it, "" where that is not known.
        listing: of its entry list in the store, "" where there is none.
    """

    name: str
    digest: Digest
    size: int | None
    raw: int | None = None
    image: str = ""
    listing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """One target at one side.

    Attributes:
        plan_key: of its image; "" where it cannot be planned, or is no target of ours.
        manifest: digest of its manifest; "" where it is not built.
        packages: of its locks and its ancestors'; None where they are not known.
        layers: lowest first; None where it is not built.
        expected: the layers that it is expected to get; None where it cannot be planned, or is no target of ours.
        weights: bytes on disk by owner; None where they were not asked for, or are not known.
        notes: what a reader must know, such as why it cannot be planned.
    """

    name: str
    plan_key: str = ""
    manifest: str = ""
    packages: tuple[Package, ...] | None = None
    layers: tuple[Layer, ...] | None = None
    expected: tuple[Layer, ...] | None = None
    weights: Mapping[Owner, int] | None = None
    notes: tuple[str, ...] = ()


Pair = tuple[Contents | None, Contents | None]
"""A and B; None where a side has no such target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Why an image has a package: by the shortest way to what its manifest asks for.

    Attributes:
        by: `set scientific`, `image jupyter`, or `every root`, which has what is essential.
        where: `stacks.toml:41`, "" for what is essential.
        via: from the package that is asked for to the one that requires this one; none if this one is asked for.
    """

    by: str
    where: str
    via: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A package that is not the same on both sides; None where a side does not have it.

    Attributes:
        asked: why B has it, else why A had it; None where no request leads to it, as in a foreign base.
    """

    a: Package | None
    b: Package | None
    asked: Asked | None = None

    @property
    def direct(self) -> bool:
        """Whether it is asked for itself."""
        return self.asked is not None and not self.asked.via

    @property
    def package(self) -> Package:
        """As B has it, else as A had it."""
        found = self.b or self.a
        assert found is not None
        return found

    @property
    def how(self) -> str:
        """`added`, `removed`, `moved` to another version, or `replaced` by another file of the same version."""
        if self.a is None or self.b is None:
            return "added" if self.a is None else "removed"
        return "moved" if self.a.version != self.b.version else "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Bytes on disk of one owner's files on both sides."""

    kind: str
    name: str
    a: int
    b: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What is not the same of an image of the family, and is no package: `overlay file etc/motd has changed`."""

    image: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Bytes of the layers of B that A does not have, each once.

    Attributes:
        exact: whether they are of layers that exist; else of what layers are expected to be made from.
        unknown: how many of the layers have a size that nobody knows before they are made; they are not in `size`.
        without: how many of the targets that differ are not in it, as they are not built.
    """

    size: int
    exact: bool
    unknown: int = 0
    without: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One pair.

    Attributes:
        a: name of the target or image, None where that side has no such thing; `b` the same.
        packages: by kind and name; None where a side's are not known.
        grown: whose bytes on disk differ, the largest difference first; None where a side is not built here.
        gone: layers of A that B does not have, lowest first; None where nothing is known of a side. `new` the other
            way round. Expected ones unless `exact`.
        exact: whether `gone` and `new` are layers that exist.
        compressed: bytes of all layers of A and of B; None where a side is not built or not there.
        download: bytes of the packages' files that B has and A does not; None where a side's packages are not known.
        causes: why it is built anew, beside packages.
    """

    a: str | None
    b: str | None
    packages: tuple[Change, ...] | None
    grown: tuple[Grown, ...] | None
    gone: tuple[Layer, ...] | None
    new: tuple[Layer, ...] | None
    exact: bool
    compressed: tuple[int | None, int | None]
    download: int | None
    push: Push | None
    notes: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def name(self) -> str:
        """What both sides are called, else `A → B`; the one that is there if the other is not."""
        return pair_name(self.a, self.b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Two sides, pair by pair.

    Attributes:
        a: what the side is, in words; `b` the same.
        same: names of the pairs in which nothing differs.
        push: of all pairs, each layer once; None where one is not known.
        advice: None where no database was asked.
    """

    a: str
    b: str
    same: tuple[str, ...]
    differences: tuple[Difference, ...]
    push: Push | None
    advice: Advice | None = None


def pair_name(a: str | None, b: str | None) -> str:
    """What both sides are called, else `A → B`; the one that is there if the other is not."""
    return " → ".join(dict.fromkeys(one for one in (a, b) if one is not None))


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


def push(pairs: Sequence[Pair]) -> Push | None:
    """What sending all Bs takes where all As are, each layer once; None where that is not known of one of them.

    A push takes what is built, so if any B that differs is, those that are not are left out. If a pair's layers can
    only be expected, those of all are, so that what several have in common counts once.
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
    had = {one.digest for a, _ in pairs if a for one in (*(a.layers or ()), *(a.expected or ()))}
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


def total(layers: Iterable[Layer]) -> int:
    """Bytes of these layers as far as they are known, compressed."""
    return sum(one.size or 0 for one in layers)
