"""What makes an image big, for a terminal: the largest packages, its layers, the largest folders and files."""

from __future__ import annotations

from collections.abc import Iterator

from builder.difference import total
from builder.exports.printable import amount, columns, count, printable, share
from builder.weight import Heap, Weighed, Weight

MOST = 25
"""Packages that are told; what is left out is said."""


def render(weighed: Weighed) -> str:
    """The text; numbers set flush right."""
    lines = [summary(weighed), *notes(weighed), ""]
    lines += columns(
        [("package", "kind", "image", "on disk", "share", "layer", "compressed"), *_packages(weighed)], _RIGHT
    )
    if rest := weighed.packages[MOST:]:
        size = sum(one.size for one in rest)
        lines.append(f"and {len(rest)} more, {amount(size)}, which --format json and html have")
    lines += ["", *columns([("layer", "image", "compressed", "raw"), *_layers(weighed)], frozenset({2, 3}))]
    lines += ["", *_heaps("the largest folders", weighed.folders), "", *_heaps("the largest files", weighed.files)]
    return "\n".join(lines) + "\n"


_RIGHT = frozenset({3, 4, 6})


def summary(weighed: Weighed) -> str:
    """The image in one line."""
    layers = weighed.layers
    return (
        f"{weighed.target}: {amount(weighed.size)} on disk, "
        f"{amount(total(layers))} compressed in {count(len(layers), 'layer')}"
    )


def notes(weighed: Weighed) -> Iterator[str]:
    """What a reader must know of the numbers."""
    if weighed.covered:
        yield f"{amount(weighed.covered)} of it lie below what a later layer brings again or takes away"
    dark = [layer for layer, size in zip(weighed.layers, weighed.contents, strict=True) if size is None]
    if dark:
        yield (
            f"not in it: {count(len(dark), 'layer')} of the base image, {amount(total(dark))} compressed, "
            "whose files nothing here has read"
        )


def layer_of(weighed: Weighed, one: Weight) -> tuple[str, int]:
    """The layer that has most of a package, with how many others have some of it; and its compressed bytes."""
    first = weighed.layers[one.layers[0]]
    more = f" +{len(one.layers) - 1}" if len(one.layers) > 1 else ""
    return first.name + more, first.size or 0


def _packages(weighed: Weighed) -> Iterator[tuple[str, ...]]:
    for one in weighed.packages[:MOST]:
        layer, size = layer_of(weighed, one)
        whole = share(one.size, weighed.size)
        name = printable(one.name) if one.owned else f"({printable(one.name)})"
        yield name, one.kind, one.image, amount(one.size), whole, printable(layer), amount(size)


def _layers(weighed: Weighed) -> Iterator[tuple[str, ...]]:
    own = weighed.target.partition(":")[0]
    for layer in weighed.layers:
        image = layer.image if layer.image == own else f"{layer.image or '?'}, inherited"
        raw = "not known" if layer.raw is None else amount(layer.raw)
        yield printable(layer.name), image, amount(layer.size or 0), raw


def _heaps(title: str, heaps: tuple[Heap, ...]) -> Iterator[str]:
    yield title
    rows: list[tuple[str, ...]] = [(amount(one.size), f"/{printable(one.path)}") for one in heaps]
    if rows:
        yield from (f"  {line}" for line in columns(rows, frozenset({0})))
