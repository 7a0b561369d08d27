"""Bytecode of noarch python packages, compiled by the conda Python of the image.

Packages for one platform bring theirs. As with wheels it reads the package, the prefix and the interpreter's own
packages, and is kept in the store under the key of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from builder.digest import Digest, Json, key
from builder.kinds.conda.link import Place, lay
from builder.kinds.conda.part import Packed, opened, sources_of
from builder.kinds.pip import bytecode
from builder.kinds.pip.bytecode import Batch
from builder.kinds.pip.python import Runnable
from builder.store import Store
from builder.tree import NEWEST

VERSION = 1


def document(package: Packed, place: Place, interpreter: Digest) -> Json:
    """What a package's bytecode is made from; `interpreter` is the key of the interpreter's own packages."""
    return {
        "kind": "conda bytecode",
        "kind_version": [VERSION, bytecode.VERSION],
        "options": {"prefix": place.prefix, "python": place.python, "site": place.site, "mtime": NEWEST},
        "inputs": {"package": package.digest, "interpreter": interpreter},
    }


def compiled(
    store: Store,
    packages: Sequence[Packed],
    place: Place,
    interpreter: Digest,
    python: Callable[[], Runnable],
    jobs: int,
    log: Path,
) -> dict[str, Digest]:
    """The zips of these packages' bytecode, compiling those that the store lacks in one sandbox.

    Args:
        interpreter: the key of the interpreter's own packages.
        python: unpacks the interpreter; called if something is to be compiled.

    Returns:
        Package name → digest of its zip, which lies among the store's sources.

    Raises:
        HostileInput: a package is not what its pin or it itself says.
        StackbuildError: the interpreter does not run.
    """
    found: dict[str, Digest] = {}
    missing = []
    for one in packages:
        action = store.action(key(document(one, place, interpreter)))
        if action and store.source(Digest(action["result"]["bytecode"])).exists():
            found[one.name] = Digest(action["result"]["bytecode"])
        else:
            missing.append(one)
    if not missing:
        return found
    with store.workspace() as workspace:
        folder = workspace / "sources"
        folder.mkdir()
        batches = []
        for number, one in enumerate(missing):
            laid = lay(opened(store, one, workspace / str(number)), one.record, place, {})
            batches.append(Batch(one.name, str(number), sources_of(laid, folder / str(number))))
        made = bytecode.compile_batches(store, folder, batches, python(), jobs, log)
    for one, digest in zip(missing, made, strict=True):
        plan = document(one, place, interpreter)
        store.put_action(key(plan), plan, {"bytecode": digest})
        found[one.name] = digest
    return found
