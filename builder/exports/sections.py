"""A report for people: a section for each pair, in which nothing is told that an earlier section told already.

A child has all that its parent has, so what moved in a parent moved in all of its children: they refer to it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from builder.difference import Cause, Change, Difference, Grown, Layer, Push, Report, total
from builder.exports.printable import amount, count

_Row = TypeVar("_Row", bound=Hashable)
_ORDER = ("moved", "added", "removed", "replaced")
_LONGEST = 3
"""Names of a chain that are told."""
UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Swap:
    """A layer that is new, gone, or another one under the same name; None where a side does not have it."""

    a: Layer | None
    b: Layer | None

    @property
    def layer(self) -> Layer:
        found = self.b or self.a
        assert found is not None
        return found

    @property
    def how(self) -> str:
        return "new" if self.a is None else "gone" if self.b is None else "changed"

    @property
    def sizes(self) -> str:
        """Compressed: `21.3 MB → 21.9 MB`, or the one there is; `?` where it is not known."""
        told = ("?" if one.size is None else amount(one.size) for one in (self.a, self.b) if one is not None)
        return " → ".join(dict.fromkeys(told))


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One pair.

    Attributes:
        packages: that are told here, those that are asked for first; `causes`, `layers` and `grown` likewise.
        earlier: names of sections, each with the number of these packages that it told.
        above: how many layers earlier sections told.
    """

    difference: Difference
    packages: tuple[Change, ...]
    causes: tuple[Cause, ...]
    layers: tuple[Swap, ...]
    grown: tuple[Grown, ...]
    earlier: tuple[tuple[str, int], ...]
    above: int

    @property
    def empty(self) -> bool:
        """Whether earlier sections told all of it."""
        return not (self.packages or self.causes or self.layers or self.grown or self.difference.notes)


def sections(report: Report) -> tuple[Section, ...]:
    """The sections of a report, in its order."""
    told: dict[Hashable, str] = {}

    def fresh(rows: Sequence[_Row] | None, label: str, name: str) -> tuple[_Row, ...]:
        return tuple(row for row in rows or () if told.setdefault((label, row), name) == name)

    found = []
    for number, one in enumerate(report.differences):
        name = str(number)
        packages = fresh(one.packages, "package", name)
        counts: dict[str, int] = {}
        for change in one.packages or ():
            if (first := told["package", change]) != name:
                counts[first] = counts.get(first, 0) + 1
        swaps = _swaps(one)
        layers = fresh(swaps, "layer", name)
        found.append(
            Section(
                difference=one,
                packages=tuple(sorted(packages, key=lambda change: not change.direct)),
                causes=fresh(one.causes, "cause", name),
                layers=layers,
                grown=fresh(one.grown, "grown", name),
                earlier=tuple((report.differences[int(first)].name, number) for first, number in counts.items()),
                above=len(swaps) - len(layers),
            )
        )
    return tuple(found)


def _swaps(one: Difference) -> list[Swap]:
    """New and gone layers, those of one image and name together."""
    gone: dict[tuple[str, str], list[Layer]] = {}
    for layer in one.gone or ():
        gone.setdefault((layer.image, layer.name), []).append(layer)
    found = []
    for layer in one.new or ():
        former = gone.get((layer.image, layer.name))
        found.append(Swap(former.pop(0) if former else None, layer))
    return found + [Swap(layer, None) for rest in gone.values() for layer in rest]


def moves(one: Difference) -> str:
    """`2 moved, 1 added`; `none` where no package differs."""
    if one.packages is None:
        return UNKNOWN
    hows = [change.how for change in one.packages]
    return ", ".join(f"{hows.count(how)} {how}" for how in _ORDER if how in hows) or "none"


def versions(change: Change) -> str:
    """`2.4.5 → 2.4.6`, `2.4.6` of one that is new or gone, `2.4.6, another file`."""
    if change.a is not None and change.b is not None:
        same = change.a.version == change.b.version
        return f"{change.b.version}, another file" if same else f"{change.a.version} → {change.b.version}"
    return change.package.version


def reason(change: Change) -> str:
    """Who asks: `set scientific`, or through what it is required: `via jupyterlab → jupyter-server`; "" for nobody."""
    asked = change.asked
    if asked is None or not asked.via:
        return asked.by if asked is not None else ""
    via = asked.via if len(asked.via) <= _LONGEST else (*asked.via[: _LONGEST - 1], "…", asked.via[-1])
    return f"via {' → '.join(via)}"


def sent(push: Push | None) -> str:
    """`22.0 MB`, or `about 21.3 MB` and what is not in it."""
    if push is None:
        return UNKNOWN
    text = amount(push.size) if push.exact else f"about {amount(push.size)}"
    text += f" + {count(push.unknown, 'layer')} of unknown size" if push.unknown else ""
    return text + (f", without {count(push.without, 'target')} not built" if push.without else "")


def layers(one: Difference) -> str:
    """`2 new (22.0 MB), 2 gone (21.9 MB)`, with what kind of knowledge that is."""
    if one.new is None or one.gone is None:
        return UNKNOWN
    rows = ((one.new, "new"), (one.gone, "gone"))
    parts = [f"{len(found)} {word} ({amount(total(found))})" for found, word in rows if found]
    return (", ".join(parts) or "the same") + ("" if one.exact else ", by the locks, as not both sides are built")


def images(one: Difference) -> str:
    """`1.00 GB → 1.02 GB`: the compressed images, as far as they are built."""
    a, b = one.compressed
    if a is None and b is None:
        return UNKNOWN
    sides = ((a, one.a), (b, one.b))
    return " → ".join("none" if name is None else "not built" if size is None else amount(size) for size, name in sides)


def roots(report: Report) -> tuple[str, ...]:
    """What all of it comes from, each once: what is asked for, then what is no package, then what was pulled in."""
    changes = dict.fromkeys(change for one in report.differences for change in one.packages or ())
    causes = dict.fromkeys(cause for one in report.differences for cause in one.causes)
    packages = {
        direct: [f"{one.package.name} {_moved(one)}" for one in changes if one.direct is direct]
        for direct in (True, False)
    }
    told = (*packages[True], *(f"{one.image}: {one.text}" for one in causes), *packages[False])
    return tuple(dict.fromkeys(told))


def _moved(change: Change) -> str:
    return versions(change) if change.how in {"moved", "replaced"} else f"{versions(change)} {change.how}"


def unchanged(report: Report) -> str:
    """`10 targets are the same`; "" where none is."""
    if not report.same:
        return ""
    return f"{count(len(report.same), 'target')} {'is' if len(report.same) == 1 else 'are'} the same"
