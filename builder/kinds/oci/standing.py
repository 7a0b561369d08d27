"""What stands in the foreign image of a family where others put files: told by its lock, so that nothing is fetched.

A layer has to repeat the folders on the way to its files as they stand below. The lock has rows for those whose mode or
owner is not that of the nearest above them; a folder that the image does not have comes out as the nearest one is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builder.digest import Json
from builder.kinds.oci import relayout
from builder.kinds.oci.inherited_file import InheritedLock
from builder.kinds.oci.lockfile import BaseLock
from builder.kinds.oci.survey import nearest
from builder.site import Site


@dataclass(frozen=True, slots=True)
class Standing:
    """Folders and links of a foreign image, with the layout's owners."""

    folders: Mapping[str, tuple[int, int, int]]
    links: Mapping[str, str]

    def at(self, path: str) -> Json:
        """`[mode, uid, gid]` of a folder, or a link's text. Links of the image are not followed."""
        return self.links[path] if path in self.links else list(nearest(path, self.folders))

    def among(self, paths: Iterable[str]) -> dict[str, Json]:
        """What stands at these paths, by path."""
        return {path: self.at(path) for path in sorted(paths)}

    def around(self, prefix: str, *, inside: bool) -> dict[str, Json]:
        """The rows that say how folders are on the way to a prefix: path → mode, uid, gid.

        Args:
            inside: the prefix is the image's own: of it and the folders in it as well.
        """
        way = prefix.strip("/")
        above = [way[:end] for end in range(1, len(way)) if way[end] == "/"]
        found: dict[str, Json] = {path: list(nearest(path, self.folders)) for path in above}
        if inside:
            found[way] = list(nearest(way, self.folders))
            found |= {path: list(ids) for path, ids in self.folders.items() if path.startswith(way + "/")}
        return found


def of(site: Site) -> Standing | None:
    """What the family's foreign image holds; None where it begins with none."""
    root = site.manifest.lineage(site.target)[0]
    lock, holds = site.locks.read(root, "oci"), site.locks.read(root, "inherited")
    if not site.manifest.image(root).base or not isinstance(lock, BaseLock) or not isinstance(holds, InheritedLock):
        return None
    layout = site.manifest.layout(root)
    change = relayout.change(lock, holds, layout) if layout else None
    folders = {"": (0o755, 0, 0)} | {path: (mode, uid, gid) for path, mode, uid, gid in holds.folders}
    if change is not None:
        folders = {path: change.ids(*ids) for path, ids in folders.items()}
    return Standing(folders, dict(holds.links))
