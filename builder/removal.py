"""Removing a folder that foreign code filled: deeper than paths are long, than Python recurses, than files are open."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder and whatever is in it; what cannot be removed stays. No link in it is followed."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir() and not folder.is_symlink():
        with suppress(OSError):
            _flattened(folder)


def _flattened(folder: Path) -> None:
    """Folder by folder, whose own folders are moved to the top first: two are open at a time."""
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        waiting = [name for name in os.listdir(top) if not _unlinked(name, top)]
        for number, name in enumerate(waiting):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                for place, found in enumerate(os.listdir(inner)):
                    if not _unlinked(found, inner):
                        moved = f".stackbuild-{number}-{place}"
                        os.rename(found, moved, src_dir_fd=inner, dst_dir_fd=top)
                        waiting.append(moved)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def _unlinked(name: str, folder: int) -> bool:
    """Whether it was no folder, and is gone."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        return False
    return True
