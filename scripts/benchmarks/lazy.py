"""What a lazily pulled image needs before its first HTTP 200, of all that its eStargz layers hold.

Needed are, of every layer, the footer and the table of contents, and the compressed chunks of the files that the start
really reads, whole files only. Which these are the kernel tells: the image lies merged in one folder, on a mount that
notes every access (mount(8), strictatime), with all times of access set back before the start.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.place import Place, open_target
from benchmarks.row import Measure, Row
from builder.built import Image
from builder.checks import kubeflow
from builder.digest import Digest
from builder.runtimes import Container, volume, watched
from builder.runtimes.native import Sandboxed
from builder.sandbox import Command, Root, run, started
from builder.workflow import build

_GOAL = 0.15
_FOOTER = 51
_LONG_AGO = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A layer's table of contents.

    Attributes:
        needed: bytes of table and footer.
        size: of the blob.
        links: hard link → the file that it names.
        files: file → bytes of its chunks.
    """

    needed: int
    size: int
    links: Mapping[str, str]
    files: Mapping[str, int]

    @classmethod
    def read(cls, blob: Path) -> Table:
        data = blob.read_bytes()
        start = int(data[-_FOOTER + 16 : -_FOOTER + 32], 16)
        raw = gzip.decompress(data[start:-_FOOTER])
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            stream = archive.extractfile("stargz.index.json")
            assert stream is not None
            rows = json.load(stream)["entries"]
        offsets = [row["offset"] for row in rows if "offset" in row]
        ends = dict(zip(offsets, [*offsets[1:], start], strict=True))
        files: dict[str, int] = {}
        for row in rows:
            if row["type"] in {"reg", "chunk"}:
                length = ends[row["offset"]] - row["offset"] if "offset" in row else 0
                files[row["name"]] = files.get(row["name"], 0) + length
        links = {row["name"]: row["linkName"] for row in rows if row["type"] == "hardlink"}
        return cls(len(data) - start, len(data), links, files)


def lazy(place: Place) -> Row:
    needed, whole, files, bytes_ = measured(place, "jupyter")
    return Row(
        what="eStargz: bytes needed before the first HTTP 200 of jupyter",
        goal=f"≤ {_GOAL:.0%} of the image",
        result=f"{needed / 1e6:.1f} of {whole / 1e6:.1f} MB, {needed / whole:.1%}",
        kept=needed <= _GOAL * whole,
        notes=(f"{files} files read, {bytes_ / 1e6:.1f} MB compressed; the rest is tables of contents",),
    )


def measured(place: Place, name: str) -> tuple[int, int, int, int]:
    """Bytes needed and bytes in all; of those needed, how many files, and their bytes."""
    project = place.project()
    manifest = project / "stacks.toml"
    manifest.write_text(re.sub(r"^\[project\]", '[project]\ncompression = "estargz"', manifest.read_text(), flags=re.M))
    with place.store(built=False) as store:
        place.run(store, project, "build", name, "--no-start")
        opened, target = open_target(store, project, name)
        result = build.result(opened, build.plan(opened, (target,)), target)
        image = Image(opened.store, result)
        tables = [Table.read(opened.store.blob(Digest(layer["digest"]))) for layer in result["layers"]]
        read = _read_at_start(image, place.folder("merged"))
    found = {_place(path, tables) for path in read} - {None}
    bytes_ = sum(tables[number].files[path] for number, path in found if path)  # type: ignore[misc]
    return sum(one.needed for one in tables) + bytes_, sum(one.size for one in tables), len(found), bytes_


def _place(path: str, tables: Sequence[Table]) -> tuple[int, str] | None:
    """The uppermost layer with that file, and what it is called there; None for what the start itself has written."""
    for number, table in reversed([*enumerate(tables)]):
        own = table.links.get(path, path)
        if own in table.files:
            return number, own
    return None


def _read_at_start(image: Image, folder: Path) -> list[str]:
    """Paths of the files that were read before the first HTTP 200."""
    merged = folder / "root"
    merged.mkdir()
    (folder / "copying").mkdir()
    copy = Command(argv=("cp", "-ax", "/.", "/mnt"), tmpfs=(), binds=((str(merged), "mnt", False),))
    lowers = tuple(reversed(image.folders()))
    if run(Root(workspace=folder / "copying", lowers=lowers), copy, log=folder / "copy.log"):
        raise SystemExit(f"bench: cannot merge the layers\n{(folder / 'copy.log').read_text()[-2000:]}")
    with _noting(merged):
        for path, info in _files(merged):
            os.utime(path, ns=(_LONG_AGO, info.st_mtime_ns), follow_symlinks=False)
        with volume(image.store, image.user()) as home, _container(image, merged, home, folder) as running:
            running.wait_for(kubeflow.PORT, f"{kubeflow.PREFIX}/api/status", 120)
            read = [path for path, info in _files(merged) if info.st_atime_ns != _LONG_AGO]
    return [os.path.relpath(path, merged) for path in read]


@contextmanager
def _noting(folder: Path) -> Iterator[None]:
    """Mount a folder onto itself so that every access is noted."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,strictatime", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _container(image: Image, root: Path, home: Path, folder: Path) -> Iterator[Container]:
    """The image started as `runtimes.native.container` does, in a plain root in place of an overlay."""
    user, config, env = image.user(), image.config, image.env()
    command = Command(
        argv=(*config.get("Entrypoint", ()), *config.get("Cmd", ())),
        env={**env, "NB_PREFIX": kubeflow.PREFIX},
        cwd=str(config.get("WorkingDir", "/")),
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        hostname="notebook",
        as_init=True,
        no_new_privs=True,
        tmpfs=(),
        binds=((str(home), env["HOME"], False),),
    )
    workspace, log = folder / "starting", folder / "log"
    workspace.mkdir()
    plain = Root(workspace=workspace, plain=root)
    with (
        log.open("ab") as output,
        started(plain, command, stdout=output, stderr=output) as one,
        watched(Sandboxed(one, log, command)) as running,
    ):
        yield running


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files below a folder."""
    stack: list[Any] = [folder]
    while stack:
        with os.scandir(stack.pop()) as found:
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    stack.append(one.path)
                elif one.is_file(follow_symlinks=False):
                    yield one.path, one.stat(follow_symlinks=False)


ROWS: dict[str, Measure] = {"lazy": lazy}
