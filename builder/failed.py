"""Roots of failed steps, kept so that one can look into them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from builder.errors import StackbuildError
from builder.removal import remove
from builder.store import Store


def keep(store: Store, name: str, upper: Path, lowers: Sequence[Path]) -> bool:
    """Keep a failed step's upper folder and where its lower ones lie (uppermost first), under the name of its log.

    Returns:
        Whether it could be kept: a folder in memory has to be copied, for which the disk may be too full.
    """
    place = store.path / "failed" / name
    remove(place)
    try:
        place.mkdir(parents=True)
        place.parent.chmod(0o700)  # As in `unpacked.folder`.
        _move(upper, place / "upper")
        store.write(f"failed/{name}/lowers.json", json.dumps([str(lower) for lower in lowers]).encode())
    except (OSError, StackbuildError, subprocess.CalledProcessError):
        remove(place)
        return False
    return True


def _move(upper: Path, target: Path) -> None:
    try:
        os.rename(upper, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Owners, modes, times, hard links, whiteouts and xattrs: shutil keeps but a part of these.
        subprocess.run(["cp", "-a", str(upper), str(target)], check=True, stderr=subprocess.DEVNULL)


def find(store: Store, name: str) -> tuple[Path, tuple[Path, ...]]:
    """The upper and lower folders of a failed step.

    Raises:
        StackbuildError: no such step failed, or it has been built since.
    """
    place = store.path / "failed" / name
    if not (place / "lowers.json").is_file():
        known = sorted(path.parent.name for path in (store.path / "failed").glob("*/lowers.json"))
        raise StackbuildError(f"no failed step {name}", expected=", ".join(known) or "there is none in this store")
    return place / "upper", tuple(Path(lower) for lower in json.loads((place / "lowers.json").read_text()))
