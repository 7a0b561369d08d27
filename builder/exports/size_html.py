"""What makes an image big as one page: a treemap, and below it the tables. No script, nothing from elsewhere.

Image → kind → package → folders. Each package in the picture is a link to its row in the table, so it is reached with
the keyboard and read aloud; what colour says, text says too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from builder.exports import treemap
from builder.exports.printable import amount, count, printable, share
from builder.exports.size_table import layer_of, notes, summary
from builder.exports.treemap import Node
from builder.weight import Heap, Weighed, Weight

_WIDTH, _HEIGHT = 1200, 760
_PAINTS = 8
_FOLDERS = 12
"""Folders of a package that are enough to be drawn."""
_WORTH = 0.1
"""A folder with less of its package is not looked into."""

_STYLE = """\
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --faint: #55555f; --line: #ffffff; --rule: #d5d5dc;
  --mark: #fff1b8; --p0: #bcd4f2; --p1: #c3e2bf; --p2: #f3d3a8; --p3: #dfc8ee; --p4: #f2c3c9; --p5: #bfe3e2;
  --p6: #e6e0a6; --p7: #d8d8de; }
@media (prefers-color-scheme: dark) { :root { --page: #16161a; --ink: #ececf1; --faint: #a5a5b0; --line: #16161a;
  --rule: #3a3a42; --mark: #4f4413; --p0: #23446e; --p1: #2a5426; --p2: #69450f; --p3: #50306a; --p4: #6d2833;
  --p5: #1c5554; --p6: #55500f; --p7: #45454d; } }
body { margin: 1rem auto; max-width: 1200px; padding: 0 1rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { color: var(--faint); }
a { color: inherit; } .scroll { overflow-x: auto; }
.map { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif; }
.map rect { stroke: var(--line); stroke-width: 1; fill: var(--page); }
.map text { fill: var(--ink); pointer-events: none; }
.map a:hover > rect, .map a:focus > rect { stroke: var(--ink); stroke-width: 2.5; } .map a:focus { outline: none; }
.p0 rect { fill: var(--p0); } .p1 rect { fill: var(--p1); } .p2 rect { fill: var(--p2); } .p3 rect { fill: var(--p3); }
.p4 rect { fill: var(--p4); } .p5 rect { fill: var(--p5); } .p6 rect { fill: var(--p6); } .p7 rect { fill: var(--p7); }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; }
.key svg { width: 1em; height: 1em; vertical-align: -.15em; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--faint); }
th, td { text-align: left; padding: .15rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
td { overflow-wrap: anywhere; } .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr:target { background: var(--mark); }
.skip { position: absolute; left: -999em; } .skip:focus { position: static; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(weighed: Weighed) -> str:
    """The page."""
    name = _text(weighed.target)
    paints = _paints(weighed)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}: size</title>",
        f"<style>\n{_STYLE}</style>",
        "</head>",
        "<body>",
        '<a class="skip" href="#packages">Skip the picture</a>',
        f"<h1>{name}</h1>",
        f"<p>{_text(summary(weighed))}</p>",
        *(f"<p>{_text(one)}</p>" for one in notes(weighed)),
        *_key(weighed, paints),
        treemap.svg(_tree(weighed, paints), _WIDTH, _HEIGHT),
        *_packages(weighed),
        *_layers(weighed),
        *_heaps("The largest folders, with all that is in them", weighed.folders),
        *_heaps("The largest files", weighed.files),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _paints(weighed: Weighed) -> dict[str, str]:
    """Kind → class, the largest kind first; the last class is for all others."""
    sizes = _by_kind(weighed)
    ordered = sorted(sizes, key=lambda kind: (-sizes[kind], kind))
    return {kind: f"p{min(number, _PAINTS - 1)}" for number, kind in enumerate(ordered)}


def _by_kind(weighed: Weighed) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for one in weighed.packages:
        sizes[one.kind] = sizes.get(one.kind, 0) + one.size
    return sizes


def _key(weighed: Weighed, paints: Mapping[str, str]) -> Iterator[str]:
    sizes = _by_kind(weighed)
    yield '<ul class="key">'
    for kind, paint in paints.items():
        swatch = f'<svg viewBox="0 0 10 10" aria-hidden="true" class="{paint}"><rect width="10" height="10"/></svg>'
        yield f"<li>{swatch} {_text(kind)} {amount(sizes[kind])}, {share(sizes[kind], weighed.size)}</li>"
    yield "</ul>"


def _tree(weighed: Weighed, paints: Mapping[str, str]) -> Node:
    """Image → kind → package → folders."""
    images: dict[str, dict[str, list[Node]]] = {}
    for number, one in enumerate(weighed.packages):
        images.setdefault(one.image, {}).setdefault(one.kind, []).append(_package(weighed, number, one))
    parts = []
    for image, kinds in images.items():
        groups = [
            _node(kind, f"{kind} of {image or 'ancestors'}", packages, weighed.size, paints[kind])
            for kind, packages in kinds.items()
        ]
        parts.append(_node(image or "ancestors", f"image {image or 'ancestors'}", groups, weighed.size))
    return _node(weighed.target, f"Treemap of {weighed.target}", parts, weighed.size)


def _node(label: str, title: str, parts: Sequence[Node], whole: int, paint: str = "") -> Node:
    """A node that is all of its parts."""
    size = sum(part.size for part in parts)
    return Node(
        label=f"{label} {amount(size)}",
        title=f"{title}: {_told(size, whole)}",
        size=size,
        paint=paint,
        parts=tuple(sorted(parts, key=lambda part: -part.size)),
    )


def _package(weighed: Weighed, number: int, one: Weight) -> Node:
    folders = _folders(one)
    return Node(
        label=one.name,
        title=f"{one.name}, {one.kind}, {one.image}: {_told(one.size, weighed.size)}",
        size=one.size,
        anchor=f"p{number}",
        parts=tuple(
            Node(
                label=path.rpartition("/")[2],
                title=f"{one.name}: /{path}, {_told(size, weighed.size)}",
                size=size,
            )
            for path, size in (folders if len(folders) > 1 else ())
        ),
    )


def _folders(one: Weight) -> list[tuple[str, int]]:
    """The folders that tell most about where a package's bytes are, the largest first; together they are all of it.

    The largest that has others in it gives way to these, and to what lies right in it, until there are enough.
    """
    direct = dict(one.folders)
    whole = dict(direct)
    below: dict[str, list[str]] = {}
    for path in sorted({above for path in direct for above in _above(path)}, key=lambda path: -path.count("/")):
        parent = path.rpartition("/")[0]
        below.setdefault(parent, []).append(path)
        whole[parent] = whole.get(parent, 0) + whole.get(path, 0)
    shown = {"": whole.get("", 0)}
    while len(shown) < _FOLDERS:
        large = [path for path in shown if path in below and shown[path] > one.size * _WORTH]
        if not large:
            break
        path = max(large, key=lambda path: (shown[path], path))
        children = below.pop(path)
        del shown[path]
        shown.update({child: whole[child] for child in children})
        if direct.get(path):
            shown[path] = direct[path]
    return sorted(((path, size) for path, size in shown.items() if size), key=lambda item: (-item[1], item[0]))


def _above(path: str) -> Iterator[str]:
    """The path and all folders above it but the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _told(size: int, whole: int) -> str:
    return f"{amount(size)}, {share(size, whole)}"


def _packages(weighed: Weighed) -> Iterator[str]:
    head = ("Package", "Kind", "Image", "On disk", "Share", "Files", "Layer", "Layer, compressed")
    yield from _table("packages", "Packages", f"{count(len(weighed.packages), 'row')}, the largest first", head)
    for number, one in enumerate(weighed.packages):
        layer, size = layer_of(weighed, one)
        name = _text(one.name if one.owned else f"({one.name})")
        numbers = _numbers(amount(one.size), share(one.size, weighed.size), str(one.files))
        yield (
            f'<tr id="p{number}"><th scope="row">{name}</th><td>{_text(one.kind)}</td><td>{_text(one.image)}</td>'
            f"{numbers}<td>{_text(layer)}</td>{_numbers(amount(size))}</tr>"
        )
    yield "</tbody></table></div>"


def _layers(weighed: Weighed) -> Iterator[str]:
    head = ("Layer", "Image", "", "Compressed", "Raw", "Digest")
    yield from _table("layers", "Layers", "The lowest first", head)
    own = weighed.target.partition(":")[0]
    for layer in weighed.layers:
        raw = "not known" if layer.raw is None else amount(layer.raw)
        inherited = "" if layer.image == own else "inherited"
        yield (
            f'<tr><th scope="row">{_text(layer.name)}</th><td>{_text(layer.image or "?")}</td><td>{inherited}</td>'
            f"{_numbers(amount(layer.size or 0), raw)}<td><code>{_text(layer.digest[:19])}</code></td></tr>"
        )
    yield "</tbody></table></div>"


def _heaps(title: str, heaps: Sequence[Heap]) -> Iterator[str]:
    yield from _table("", title, "", ("Path", "On disk", "Package"))
    for one in heaps:
        yield (
            f'<tr><th scope="row">/{_text(one.path)}</th>{_numbers(amount(one.size))}<td>{_text(one.owner)}</td></tr>'
        )
    yield "</tbody></table></div>"


_FLUSH = frozenset({"On disk", "Share", "Files", "Layer, compressed", "Compressed", "Raw"})


def _table(anchor: str, title: str, caption: str, head: Sequence[str]) -> Iterator[str]:
    """A heading and the beginning of a table."""
    yield f'<h2 id="{anchor}">{title}</h2>' if anchor else f"<h2>{title}</h2>"
    yield '<div class="scroll"><table>' + (f"<caption>{caption}</caption>" if caption else "")
    cells = "".join(f'<th scope="col"{_class(one)}>{one}</th>' for one in head)
    yield f"<thead><tr>{cells}</tr></thead><tbody>"


def _class(title: str) -> str:
    return ' class="n"' if title in _FLUSH else ""


def _numbers(*cells: str) -> str:
    return "".join(f'<td class="n">{_text(one)}</td>' for one in cells)


def _text(text: str) -> str:
    return escape(printable(text))
