"""Squarified treemaps as SVG: each thing a rectangle whose area is its size, in the rectangle of what it is part of.

    ┌───────┬─────┐   Rows are laid along the shorter side of what is left, the largest first. A row takes the next
    │       │  2  │   rectangle as long as that makes the worst of its aspect ratios no worse.
    │   1   ├──┬──┤
    │       │3 │4 │   Drawback: neighbours in size are neighbours on the page, whatever their names.
    └───────┴──┴──┘

Source: Bruls, Huizing and van Wijk, "Squarified Treemaps", 2000. What would be too small to see is drawn as one
rectangle for all of it, so that no area is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from builder.exports.printable import count, printable

_SMALLEST = 20.0
"""Area below which a rectangle is drawn together with others."""
_THINNEST = 0.3
"""Sides below which nothing is drawn at all."""
_HEAD = 15.0
"""Height of the line that names a rectangle with others in it."""
_LETTER = 6.3
"""Width of a letter of a label, at most on average."""
_PAD = 1.5


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A thing to draw.

    Attributes:
        label: what is written in its rectangle, if that is large enough.
        title: what is told of it where the pointer is.
        size: what its area stands for; not less than that of its parts.
        paint: class of the style sheet that colours it; "" for that of what it is part of.
        anchor: id on the same page that it leads to, "" for none. It can be reached with the keyboard then.
        parts: the largest first.
    """

    label: str
    title: str
    size: int
    paint: str = ""
    anchor: str = ""
    parts: tuple[Node, ...] = ()


def squarified(sizes: Sequence[int], box: Box) -> list[Box]:
    """A rectangle for each size in the box, with areas in proportion and without gaps.

    Args:
        sizes: positive, the largest first.
    """
    scale = box.area / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    found: list[Box] = []
    start = 0
    while start < len(areas):
        side = min(box.width, box.height)
        end, row = start + 1, areas[start]
        while end < len(areas) and _worst(areas[start], areas[end], row + areas[end], side) <= _worst(
            areas[start], areas[end - 1], row, side
        ):
            row += areas[end]
            end += 1
        placed, box = _row(areas[start:end], row, box)
        found += placed
        start = end
    return found


def _worst(largest: float, smallest: float, row: float, side: float) -> float:
    """The worst aspect ratio in a row of that area along a side."""
    if not side or not row or not smallest:
        return float("inf")
    return max(side * side * largest / (row * row), row * row / (side * side * smallest))


def _row(areas: Sequence[float], row: float, box: Box) -> tuple[list[Box], Box]:
    """The rectangles of a row along the shorter side of a box, and what is left of the box."""
    upright = box.width >= box.height
    side = box.height if upright else box.width
    thick = min(row / side, box.width if upright else box.height) if side else 0.0
    found, at = [], 0.0
    for area in areas:
        long = area / thick if thick else 0.0
        found.append(Box(box.x, box.y + at, thick, long) if upright else Box(box.x + at, box.y, long, thick))
        at += long
    if upright:
        return found, Box(box.x + thick, box.y, max(box.width - thick, 0.0), box.height)
    return found, Box(box.x, box.y + thick, box.width, max(box.height - thick, 0.0))


def svg(root: Node, width: int, height: int) -> str:
    """The picture of a node's parts; its own title is what the picture is called."""
    lines = [
        f'<svg class="map" viewBox="0 0 {width} {height}" role="group" aria-label="{_text(root.title)}">',
        *_parts(root, Box(0, 0, width, height)),
        "</svg>",
    ]
    return "\n".join(lines)


def _parts(node: Node, box: Box) -> Iterator[str]:
    shown = _visible(node, box)
    for part, place in zip(shown, squarified([part.size for part in shown], box), strict=True):
        yield from _drawn(part, place)


def _visible(node: Node, box: Box) -> list[Node]:
    """The parts that are large enough to see, and one for all others."""
    parts = [part for part in node.parts if part.size > 0]
    whole = sum(part.size for part in parts)
    tiny = [part for part in parts if part.size * box.area < _SMALLEST * whole]
    if len(tiny) < 2:
        return parts
    rest = sum(part.size for part in tiny)
    others = Node(label=f"{len(tiny)} smaller", title=f"{count(len(tiny), 'smaller one')} together", size=rest)
    return sorted([*(part for part in parts if part not in tiny), others], key=lambda part: -part.size)


def _drawn(node: Node, box: Box) -> Iterator[str]:
    if min(box.width, box.height) < _THINNEST:
        return
    paint = f' class="{node.paint}"' if node.paint else ""
    if node.anchor:
        yield f'<a href="#{node.anchor}" aria-label="{_text(node.title)}"{paint}>'
    elif node.parts or paint:
        yield f"<g{paint}>"
    yield (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}">'
        f"<title>{_text(node.title)}</title></rect>"
    )
    headed = box.height > 3 * _HEAD and box.width > 4 * _HEAD
    open_ = bool(node.parts) and (headed or not node.anchor)
    if open_:
        head = _HEAD if headed else _PAD
        inside = Box(box.x + _PAD, box.y + head, box.width - 2 * _PAD, box.height - head - _PAD)
        if min(inside.width, inside.height) > 1:
            yield from _parts(node, inside)
    if (headed or (not open_ and box.height >= _HEAD)) and (label := _label(node.label, box)):
        yield f'<text x="{box.x + 3:.1f}" y="{box.y + 11.5:.1f}">{escape(label)}</text>'
    if node.anchor:
        yield "</a>"
    elif node.parts or paint:
        yield "</g>"


def _label(text: str, box: Box) -> str:
    """As much of a name as fits in a box; "" if that is hardly anything."""
    letters = int((box.width - 6) / _LETTER)
    plain = printable(text)
    if len(plain) <= letters:
        return plain
    return f"{plain[: letters - 1]}…" if letters >= 4 else ""


def _text(text: str) -> str:
    return escape(printable(text))
