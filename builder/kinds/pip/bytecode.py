"""Bytecode of wheels, compiled by the interpreter that the image has.

It reads the wheel, the path and the interpreter's own packages, not the root they stand in, so a new base re-compiles
nothing. Timestamp `.pyc` files with the layers' constant mtime are reproducible and notice a later edit of a source;
unchecked ones would hide it (PEP 552).

A wheel's bytecode is a small zip in the store, found again under the key of what it was made from.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from builder.digest import Digest, Json, key
from builder.errors import StackbuildError
from builder.kinds.pip.wheel import Environment, lay
from builder.sandbox import ENVIRONMENT, Command, Root, run
from builder.store import Store
from builder.tree import NEWEST, Member

VERSION = 1
_PROGRAM = Path(__file__).with_name("compile_program.py")


class Source(NamedTuple):
    """A wheel in the store: its digest, its package's name and its file name."""

    digest: Digest
    name: str
    filename: str


def document(wheel: Digest, environment: Environment, interpreter: Digest) -> Json:
    """What a wheel's bytecode is made from; `interpreter` is the key of the interpreter's own packages."""
    return {
        "kind": "bytecode",
        "kind_version": VERSION,
        "options": {"prefix": environment.prefix, "python": environment.python, "mtime": NEWEST},
        "inputs": {"wheel": wheel, "interpreter": interpreter},
    }


def compiled(
    store: Store,
    wheels: Sequence[Source],
    environment: Environment,
    interpreter: Digest,
    root: Path,
    jobs: int,
    log: Path,
) -> dict[str, Digest]:
    """The zips of these wheels' bytecode, compiling those that the store lacks in one sandbox.

    Args:
        root: an unpacked root with the interpreter, read only.

    Returns:
        Package name → digest of its zip, which lies among the store's sources.
    """
    keys = {wheel.name: key(document(wheel.digest, environment, interpreter)) for wheel in wheels}
    found: dict[str, Digest] = {}
    missing = []
    for wheel in wheels:
        action = store.action(keys[wheel.name])
        if action and store.source(Digest(action["result"]["bytecode"])).exists():
            found[wheel.name] = Digest(action["result"]["bytecode"])
        else:
            missing.append(wheel)
    if missing:
        with store.workspace() as workspace:
            _compile(store, missing, environment, root, jobs, workspace, log)
            for number, wheel in enumerate(missing):
                digest = _gather(store, workspace / "out", str(number))
                plan = document(wheel.digest, environment, interpreter)
                store.put_action(keys[wheel.name], plan, {"bytecode": digest})
                found[wheel.name] = digest
    return found


def members(store: Store, digest: Digest) -> dict[str, Member]:
    """Path of a source in the image → where its bytecode lies, stored, in the zip."""
    path = store.checked(store.source(digest))
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            offset = info.header_offset + 30 + len(info.filename.encode()) + len(info.extra)
            found[info.filename] = Member(
                str(path), offset, info.compress_size, info.file_size, info.CRC, 0, None, f"bytecode of {info.filename}"
            )
    return found


def _compile(
    store: Store, wheels: Sequence[Source], environment: Environment, root: Path, jobs: int, workspace: Path, log: Path
) -> None:
    order = {
        "out": "/run/stackbuild/out",
        "mtime": NEWEST,
        "jobs": jobs,
        "wheels": [
            {
                "name": str(number),
                "archive": f"/run/stackbuild/sources/{wheel.digest.hex}",
                "files": [
                    (path, content.offset, content.packed, content.size, content.method)
                    for path, content in lay(
                        store.source(wheel.digest), wheel.name, wheel.filename, environment, {}
                    ).sources
                ],
            }
            for number, wheel in enumerate(wheels)
        ],
    }
    for name in ("out", "mount"):
        (workspace / name).mkdir()
    (workspace / "order.json").write_text(json.dumps(order))
    command = Command(
        argv=(
            f"/usr/bin/python{environment.python}",
            "-I",
            "-S",
            "-B",
            "/run/stackbuild/compile.py",
            "/run/stackbuild/order.json",
        ),
        env={**ENVIRONMENT, "PYTHONHASHSEED": "0"},
        binds=(
            (str(_PROGRAM), "run/stackbuild/compile.py", True),
            (str(workspace / "order.json"), "run/stackbuild/order.json", True),
            (str(store.path / "sources/sha256"), "run/stackbuild/sources", True),
            (str(workspace / "out"), "run/stackbuild/out", False),
        ),
    )
    code = run(Root(workspace=workspace / "mount", lowers=(root,)), command, log=log)
    if code:
        names = ", ".join(wheel.name for wheel in wheels[:5])
        raise StackbuildError(f"compiling bytecode failed: {names} (exit {code})", where=f"log: {log}")


def _gather(store: Store, out: Path, name: str) -> Digest:
    """One zip of the chunks of one wheel, stored, in chunk order, with constant times."""
    with store.new_source() as incoming:
        chunks = sorted(out.glob(f"{name}.*"), key=lambda path: int(path.suffix[1:]))
        with zipfile.ZipFile(incoming.path, "w") as target:
            for chunk in chunks:
                with zipfile.ZipFile(chunk) as archive:
                    for info in archive.infolist():
                        target.writestr(zipfile.ZipInfo(info.filename), archive.read(info))
        digest = Digest.of_file(incoming.path)
        incoming.commit(digest)
    return digest
