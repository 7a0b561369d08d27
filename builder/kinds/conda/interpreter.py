"""The Python that conda pins bring: its packages laid in their prefix, beside any root.

conda's packages bring everything but the C library, which is the image's. Where no apt pins say which that is (a base
from a registry), Python is run with this machine's: what it compiles does not depend on it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from builder import unpacked
from builder.closure import closure
from builder.digest import Digest, key
from builder.errors import StackbuildError
from builder.incoming import Incoming
from builder.interpreter import Interpreter
from builder.kinds.conda import request
from builder.kinds.conda.link import Place, lay
from builder.kinds.conda.part import Packed, in_prefix, opened
from builder.kinds.conda.record import fields, of_pin
from builder.layer import write
from builder.lock import Pin
from builder.store import Store
from builder.tree import merge

VERSION = 1
"""Raised when packages are laid otherwise, so that an unpacked interpreter is not taken for the new one."""


def find(pins: Mapping[str, Pin], where: str, prefix: str) -> Interpreter:
    """The interpreter among conda pins, an image's own and inherited.

    Raises:
        StackbuildError: none is there.
    """
    python = pins.get("python")
    version = re.match(r"\d+\.\d+\.\d+", python.version) if python else None
    if python is None or version is None:
        raise StackbuildError(
            f"no conda Python: {where}",
            expected="python among the conda packages of the image or an ancestor",
            next_step='add "python" to its conda list, then: stackbuild lock',
        )
    short = ".".join(version[0].split(".")[:2])

    def needs(name: str) -> list[str]:
        """What no pin has is virtual (`__glibc`)."""
        return [found for text in fields(pins[name], "depends") if (found := request.name(text)) in pins]

    return Interpreter(
        kind="conda",
        version=version[0],
        executable=f"{prefix}/bin/python{short}",
        prefix=prefix,
        pins=tuple(pins[name] for name in sorted(closure("python", needs))),
    )


def root(store: Store, interpreter: Interpreter, architecture: str, jobs: int, log: Path) -> Path:
    """An unpacked root that holds the interpreter's conda packages in their prefix, nothing more.

    Raises:
        HostileInput: a package is not what its pin or it itself says.
        StackbuildError: a package cannot be unpacked.
    """
    place = Place(
        prefix=interpreter.prefix, python=interpreter.short, site=f"lib/python{interpreter.short}/site-packages"
    )
    packages = [Packed(record=of_pin(pin).document("")) for pin in interpreter.pins]

    def fill(upper: Path, workspace: Path) -> None:
        with store.workspace() as scratch:
            trees = [
                lay(opened(store, one, scratch / str(number)), one.record, place, {}).entries
                for number, one in enumerate(packages)
            ]
            with Incoming(scratch, store.scratch) as incoming:
                digest = write(in_prefix(merge(trees), place), incoming).digest
            unpacked.unpack(scratch / digest.hex, f"of Python {interpreter.version}", upper, workspace)

    name = key([VERSION, interpreter.root_key])
    return unpacked.folder(store, f"interpreter-{name.hex}", fill)


def host_library(store: Store) -> Path:
    """This machine's C library as the root of a file system, at the paths where its loader looks for it.

    Raises:
        StackbuildError: this machine has none that conda's packages could run with.
    """
    mapped = sorted(set(re.findall(r"(/\S+)$", Path("/proc/self/maps").read_text(), re.MULTILINE)))
    libraries = [Path(path) for path in mapped if re.fullmatch(r"libc(-[\d.]+)?\.so(\.6)?", Path(path).name)]
    loader = next((path for path in _LOADERS if path.exists()), None)
    if not libraries or loader is None:
        raise StackbuildError(
            "this machine has no glibc to run conda's Python with",
            next_step="build on a machine with glibc, or add libc6 to the image's apt list",
        )
    folder = libraries[0].parent
    files = [loader, *(folder / name for name in _LIBRARIES if (folder / name).is_file())]
    state = key([[str(path), Digest.of_file(path)] for path in files])

    def fill(upper: Path, _: Path) -> None:
        for path in files:
            target = upper / str(path).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for path in upper.rglob("*"):
            path.chmod(0o755)  # Whatever the umask is.

    return unpacked.folder(store, f"library-{Digest(state).hex}", fill)


_LOADERS = (Path("/lib64/ld-linux-x86-64.so.2"), Path("/lib/ld-linux-aarch64.so.1"))
_LIBRARIES = (
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
)
"""What conda-forge takes from the system it runs on (its sysroot packages)."""
