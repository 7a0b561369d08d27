"""A source archive → a wheel, built in the sandbox by the image's own Python, without network.

Its code is foreign and runs: it sees the interpreter's packages, its own unpacked source, and an environment with the
locked build requirements, nothing else. The source is unpacked by us beforehand, files and folders only.
"""

from __future__ import annotations

import errno
import json
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any, cast

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from builder.action import Action, Result, Workshop
from builder.digest import Digest, Json
from builder.errors import HostileInput, StackbuildError
from builder.headers import BROKEN_TAR, Header, bounded
from builder.interpreter import Interpreter
from builder.kinds.pip import python as pythons
from builder.kinds.pip.archive import MALFORMED, limited, malformed
from builder.lock import Lock, Pin
from builder.sandbox import Command, Root, run
from builder.site import Site
from builder.store import Store
from builder.tree import NEWEST, safe

VERSION = 1
_PROGRAM = Path(__file__).with_name("backend_program.py")
_LIMIT = 1 << 30
_MEMBERS = 200_000
_LARGEST = 8 << 30
"""Bytes of a wheel that a backend made."""


def is_sdist(pin: Pin) -> bool:
    return pin.filename.endswith((".tar.gz", ".zip")) and not pin.filename.endswith(".whl")


@cache
def library(name: str) -> str:
    """The version of a library that writes bytes, for keys."""
    return library_version(name)


def plan(site: Site, pin: Pin, build: Lock | None, native: Interpreter) -> Action:
    """Build one sdist.

    Raises:
        StackbuildError: its build requirements are not locked.
    """
    if build is None:
        raise StackbuildError(
            f"lock is missing: {site.target}, build requirements of {pin.name}",
            where=str(site.locks.path(site.target, "pip-build")),
            next_step=f"stackbuild lock {site.target.image}",
        )
    options: Json = {
        "name": pin.name,
        "version": pin.version,
        "filename": pin.filename,
        "python": native.short,
        "requirements": [[one.name, one.filename] for one in build.pins],
        **pythons.described(native),
        "installer": library("installer"),
        "epoch": NEWEST,
    }
    sources = {"sdist": pin}
    sources |= {f"build:{one.name}": one for one in build.pins}
    sources |= pythons.sources(native)
    name = f"wheel of {pin.name} for {site.target}"
    return Action(kind="pip.sdist", version=VERSION, name=name, options=options, sources=sources, layers=False)


def perform(action: Action, workshop: Workshop) -> Result:
    """Build the wheel; returns `{"wheel": digest, "filename", "size", "requires": []}`."""
    options = cast(dict[str, Any], action.options)
    native = pythons.of(action)
    requirements = [(action.sources[f"build:{name}"].digest, filename) for name, filename in options["requirements"]]
    return build(workshop.store, action.sources["sdist"], requirements, native, jobs=workshop.jobs, log=workshop.log)


def build(
    store: Store,
    pin: Pin,
    requirements: Sequence[tuple[Digest, str]],
    native: Interpreter,
    *,
    jobs: int,
    log: Path,
) -> dict[str, Any]:
    """Build one sdist with these requirement wheels (digest, file name), all of them in the store.

    Returns:
        `wheel`, the digest among the store's sources, `filename`, `size`, and `requires`: what the backend asked for
        beyond `requirements`, in which case there is no wheel.

    Raises:
        StackbuildError: the build failed; its output is in `log`.
        HostileInput: the archive is malformed, or the wheel is another package's.
    """
    python = pythons.runnable(store, native, jobs, log)
    with store.workspace() as workspace:
        for name in ("mount", "out", "env", "src", "upper"):
            (workspace / name).mkdir()
        source = _unpack(store.checked(store.source(pin.digest)), pin.filename, workspace / "src")
        for digest, filename in requirements:
            _install(store.checked(store.source(digest)), filename, workspace / "env", native.short)
        command = Command(
            argv=(python.executable, "-I", "-B", "/run/stackbuild/backend.py", source.name),
            binds=(
                (str(_PROGRAM), "run/stackbuild/backend.py", True),
                (str(workspace / "env"), "run/stackbuild/env", True),
                (str(workspace / "src"), "run/stackbuild/src", False),
                (str(workspace / "out"), "run/stackbuild/out", False),
            ),
        )
        code = run(
            Root(workspace=workspace / "mount", lowers=python.lowers, upper=workspace / "upper"), command, log=log
        )
        if code:
            raise StackbuildError(
                f"building a wheel failed: {pin.name}=={pin.version} (exit {code})",
                where=f"log: {log}",
                got="\n".join(log.read_text(errors="replace").splitlines()[-4:]),
            )
        requires, wheel_name = _told(workspace / "out/told.json", pin)
        if requires:
            return {"wheel": "", "filename": "", "size": 0, "requires": sorted(requires)}
        filename = safe(wheel_name, pin.filename)
        wheel = workspace / "out" / filename
        if "/" in filename or not filename.endswith(".whl") or wheel.is_symlink() or not wheel.is_file():
            raise HostileInput(f"the backend of {pin.name} named no wheel", got=filename)
        if not _is_of(filename, pin):
            raise HostileInput(
                f"the backend of {pin.name} made another package", expected=f"{pin.name}=={pin.version}", got=filename
            )
        if wheel.stat().st_size > _LARGEST:
            raise HostileInput(
                f"the backend of {pin.name} made too large a wheel", expected=f"at most {_LARGEST} bytes"
            )
        digest = Digest.of_file(wheel)
        with store.new_source() as incoming, wheel.open("rb") as made:
            while data := made.read(1 << 20):
                incoming.write(data)
            incoming.commit(digest)
        return {"wheel": digest, "filename": filename, "size": wheel.stat().st_size, "requires": []}


def _told(path: Path, pin: Pin) -> tuple[list[str], str]:
    """What the backend asks for, and its wheel's name. Foreign code wrote the file, which may be anything.

    Raises:
        HostileInput: it is not what our program writes.
    """
    try:
        info = path.lstat()
        told: Any = json.loads(path.read_bytes()) if stat.S_ISREG(info.st_mode) and info.st_size < 1 << 20 else None
        requires, wheel = told["requires"], told["wheel"]
        if isinstance(requires, list) and isinstance(wheel, str):
            return [str(one) for one in requires], wheel
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise HostileInput(f"the backend of {pin.name} ended without an answer", expected="a wheel in told.json")


def _is_of(filename: str, pin: Pin) -> bool:
    try:
        name, version, _, _ = parse_wheel_filename(filename)
        return name == pin.name and version == Version(pin.version)
    except ValueError:
        return False


def _unpack(archive: Path, filename: str, into: Path) -> Path:
    """The source folder, from a .tar.gz (PEP 625): plain files and folders with safe paths, nothing else."""
    if not filename.endswith(".tar.gz"):
        raise StackbuildError(f"an sdist must be a .tar.gz: {filename}", expected="PEP 625")
    total = count = 0
    try:
        with tarfile.open(archive, "r:gz", tarinfo=Header) as tar:
            for member in tar:
                count, total = count + 1, total + member.size
                if total > _LIMIT or count > _MEMBERS:
                    raise HostileInput(
                        f"an sdist is larger than any: {filename}",
                        expected=f"at most {_MEMBERS} files of {_LIMIT} bytes in all",
                    )
                if member.isdir():
                    continue
                path = into / safe(member.name, filename)
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise HostileInput(f"an sdist holds a link or a device: {filename}", got=member.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as target:
                    shutil.copyfileobj(content, target, 1 << 20)
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
    except (*BROKEN_TAR, EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise
        raise HostileInput(f"malformed sdist: {filename}", got=str(error)[:300]) from None
    folders = [one for one in into.iterdir() if one.is_dir()]
    if len(folders) != 1:
        raise HostileInput(f"an sdist must hold one folder: {filename}", got=str(len(folders)))
    return folders[0]


def _install(wheel: Path, filename: str, into: Path, python: str) -> None:
    """A build requirement's modules into a folder; `installer` judges paths and RECORD.

    Raises:
        HostileInput: the wheel is malformed.
    """
    schemes = {name: str(into) for name in ("purelib", "platlib")}
    schemes |= {name: str(into / ".other" / name) for name in ("scripts", "headers", "data")}
    try:
        with wheel.open("rb") as stream, zipfile.ZipFile(bounded(stream)) as archive:
            limited(archive, wheel, filename)
            for name in archive.namelist():
                safe(name, filename)
            archive.filename = filename  # The library takes name and version from it; the store's name is a digest.
            source = WheelFile(archive)
            source.validate_record()
            interpreter = f"/usr/bin/python{python}"
            install(source, SchemeDictionaryDestination(schemes, interpreter=interpreter, script_kind="posix"), {})
    except MALFORMED as error:
        raise malformed(filename, error) from None
