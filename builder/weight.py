"""What the files of an image weigh: by package, by folder, by file. Counts the entry lists of its layers.

A size is that of a file's content, as an unpacked layer has it on disk. A file that lies in two layers counts twice, as
it is stored twice; how much of that is `covered` is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from heapq import nsmallest

from builder.difference import Layer, Owner
from builder.listing import Listed

MOST = 20
"""How many of the largest folders and files are told."""
_NEARLY = 0.8
"""A folder is not told if one folder in it has that much of it: that one says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """Files that lie together: of a folder in the sense of `largest`, or a file itself.

    Attributes:
        path: without a leading slash; of a folder with one at its end.
        size: bytes.
        owner: the package of a file, "" for none; of a folder always "".
    """

    path: str
    size: int
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """The files of one owner in the layers of one image of the family.

    Attributes:
        kind: `apt`, `pip`, …: the beginning of the layers' names.
        name: of the package; of the layer for what no package owns, whose `owned` is False.
        files: how many.
        layers: positions of the layers that they lie in, the one with most bytes first.
        folders: bytes of the files right in a folder, by its path; sorted by path.
    """

    image: str
    kind: str
    name: str
    owned: bool
    size: int
    files: int
    layers: tuple[int, ...]
    folders: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """An image.

    Attributes:
        layers: lowest first.
        contents: for each layer the bytes of its files; None for one of a foreign base whose files are not known here.
        packages: the largest first.
        folders: the largest, with all that lies below them.
        files: the largest.
        covered: bytes of files that a layer above brings again or takes away.
    """

    target: str
    layers: tuple[Layer, ...]
    contents: tuple[int | None, ...]
    packages: tuple[Weight, ...]
    folders: tuple[Heap, ...]
    files: tuple[Heap, ...]
    covered: int

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(one or 0 for one in self.contents)


@dataclass(slots=True)
class _Pile:
    size: int
    files: int
    layers: dict[int, int]
    folders: dict[str, int]


def weigh(target: str, layers: Sequence[Layer], entries: Sequence[Iterable[Listed] | None]) -> Weighed:
    """What the layers of an image weigh.

    Args:
        entries: of each layer, in the order of `layers`; None where they are not known.
    """
    piles: dict[tuple[str, str, str, bool], _Pile] = {}
    folders: dict[str, int] = {}
    files: list[tuple[int, str, str]] = []
    contents: list[int | None] = []
    covered = _Covered()
    for number, (layer, listed) in enumerate(zip(layers, entries, strict=True)):
        if listed is None:
            contents.append(None)
            continue
        here = list(listed)
        covered.lay(here)
        whole = 0
        for entry in here:
            if entry.kind != "file":
                continue
            kind, name = owner_of(layer.name, entry.owner)
            key = (layer.image, kind, name, bool(entry.owner))
            pile = piles.get(key)
            if pile is None:
                pile = piles[key] = _Pile(0, 0, {}, {})
            size, folder = entry.size, entry.path.rpartition("/")[0]
            whole += size
            pile.size += size
            pile.files += 1
            pile.layers[number] = pile.layers.get(number, 0) + size
            pile.folders[folder] = pile.folders.get(folder, 0) + size
            folders[folder] = folders.get(folder, 0) + size
            files.append((-size, entry.path, entry.owner))
        contents.append(whole)
    return Weighed(
        target=target,
        layers=tuple(layers),
        contents=tuple(contents),
        packages=_weights(piles),
        folders=_largest(folders),
        files=tuple(Heap(path=path, size=-size, owner=owner) for size, path, owner in nsmallest(MOST, files) if size),
        covered=covered.size,
    )


def owner_of(layer: str, owner: str) -> Owner:
    """Whose an entry is: kind and package; without a package, kind and layer.

    Args:
        layer: its name, which begins with the kind: `pip/bucket-0`, `overlays`.
    """
    return layer.partition("/")[0], owner or layer


def by_owner(layer: str, entries: Iterable[Listed]) -> Mapping[Owner, int]:
    """Bytes of one layer's files by owner."""
    found: dict[Owner, int] = {}
    for entry in entries:
        if entry.kind == "file":
            owner = owner_of(layer, entry.owner)
            found[owner] = found.get(owner, 0) + entry.size
    return found


def _weights(piles: Mapping[tuple[str, str, str, bool], _Pile]) -> tuple[Weight, ...]:
    found = [
        Weight(
            image=image,
            kind=kind,
            name=name,
            owned=owned,
            size=pile.size,
            files=pile.files,
            layers=tuple(sorted(pile.layers, key=lambda one: (-pile.layers[one], one))),
            folders=tuple(sorted(pile.folders.items())),
        )
        for (image, kind, name, owned), pile in piles.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.size, one.kind, one.name, one.image)))


def _largest(direct: Mapping[str, int]) -> tuple[Heap, ...]:
    """The largest folders with all that is below them, from the bytes that lie right in each."""
    whole: dict[str, int] = {}
    for path, size in direct.items():
        while path:
            whole[path] = whole.get(path, 0) + size
            path = path.rpartition("/")[0]
    heaviest: dict[str, int] = {}
    for path, size in whole.items():
        parent = path.rpartition("/")[0]
        heaviest[parent] = max(heaviest.get(parent, 0), size)
    found = [
        Heap(path=f"{path}/", size=size)
        for path, size in whole.items()
        if size and heaviest.get(path, 0) < size * _NEARLY
    ]
    return tuple(sorted(found, key=lambda one: (-one.size, one.path))[:MOST])


class _Covered:
    """Counts the bytes of files that later layers cover."""

    def __init__(self) -> None:
        self.size = 0
        self._stand: dict[str, int] = {}
        self._folders: set[str] = set()

    def lay(self, entries: Sequence[Listed]) -> None:
        """The next layer. Its whiteouts hide what is in the layers below, never its own (image-spec v1.1, layer.md).

        What takes the place of a folder hides all that is in it.
        """
        whiteouts = {entry.path.removesuffix(".wh..opq").rstrip("/") for entry in entries if entry.kind == "whiteout"}
        others = [entry for entry in entries if entry.kind not in {"dir", "whiteout"}]
        self._hide(whiteouts | {entry.path for entry in others if entry.path in self._folders})
        for entry in others:
            self.size += self._stand.pop(entry.path, 0)
            if entry.size:
                self._stand[entry.path] = entry.size
                self._note(entry.path.rpartition("/")[0])

    def _hide(self, gone: Set[str]) -> None:
        """Take away these files, and what lies below these folders."""
        if not gone:
            return
        for path in [path for path in self._stand if path in gone or _below(path, gone)]:
            self.size += self._stand.pop(path)

    def _note(self, folder: str) -> None:
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]


def _below(path: str, folders: Set[str]) -> bool:
    """Whether a path lies below one of these; the root is "", and above all."""
    while path:
        path = path.rpartition("/")[0]
        if path in folders:
            return True
    return False
