"""What the manifest asks for, as types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from builder.kinds.kernelspec import document
from builder.manifest.edges import chosen
from builder.manifest.model import Manifest, Target

KEY: Final = "kernelspecs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A kernelspec of an image.

    Attributes:
        name: of its folder.
        reader: one of `READERS`.
        language: as kernelspecs write it.
        kernel: the target that it names, of the same platform.
    """

    name: str
    reader: str
    display: str
    language: str
    kernel: Target

    def spec(self, reference: str) -> document.Spec:
        """What its kernel.json says if the kernel image is there."""
        return document.Spec(
            reader=self.reader,
            language=self.language,
            display=self.display,
            reference=reference,
            name=self.name,
        )


def requests(manifest: Manifest, target: Target) -> tuple[Request, ...]:
    """Those of the image itself, in the order of first mention.

    Raises:
        StackbuildError: what it names is no kernel image.
    """
    found = []
    for table in manifest.tables(target, KEY):
        kernel = chosen(manifest, target, table)
        found.append(
            Request(
                name=str(table["name"]),
                reader=str(table["for"]),
                display=str(table.get("display") or document.display(manifest, kernel)),
                language=document.language(manifest, kernel),
                kernel=kernel,
            )
        )
    return tuple(found)


def inherited(manifest: Manifest, target: Target) -> tuple[Request, ...]:
    """Those that lie in the image: its ancestors' and its own, which replace them; sorted by name.

    Raises:
        StackbuildError: what is named is no kernel image.
    """
    found = {one.name: one for each in manifest.lineage(target) for one in requests(manifest, each)}
    return tuple(found[name] for name in sorted(found))
