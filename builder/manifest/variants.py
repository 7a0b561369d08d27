"""Whether every variant of every image has a platform, and a parent on it.

Like `validate.py`, works on what tomli gave and passes over what has the wrong shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builder.manifest.settings import PLAIN
from builder.manifest.shape import Finding, Names, join, show, unknown
from builder.manifest.validate import Tables, names, tables, texts


def check(document: Mapping[str, Any], full: Tables) -> Iterator[Finding]:
    """What is wrong about variants and platforms.

    Args:
        document: what tomli gave.
        full: its images, expanded.
    """
    grid = Grid(document, full)
    for name, image in tables(document, "images").items():
        path = join("images", name)
        yield from _platforms(path, image, grid)
        yield from _on(path, name, image, grid)
        for variant in grid.variants(name):
            yield from _platform_left(path, name, variant, grid)
            yield from _parent(path, name, variant, grid)
    yield from _on_of_sets(document, names(document))
    yield from _published(document, full, grid)


class Grid:
    """The platforms of each image and variant, as far as the document makes sense."""

    def __init__(self, document: Mapping[str, Any], full: Tables) -> None:
        project = document.get("project")
        self.project = texts(project.get("platforms")) if isinstance(project, dict) else ()
        self._limits = {PLAIN: None} | {
            name: one.get("platforms") for name, one in tables(document, "variants").items()
        }
        self._images = full

    def parent(self, name: str) -> str | None:
        parent = self._images[name].get("from")
        return parent if isinstance(parent, str) and parent in self._images else None

    def variants(self, name: str) -> tuple[str, ...]:
        """The variants of the image that the manifest defines."""
        return tuple(one for one in texts(self._images[name].get("variants", [PLAIN])) if one in self._limits)

    def platforms(self, name: str, variant: str) -> tuple[str, ...]:
        limits = (self._images[name].get("platforms"), self._limits[variant])
        return tuple(one for one in self.project if all(one in limit for limit in limits if isinstance(limit, list)))


def _platforms(path: str, image: Mapping[str, Any], grid: Grid) -> Iterator[Finding]:
    for n, platform in enumerate(texts(image.get("platforms"))):
        if platform not in grid.project:
            here = join(join(path, "platforms"), n)
            yield Finding(
                path=here,
                what=f"not a platform of the project: {here}",
                expected="one of " + ", ".join(grid.project),
                got=show(platform),
                next_step="add it to project.platforms, or remove it here",
            )


def _on(path: str, name: str, image: Mapping[str, Any], grid: Grid) -> Iterator[Finding]:
    for selector in tables(image, "on"):
        variant, _, platform = selector.partition("@")
        here = join(join(path, "on"), selector)
        if variant and variant not in grid.variants(name):
            yield Finding(
                path=here,
                what=f"never used: {here}",
                expected=f"a variant that {name} has: " + ", ".join(grid.variants(name)),
                got=show(variant),
                next_step=f'add "{variant}" to {join(path, "variants")}, or remove it here',
            )
        elif platform and not any(platform in grid.platforms(name, one) for one in grid.variants(name)):
            yield Finding(
                path=here,
                what=f"never used: {here}",
                expected=f"a platform that {name} is built for",
                got=show(platform),
                next_step="add it to project.platforms, or remove it here",
            )


def _on_of_sets(document: Mapping[str, Any], known: Names) -> Iterator[Finding]:
    for name, asked in tables(document, "sets").items():
        for selector in tables(asked, "on"):
            variant = selector.partition("@")[0]
            if variant and variant not in known["variants"]:
                yield unknown("variants", variant, known, join(join(join("sets", name), "on"), selector))


def _platform_left(path: str, name: str, variant: str, grid: Grid) -> Iterator[Finding]:
    if grid.project and not grid.platforms(name, variant):
        yield Finding(
            path=path,
            what=f"no platform left for {name}:{variant}",
            expected="one of the project's that both the image and the variant allow: " + ", ".join(grid.project),
            next_step=f"widen platforms of variants.{variant} or {path}, or drop the variant",
        )


def _parent(path: str, name: str, variant: str, grid: Grid) -> Iterator[Finding]:
    parent = grid.parent(name)
    if parent is None:
        return
    # As `Manifest.parent` chooses: the parent's same variant, else its plain one.
    theirs = variant if variant in grid.variants(parent) else PLAIN
    if theirs not in grid.variants(parent):
        yield Finding(
            path=path,
            what=f"no parent for {name}:{variant}",
            expected=f"{parent} to have the variant {variant} or {PLAIN}",
            got=f"{parent} has " + (", ".join(grid.variants(parent)) or "none"),
        )
        return
    offered = grid.platforms(parent, theirs)
    missing = [one for one in grid.platforms(name, variant) if one not in offered]
    if missing and offered:
        yield Finding(
            path=path,
            what=f"no parent for {name}:{variant} on {', '.join(missing)}",
            expected=f"{parent}:{theirs} for it too",
            got=f"{parent}:{theirs} is for " + ", ".join(offered),
            next_step=f"narrow platforms of {path}, or widen those of {join('images', parent)}",
        )


def _published(document: Mapping[str, Any], full: Tables, grid: Grid) -> Iterator[Finding]:
    """No two images and variants may go under one name."""
    first: dict[str, str] = {}
    for name in tables(document, "images"):
        template = full[name].get("publish", "{image}{variant}")
        for variant in grid.variants(name) if isinstance(template, str) else ():
            suffix = "" if variant == PLAIN else f"-{variant}"
            published = template.replace("{image}", name).replace("{variant}", suffix)
            other = first.setdefault(published, f"{name}:{variant}")
            if other != f"{name}:{variant}":
                here = join(join("images", name), "publish")
                yield Finding(
                    path=here,
                    what=f"published twice: {here}",
                    expected="a name that no other image and variant has",
                    got=f"{published} for {other} and {name}:{variant}",
                )
