"""What a power cut may take of a store, as tests/crashing has written it down: any of what was not synced.

Of each name, whatever it was since its folder was last synced; of each file, its content if it was not synced since it
was made. So much is more than ext4, XFS or btrfs would take; it is what POSIX allows (fsync(2), rename(2)).
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random


def cut(store: Path, before: Path, log: Path, draw: Random) -> int:
    """Let the power be cut, and the machine come up again.

    Args:
        before: a copy of the store as it was, whose files are all on the disk.
        log: what was written down.

    Returns:
        How many things were taken.
    """
    names: dict[Path, list[Path | None]] = {}
    synced: set[int] = set()
    lines = (log / "log").read_text().splitlines() if (log / "log").exists() else []
    for line in lines:
        what, _, rest = line.partition(" ")
        if what == "name":
            kept, _, name = rest.partition(" ")
            names.setdefault(Path(name), []).append(log / kept if kept != "-" else None)
        elif what == "folder":
            names = {path: found for path, found in names.items() if path.parent != Path(rest)}
        elif what == "file":
            synced.add(int(rest))
        else:
            names = {}
            synced |= {one.lstat().st_ino for one in store.rglob("*")}
    taken = 0
    for path, former in sorted(names.items()):
        if path.parent != store / "tmp" and not path.is_dir():
            taken += _taken(path, former[draw.randrange(len(former))] if draw.random() < 0.5 else path)
    for path in sorted(store.rglob("*")):
        if path.is_file() and path.parent != store / "tmp" and path.stat().st_ino not in synced:
            old = before / path.relative_to(store)
            known = old.is_file() and old.read_bytes() == path.read_bytes()
            if not known and draw.random() < 0.5:
                os.truncate(path, 0)
                taken += 1
    return taken


def _taken(path: Path, former: Path | None) -> bool:
    """Let a name mean what it did."""
    if former == path:
        return False
    there = path.exists()
    if former is None:
        path.unlink(missing_ok=True)
        return there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.link(former, path)
    return True
