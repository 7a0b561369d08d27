"""The families as a Mermaid flow chart: an arrow from each image to what is built from it, a dashed one to what names
it by its digest."""

from __future__ import annotations

from collections.abc import Container

from builder.exports import Scope, Subject
from builder.manifest import edges
from builder.manifest.model import Manifest
from builder.manifest.settings import PLAIN

SCOPE = Scope.FAMILY


def export(subject: Subject) -> str:
    """The chart of the targets' images, of what they name and of the ancestors of both."""
    manifest = subject.manifest
    return mermaid(manifest, {one.image for each in subject.targets for one in edges.whole(manifest, each)})


def mermaid(manifest: Manifest, only: Container[str] | None = None) -> str:
    """The chart's text; images parents first, archives as rounded roots.

    Args:
        only: names of the images that are drawn, with whatever they are built from; None for all.
    """
    lines = ["flowchart TD"]
    images = [image for image in manifest.images.values() if only is None or image.name in only]
    archives = sorted({image.archive for image in images if image.archive})
    lines += [f'    archive-{name}(["{name}"])' for name in archives]
    for image in images:
        variants = [name for name in image.variants if name != PLAIN]
        label = image.name + (f"<br/>{', '.join(variants)}" if variants else "")
        lines.append(f'    {image.name}["{label}"]')
        above = image.parent or f"archive-{image.archive}"
        lines.append(f"    {above} --> {image.name}")
    named = {(one.image, target.image) for target in manifest.targets() for one in edges.named(manifest, target)}
    drawn = {image.name for image in images}
    lines += [f"    {one} -.-> {reader}" for one, reader in sorted(named) if reader in drawn]
    return "\n".join(lines) + "\n"
