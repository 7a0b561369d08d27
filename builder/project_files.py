"""The files of a project that a plan is made from, beside the manifest, each by its digest."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("locks", "overlays", "scripts")
"""Where they are; `scripts` are those that images run."""

Files = Mapping[str, str]
"""Path, relative to the project → what it is (`f`, `x` of a program, `l` of a link), and the hex of its sha256."""


def files(folder: Path) -> dict[str, str]:
    """Every file below `FOLDERS`, as it is on disk, sorted."""
    found: dict[str, str] = {}
    for name in FOLDERS:
        _walk(str(folder), name, found)
    return dict(sorted(found.items()))


def _walk(folder: str, below: str, found: dict[str, str]) -> None:
    try:
        entries = list(os.scandir(f"{folder}/{below}"))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = f"{below}/{entry.name}"
        if entry.is_symlink() or entry.is_file():
            found[path] = identity(entry.path)
        elif entry.is_dir():
            _walk(folder, path, found)


def identity(path: str) -> str:
    """What one file is, as `Files` has it. A link is its text, not what it leads to."""
    if os.path.islink(path):
        return "l" + hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = os.fstat(handle)
        data = os.read(handle, min(info.st_size + 1, 1 << 20))  # In one piece: locks are small and many.
        hasher = hashlib.sha256(data)
        while data := os.read(handle, 1 << 20):
            hasher.update(data)
    finally:
        os.close(handle)
    return ("x" if info.st_mode & 0o100 else "f") + hasher.hexdigest()


def libraries() -> list[str]:
    """Names and versions of what is installed, sorted: the versions of some are in keys, as they write bytes."""
    found: set[str] = set()
    for folder in sys.path:
        try:
            found.update(name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue
    return sorted(found)
