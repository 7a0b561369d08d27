"""What scripts left in an image, which no bill of materials can list."""

from __future__ import annotations

from collections.abc import Iterator

from builder.bill import Component, Subject


def components(subject: Subject) -> Iterator[Component]:
    """None: a script may bring anything, and says of nothing what it is."""
    return iter(())


def unlisted(subject: Subject) -> Iterator[str]:
    """What is in the image and in no list."""
    for target in subject.manifest.lineage(subject.target):
        for step in subject.manifest.tables(target, "run"):
            yield f"What the script {step['name']} of {target.image} left is not listed."
