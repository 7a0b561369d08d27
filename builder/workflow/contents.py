"""What one target holds: packages by its locks, layers where it is built, the layers it will get where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from builder import listing
from builder.difference import Contents, Layer, Owner, Package
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.listing import Listed
from builder.locks import formats
from builder.manifest.model import Target
from builder.planner import expected, lineage, plan_target
from builder.site import Planned
from builder.store import Store
from builder.weight import by_owner
from builder.workflow import build
from builder.workflow.project import Project


def contents(project: Project, target: Target, planned: dict[Target, Planned]) -> Contents:
    """A target as the project's locks have it, and as it is built in the store; without weights.

    Args:
        planned: what was planned so far; the target is there afterwards.

    Raises:
        StackbuildError: a lock is damaged. Where one is only missing, the notes say so.
    """
    found = Contents(name=str(target), packages=tuple(_packages(project, target)))
    try:
        end = plan_target(project.manifest, project.locks, target, planned).image
    except StackbuildError as error:
        return replace(found, notes=(f"{target} cannot be planned: {error.what}",))
    assert end is not None
    foreseen = tuple(
        replace(layer, image=one.target.image)
        for one in lineage(project.manifest, target, planned)
        for action in one.actions
        if action.layers
        for layer in expected(action)
    )
    found = replace(found, plan_key=end.plan_key, expected=foreseen)
    done = project.store.action(end.plan_key)
    if done is None:
        return found
    return replace(found, manifest=done["result"]["manifest"]["digest"], layers=layers(project, planned, target))


def layers(project: Project, planned: Mapping[Target, Planned], target: Target) -> tuple[Layer, ...]:
    """The layers of a built target, lowest first, each with the image of its family that brings it.

    Raises:
        StackbuildError: it is not built.
    """
    rows = build.result(project, planned, target)["layers"]
    images = _images(project, planned, target, len(rows))
    read = _read_bases(project.store, planned[target])
    return tuple(
        Layer(
            name=row["name"],
            digest=Digest(row["digest"]),
            size=row["size"],
            raw=row.get("raw"),
            image=image,
            listing=row.get("listing", ""),
        )
        for row, image in zip((read.get(row["digest"], row) for row in rows), images, strict=True)
    )


def _images(project: Project, planned: Mapping[Target, Planned], target: Target, layers: int) -> list[str]:
    """The image that brings each layer, "" where nobody knows: a cache may have brought the image as a whole."""
    found: list[str] = []
    for one in lineage(project.manifest, target, planned):
        if one.target == target:
            return [*found, *[target.image] * (layers - len(found))]
        own = _own(project.store, one, len(found))
        if own is None:
            break
        found += [one.target.image] * own
    return [*found, *[""] * (layers - len(found))]


def _own(store: Store, one: Planned, below: int) -> int | None:
    """How many layers an ancestor has of its own: by its steps, else by its image."""
    done = [store.action(action.plan_key) for action in one.actions if action.layers]
    results = [found["result"]["layers"] for found in done if found is not None]
    if len(results) == len(done):
        return sum(map(len, results))
    image = store.action(one.image.plan_key) if one.image is not None else None
    return len(image["result"]["layers"]) - below if image is not None else None


def _read_bases(store: Store, one: Planned) -> dict[str, Mapping[str, Any]]:
    """The layers of a foreign base that something has read, by digest: with their size and their list of entries."""
    assert one.image is not None
    found = {}
    for need in one.image.needs.values():
        done = store.action(need.content.plan_key) if need.content is not None else None
        if done is not None:
            found.update({row["digest"]: row for row in done["result"]["layers"]})
    return found


def _packages(project: Project, target: Target) -> Iterator[Package]:
    """The pins of the target and its ancestors, root first; what a foreign base holds too."""
    for one in project.manifest.lineage(target):
        for kind in formats():
            lock = project.locks.read(one, kind)
            for pin in lock.pins if lock is not None else ():
                held = kind == "inherited"
                yield Package(
                    kind=pin.kind if held else kind,
                    name=pin.name,
                    version=pin.version,
                    image=one.image,
                    digest=pin.digest,
                    size=pin.size,
                    prefix=pin.field("prefix") if held else "",
                )


def entries(store: Store, layer: Layer) -> Iterator[Listed] | None:
    """The entry list of a layer; None where there is none."""
    return listing.read(store, {"listing": layer.listing}) if layer.listing else None


@dataclass(frozen=True, slots=True)
class Scales:
    """Weighs layers by owner, each once in a run."""

    store: Store
    _known: dict[tuple[str, str], Mapping[Owner, int] | None] = field(default_factory=dict)

    def weighed(self, a: Contents, b: Contents) -> tuple[Contents, Contents]:
        """Two sides with their weights, where the files of all layers are known that they do not have in common."""
        if a.layers is None or b.layers is None:
            return a, b
        dark = [{one.digest for one in side if self._of(one) is None} for side in (a.layers, b.layers)]
        had, has = ({one.digest for one in side} for side in (a.layers, b.layers))
        if dark[0] - has or dark[1] - had:
            return a, b
        return replace(a, weights=self._sum(a.layers)), replace(b, weights=self._sum(b.layers))

    def _sum(self, layers: Sequence[Layer]) -> dict[Owner, int]:
        found: dict[Owner, int] = {}
        for layer in layers:
            for owner, size in (self._of(layer) or {}).items():
                found[owner] = found.get(owner, 0) + size
        return found

    def _of(self, layer: Layer) -> Mapping[Owner, int] | None:
        key = (layer.name, layer.listing)
        if key not in self._known:
            listed = entries(self.store, layer)
            self._known[key] = by_owner(layer.name, listed) if listed is not None else None
        return self._known[key]
