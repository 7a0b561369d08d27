"""Trees of built layers and of other tools' results, in a form that can be compared entry by entry."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from builder.digest import Digest
from builder.store import Store


class Node(NamedTuple):
    """One entry as a user sees it; hard links are files. `content`: sha256 of a file, target of a link."""

    kind: str
    mode: str
    uid: int
    gid: int
    size: int
    content: str


Tree = dict[str, Node]


def of_layers(store: Store, layers: Iterable[Mapping[str, Any]]) -> Tree:
    """What an engine sees after applying these layers in order (OCI image-spec v1.1, layer.md)."""
    tree: Tree = {}
    for layer in layers:
        with tarfile.open(store.blob(Digest(layer["digest"])), "r:gz") as archive:
            found = _of_archive(archive)
        for path in [path for path in found if path.rpartition("/")[2].startswith(".wh.")]:
            folder, _, name = path.rpartition("/")
            gone = folder if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".lstrip("/")
            for known in [one for one in tree if one.startswith(gone + "/") or (one == gone and gone != folder)]:
                del tree[known]
            del found[path]
        tree.update(found)
    return tree


def of_tar(path: Path) -> Tree:
    """A root file system that another tool wrote as a tar."""
    with tarfile.open(path) as archive:
        return _of_archive(archive)


def _of_archive(archive: tarfile.TarFile) -> Tree:
    tree: Tree = {}
    for member in archive:
        path = member.name.removeprefix("./").strip("/")
        mode = f"{member.mode & 0o7777:04o}"
        if path in {"", "."}:
            continue
        if member.isreg():
            stream = archive.extractfile(member)
            assert stream is not None
            digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
            tree[path] = Node("file", mode, member.uid, member.gid, member.size, digest)
        elif member.islnk():
            tree[path] = tree[member.linkname.removeprefix("./").strip("/")]
        elif member.issym():
            tree[path] = Node("link", "0777", member.uid, member.gid, 0, member.linkname)
        else:
            kind = "folder" if member.isdir() else "special"
            tree[path] = Node(kind, mode, member.uid, member.gid, 0, "")
    return tree


def of_folder(root: Path, below: str) -> Tree:
    """A folder on disk, `below` relative to it; paths are relative to `root`."""
    tree: Tree = {}
    for folder, names, files in os.walk(root / below):
        for name in (*names, *files):
            path = Path(folder, name)
            info = path.lstat()
            mode, shown = f"{stat.S_IMODE(info.st_mode):04o}", path.relative_to(root).as_posix()
            if path.is_symlink():
                tree[shown] = Node("link", "0777", info.st_uid, info.st_gid, 0, os.readlink(path))
            elif path.is_dir():
                tree[shown] = Node("folder", mode, info.st_uid, info.st_gid, 0, "")
            else:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                tree[shown] = Node("file", mode, info.st_uid, info.st_gid, info.st_size, digest)
    return tree


def differences(ours: Tree, theirs: Tree) -> dict[str, str]:
    """Path → how it differs, in words that `Documented` matches."""
    found = {}
    for path in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(path), theirs.get(path)
        if one is None:
            found[path] = "absent from ours"
        elif other is None:
            found[path] = "ours alone"
        elif one != other:
            fields = [name for name in Node._fields if getattr(one, name) != getattr(other, name)]
            found[path] = ", ".join(f"{name} {getattr(one, name)} not {getattr(other, name)}" for name in fields)
    return found


class Documented:
    """Differences that are meant: `pattern<TAB>reason` lines, a pattern being `path: how` with `*` and `?`."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, str] = {}
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                pattern, _, reason = line.partition("\t")
                assert reason.strip(), f"{path.name}: no reason: {line}"
                self.rows[pattern] = reason.strip()

    def explain(self, found: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Differences that no line documents, and lines that nothing differs by any more."""
        rules = {pattern: re.compile(_regular(pattern)) for pattern in self.rows}
        used: set[str] = set()
        unknown = []
        for path, how in found.items():
            matching = [pattern for pattern, rule in rules.items() if rule.fullmatch(f"{path}: {how}")]
            used.update(matching)
            if not matching:
                unknown.append(f"{path}: {how}")
        return unknown, sorted(set(rules) - used)


def _regular(pattern: str) -> str:
    return "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in pattern)


def run(command: Sequence[str | Path], **options: Any) -> str:
    """Run a tool; its standard output. What it said is in the failure."""
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return str(done.stdout)
