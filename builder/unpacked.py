"""Layers as folders on disk: a cache in the store's `roots/`, for mounting them.

The archive is read by a program in the sandbox whose root is the folder itself, so no entry of it can lead out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from isal import igzip

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.sandbox import Command, Root, started
from builder.store import Store


def folder(store: Store, name: str, fill: Callable[[Path, Path], None]) -> Path:
    """The folder `roots/<name>`, made by `fill(upper folder, workspace)` if it is not there."""
    final = store.path / "roots" / name
    if final.is_dir():
        return final
    with store.workspace() as workspace, store.locked(f"root-{name[:40]}"):
        if final.is_dir():
            return final
        upper = workspace / "upper"
        upper.mkdir()
        (workspace / "mount").mkdir()
        fill(upper, workspace / "mount")
        os.chmod(upper, 0o755)
        os.rename(upper, final)
    return final


def layers(store: Store, wanted: Iterable[Mapping[str, Any]]) -> tuple[Path, ...]:
    """Unpacked folders of layers, lowest first, as their results name them.

    Raises:
        HostileInput: a blob in the store has changed.
    """
    return tuple(folder(store, "layer-" + Digest(layer["diff_id"]).hex, _filler(store, layer)) for layer in wanted)


def forget(store: Store, name: str) -> None:
    """Drop one folder from the cache."""
    shutil.rmtree(store.path / "roots" / name, ignore_errors=True)


def _filler(store: Store, layer: Mapping[str, Any]) -> Callable[[Path, Path], None]:
    def fill(upper: Path, workspace: Path) -> None:
        blob = store.checked(store.blob(Digest(layer["digest"])))
        command = Command(argv=("{}",), program="builder.untar", tmpfs=(), enter=True)
        with (
            started(
                Root(workspace=workspace, plain=upper), command, stdin=subprocess.PIPE, stderr=subprocess.PIPE
            ) as running,
            igzip.open(blob, "rb") as stream,  # type: ignore[no-untyped-call]
        ):
            assert running.process.stdin is not None
            try:
                shutil.copyfileobj(stream, running.process.stdin, 1 << 20)
                running.process.stdin.close()
            except BrokenPipeError:
                pass
            said = running.process.stderr.read() if running.process.stderr else b""
            if running.process.wait():
                raise StackbuildError(f"cannot unpack layer {layer['name']}", got=said.decode(errors="replace")[-500:])

    return fill
