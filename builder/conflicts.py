"""Two packages that bring one path with other content: found once all layers of an image are there.

Python packages lie in separate layers, conda's below pip's, and large fetched files too, so that no layer alone can
tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from builder import listing
from builder.action import Action, Result
from builder.errors import Problems, StackbuildError
from builder.listing import Listed
from builder.store import Store

_JUDGED = ("conda", "fetch", "pip")
_SHOWN = 20


class Clash(NamedTuple):
    """A path of an image, two packages that bring it, the lower layer's first, and whether that one is conda's, or
    both are fetched files."""

    path: str
    one: str
    other: str
    conda: bool = False
    fetched: bool = False


def clash(found: Clash, where: str) -> StackbuildError:
    """The error for it: what to write into the manifest, if one of the files will do for both."""
    path, one, other, conda, fetched = found
    if fetched:
        return StackbuildError(
            f"two fetched files bring /{path} with different content: {one} and {other}",
            where=where,
            next_step="leave one of them out, or lay it elsewhere (to)",
        )
    winner, loser = (one, other) if conda else (other, one)
    without = "" if conda else f'or without = [{{ package = "{one}", reason = "…" }}], '
    return StackbuildError(
        f"two packages bring /{path} with different content: {one} and {other}",
        where=where + (f"; {one} is conda's" if conda else ""),
        expected="one of them to have it",
        next_step=f'prefer = [{{ path = "/{path}", package = "{winner}", over = "{loser}", reason = "…" }}] '
        f"in the image, {without}or pin versions that do not collide",
    )


def refuse(action: Action, results: Mapping[str, Result], store: Store) -> None:
    """Look for clashes among the layers that an image action reads, by role.

    Between packages of conda alone there is none to look for here: conda's kind judges its own.

    Raises:
        Problems: there are; the first of them are told.
    """
    layers = []
    preferred: dict[str, set[str]] = {}
    for role in sorted(results):
        need = action.needs[role]
        kind = need.kind.partition(".")[0]
        if kind not in _JUDGED:
            continue
        layers += [(kind, layer) for layer in results[role]["layers"]]
        options = cast(Mapping[str, Any], need.options) if isinstance(need.options, Mapping) else {}
        for path, package, _ in options.get("prefer", ()):
            preferred.setdefault(path, set()).add(package)
    found = [clash(one, action.name) for one in clashes(store, layers, preferred)]
    if found:
        raise Problems(found[:_SHOWN])


def clashes(
    store: Store, layers: Iterable[tuple[str, Mapping[str, Any]]], preferred: Mapping[str, Iterable[str]] | None = None
) -> Iterator[Clash]:
    """Where two packages bring other bytes, or one a file and one a folder.

    Args:
        layers: (kind, layer), lowest first.
        preferred: path → packages whose file may hide what lies below it.
    """
    found: dict[str, tuple[str, Listed]] = {}
    for kind, layer in layers:
        gone: list[str] = []
        own: dict[str, tuple[str, Listed]] = {}
        for entry in listing.read(store, layer):
            if entry.kind == "whiteout":
                gone.append(entry.path.removesuffix("/.wh..opq"))
            elif entry.kind != "dir":
                own[entry.path] = (kind, entry)
        if gone:
            hidden = tuple(f"{path}/" for path in gone)
            found = {path: one for path, one in found.items() if path not in gone and not path.startswith(hidden)}
        for path, (_, entry) in own.items():
            below = found.get(path)
            if below is None:
                found[path] = (kind, entry)
            elif _of_a_source(path, own):
                continue
            elif _differ(below, (kind, entry)):
                if entry.owner not in (preferred or {}).get(path, ()):
                    yield Clash(path, below[1].owner, entry.owner, below[0] == "conda", kind == below[0] == "fetch")
                found[path] = (kind, entry)
    judged: set[str] = set()
    for path, (kind, entry) in found.items():
        while (path := path.rpartition("/")[0]) and path not in judged:
            judged.add(path)
            if path in found and _judged(found[path], (kind, entry)):
                lower, one = found[path]
                yield Clash(path, one.owner, entry.owner, lower == "conda", kind == lower == "fetch")


_CACHED = re.compile(r"(.+/)__pycache__/([^/.]+)\.[^/]+\.pyc")


def _of_a_source(path: str, own: Mapping[str, object]) -> bool:
    """Whether a path is bytecode whose source is judged itself: equal ones may be compiled in other ways (PEP 3147)."""
    cached = _CACHED.fullmatch(path)
    return cached is not None and f"{cached[1]}{cached[2]}.py" in own


def _differ(one: tuple[str, Listed], other: tuple[str, Listed]) -> bool:
    a, b = one[1], other[1]
    return _judged(one, other) and (a.mark, a.size, a.mode) != (b.mark, b.size, b.mode)


def _judged(one: tuple[str, Listed], other: tuple[str, Listed]) -> bool:
    """Whether it matters here: packages of conda alone, or of one owner, are another's business."""
    kinds = {one[0], other[0]}
    return (one[0], one[1].owner) != (other[0], other[1].owner) and ("pip" in kinds or kinds == {"fetch"})
