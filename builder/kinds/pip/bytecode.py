"""Bytecode of wheels, compiled by the interpreter that the image has.

It reads the wheel, the path and the interpreter's own packages, not the root they stand in, so a new base re-compiles
nothing. Timestamp `.pyc` files with the layers' constant mtime are reproducible and notice a later edit of a source;
unchecked ones would hide it (PEP 552).

A wheel's bytecode is a small zip in the store, found again under the key of what it was made from.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from builder.digest import Digest, Json, key
from builder.errors import HostileInput, StackbuildError
from builder.headers import bounded
from builder.kinds.pip.archive import MALFORMED
from builder.kinds.pip.python import Runnable
from builder.kinds.pip.scheme import Environment
from builder.kinds.pip.wheel import lay
from builder.sandbox import Command, Root, run
from builder.store import Store
from builder.tree import NEWEST, Member

VERSION = 2
_PROGRAM = Path(__file__).with_name("compile_program.py")
_LARGEST = 256 << 20
"""Bytes of the bytecode of one source."""


class Source(NamedTuple):
    """A wheel in the store: its digest, its package's name and its file name."""

    digest: Digest
    name: str
    filename: str


class Batch(NamedTuple):
    """The sources of one package.

    Attributes:
        file: the file that holds them, by its name in a folder.
        files: in the order of compiling: path in the image, offset, bytes as it lies there, bytes of the source,
            method as in a zip: 0 or 8.
    """

    name: str
    file: str
    files: tuple[tuple[str, int, int, int, int], ...]


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
    python: Runnable,
    jobs: int,
    log: Path,
) -> dict[str, Digest]:
    """The zips of these wheels' bytecode, compiling those that the store lacks in one sandbox.

    Args:
        interpreter: the key of the interpreter's own packages.
        python: the interpreter, unpacked; read only.

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
    batches = [_batch(store, wheel, environment) for wheel in missing]
    made = compile_batches(store, store.path / "sources/sha256", batches, python, jobs, log)
    for wheel, digest in zip(missing, made, strict=True):
        store.put_action(keys[wheel.name], document(wheel.digest, environment, interpreter), {"bytecode": digest})
        found[wheel.name] = digest
    return found


def _batch(store: Store, wheel: Source, environment: Environment) -> Batch:
    laid = lay(store.source(wheel.digest), wheel.name, wheel.filename, environment, {})
    files = tuple((path, one.offset, one.packed, one.size, one.method) for path, one in laid.sources)
    return Batch(wheel.name, wheel.digest.hex, files)


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


def compile_batches(
    store: Store, folder: Path, batches: Sequence[Batch], python: Runnable, jobs: int, log: Path
) -> list[Digest]:
    """The zips of these packages' bytecode among the store's sources, in the same order; one sandbox for all.

    Args:
        folder: where the batches' files are.

    Raises:
        StackbuildError: a source is not there as it should be, or the interpreter does not run.
        HostileInput: it left something else than bytecode.
    """
    if not batches:
        return []
    order = {
        "out": "/run/stackbuild/out",
        "mtime": NEWEST,
        "jobs": jobs,
        "wheels": [
            {"name": str(number), "archive": f"/run/stackbuild/sources/{batch.file}", "files": batch.files}
            for number, batch in enumerate(batches)
        ],
    }
    with store.workspace() as workspace:
        for name in ("out", "mount"):
            (workspace / name).mkdir()
        (workspace / "order.json").write_text(json.dumps(order))
        files = sorted({batch.file for batch in batches})
        command = Command(
            argv=(
                python.executable,
                "-I",
                "-S",
                "-B",
                "/run/stackbuild/compile.py",
                "/run/stackbuild/order.json",
            ),
            binds=(
                (str(_PROGRAM), "run/stackbuild/compile.py", True),
                (str(workspace / "order.json"), "run/stackbuild/order.json", True),
                *((str(folder / file), f"run/stackbuild/sources/{file}", True) for file in files),
                (str(workspace / "out"), "run/stackbuild/out", False),
            ),
        )
        code = run(Root(workspace=workspace / "mount", lowers=python.lowers), command, log=log)
        if code:
            names = ", ".join(batch.name for batch in batches[:5])
            raise StackbuildError(f"compiling bytecode failed: {names} (exit {code})", where=f"log: {log}")
        return [_gather(store, workspace / "out", str(number), batch) for number, batch in enumerate(batches)]


def _gather(store: Store, out: Path, name: str, batch: Batch) -> Digest:
    """One zip of the chunks of one wheel, stored, in chunk order, with constant times.

    The interpreter is foreign too: what it left may be anything.

    Raises:
        HostileInput: it is not what our program writes.
    """
    wanted = {path for path, *_ in batch.files}
    numbers = sorted(int(found[1]) for one in os.listdir(out) if (found := re.fullmatch(rf"{name}\.(\d{{1,9}})", one)))
    with store.new_source() as incoming:
        try:
            with zipfile.ZipFile(incoming.path, "w") as target:
                for number in numbers:
                    with _chunk(out / f"{name}.{number}") as stream, zipfile.ZipFile(bounded(stream)) as archive:
                        for info in archive.infolist():
                            if info.filename not in wanted or info.file_size > _LARGEST:
                                raise ValueError(f"unexpected member {info.filename!r}")
                            wanted.remove(info.filename)
                            target.writestr(zipfile.ZipInfo(info.filename), archive.read(info))
        except (*MALFORMED, OSError) as error:
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
                raise
            raise HostileInput(f"the interpreter left no bytecode of {batch.name}", got=str(error)[:300]) from None
        digest = Digest.of_file(incoming.path)
        incoming.commit(digest)
    return digest


def _chunk(path: Path) -> IO[bytes]:
    """Open a file, and nothing else: no link, which would lead into the host, and no pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    stream = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        stream.close()
        raise ValueError(f"{path.name} is no file")
    return stream
