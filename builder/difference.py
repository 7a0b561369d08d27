"""What two states of an image have and do not have in common: packages, layers, bytes. Pure data; see `comparison`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def total(layers: Iterable[Layer]) -> int:
    """Bytes of these layers as far as they are known, compressed."""
    return sum(one.size or 0 for one in layers)
