"""The families as a Mermaid flow chart: an arrow from each image to what is built from it."""

from __future__ import annotations

from builder.manifest.model import PLAIN, Manifest


def mermaid(manifest: Manifest) -> str:
    """The chart's text; images parents first, archives as rounded roots."""
    lines = ["flowchart TD"]
    archives = sorted({image.archive for image in manifest.images.values() if image.archive})
    lines += [f'    archive-{name}(["{name}"])' for name in archives]
    for image in manifest.images.values():
        variants = [name for name in image.variants if name != PLAIN]
        label = image.name + (f"<br/>{', '.join(variants)}" if variants else "")
        lines.append(f'    {image.name}["{label}"]')
        above = image.parent or f"archive-{image.archive}"
        lines.append(f"    {above} --> {image.name}")
    return "\n".join(lines) + "\n"
