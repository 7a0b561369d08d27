"""What a check brings into an image to see what becomes of it: a package of nothing, and sources for S2I."""

from __future__ import annotations

import json
import os
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path

MODULE = "stackbuild_probe"
_NAME = f"{MODULE}-1.0-py3-none-any.whl"
_INFO = f"{MODULE}-1.0.dist-info"
_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def wheel(folder: Path) -> Path:
    """Write a wheel with one empty module into a folder."""
    files = {
        f"{MODULE}.py": "",
        f"{_INFO}/METADATA": f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1.0\n",
        f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: stackbuild\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{_INFO}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{_INFO}/RECORD"))
    path = folder / _NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    path.chmod(0o644)
    return path


def sources(folder: Path) -> tuple[str, ...]:
    """Write what S2I would upload of a repository: notebooks, and a package that they need.

    Nobody but their owner, whom the folder belongs to, may write them, as git leaves files under a usual umask.

    Returns:
        Paths of the notebooks, below the folder.
    """
    names = ("first.ipynb", "more/second.ipynb")
    (folder / "more").mkdir()
    for name in names:
        (folder / name).write_text(json.dumps(_NOTEBOOK))
    wheel(folder)
    (folder / "requirements.txt").write_text(f"--no-index\n./{_NAME}\n")
    owner = folder.stat()
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(path, owner.st_uid, owner.st_gid)
    return names


def unwritable(folders: Sequence[str]) -> str:
    """A line of shell that names what group 0 may not write below some folders: g+rwx for folders, g+rw for files."""
    where = " ".join(shlex.quote(one) for one in folders)
    rights = r"\( ! -group 0 -o -type d ! -perm -0070 -o -type f ! -perm -0060 \)"
    return rf"find {where} ! -type l {rights} -printf 'not writable for the group: %p (%M %U:%G)\n'"
