"""The project's own overlays as components of a bill of materials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from builder.bill import Component, Subject


def components(subject: Subject) -> Iterator[Component]:
    """Each overlay as one component, whatever files it has; it has no version."""
    found: dict[str, str] = {}
    for target in subject.manifest.lineage(subject.target):
        for item in cast(Sequence[Any], subject.manifest.image(target).asks.get("overlays", ())):
            found.setdefault(item if isinstance(item, str) else str(item["name"]), target.image)
    for name, image in found.items():
        yield Component(
            ref=f"overlay:{name}", kind="overlay", name=name, version="", image=image, type="file", asked=True
        )
