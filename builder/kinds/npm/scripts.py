"""Run a package's install scripts in the sandbox, without network, and take its folder as they left it.

    tarballs of the package and of all it can require ──lay──▶ upper folder
    toolchain, packages whose scripts ran before       ─────▶ lower folders
    preinstall, install, postinstall by /bin/sh, as root, in the package's final place
    upper folder/<the package> ──▶ entries ──▶ a layer

Node's headers come with Debian's libnode-dev, where node-gyp looks for them (`npm_config_nodedir`). Whatever a script
writes elsewhere is thrown away, and so are node-gyp's intermediate files, which no package reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from builder import failed
from builder.action import Workshop
from builder.compression import Codec
from builder.errors import HostileInput, StackbuildError
from builder.kinds.npm import lay, tarball
from builder.kinds.npm.lay import FILE_MODE, FOLDER_MODE, PROGRAM_MODE, Laying
from builder.kinds.npm.package import FOLDER, Package
from builder.kinds.npm.part import tree
from builder.kinds.npm.platform import CPUS
from builder.parts import write_part
from builder.sandbox import ENVIRONMENT, Command, Root, run
from builder.scan import scan
from builder.tree import NEWEST, Entry, File

_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_NPX: Final = "usr/local/sbin/npx"
_INTERMEDIATE: Final = re.compile(r"(.*/)?(node_gyp_bins|build[^/]*/(Release|Debug)/(obj\.target|\.deps))(/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done.

    Attributes:
        laying: the package whose scripts run.
        beside: what else it can require, as far as no script runs there.
        lowers: folders of the root, uppermost first.
        node: `18.20.4`.
        platform: `linux/amd64`.
        codec: how the layer is compressed.
    """

    laying: Laying
    beside: tuple[Laying, ...]
    lowers: tuple[Path, ...]
    prefix: str
    node: str
    platform: str
    codec: Codec


def build(order: Order, workshop: Workshop, name: str) -> dict[str, Any]:
    """Run the scripts and write the package as the layer `name`.

    Raises:
        StackbuildError: a script failed; its output is in the workshop's log.
        HostileInput: a tarball is not what its pin says, or a script left what no package may hold.
    """
    store, package = workshop.store, order.laying.package
    assert package.digest is not None
    scripts = tarball.read(store.checked(store.source(package.digest)), package).scripts
    with store.workspace() as workspace:
        upper = workspace / "upper"
        for folder in ("upper", "scratch", *(stage for stage, _ in scripts)):
            (workspace / folder).mkdir()
        laid = tree(store, (order.laying, *order.beside), order.prefix, workspace / "scratch")
        put(laid, upper)
        _lay_npx(upper)
        for stage, script in scripts:
            # A workspace for each: the kernel mounts a volatile overlay's work folder only once.
            root = Root(workspace=workspace / stage, lowers=order.lowers, upper=upper)
            code = run(root, _command(order, stage, script, workshop.jobs), log=workshop.log)
            if code:
                failed.keep(store, workshop.log.stem, upper, root.lowers)
                raise _failed(package, stage, script, code, workshop.log)
        base = lay.folder(order.prefix, package)
        foreign = {lay.folder(order.prefix, one.package) for one in order.beside}
        foreign |= {entry.path for entry in laid if entry.owner not in {"", package.title}}
        entries = lay.with_programs(
            taken(_settled(upper, base, package), base, package, foreign), order.laying, order.prefix
        )
        laid = lay.in_prefix(entries, order.prefix)
        written: dict[str, Any] = workshop.heavy(write_part, store, name, laid, order.codec).result()
        return written


def _lay_npx(upper: Path) -> None:
    """What npx does with a program that is there (npm, npx), for scripts that call `npx node-gyp`; a real one wins."""
    place = upper / _NPX
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text('#!/bin/sh\nwhile case ${1-} in -*) ;; *) false ;; esac; do shift; done\nexec "$@"\n')
    place.chmod(0o755)


def _settled(upper: Path, base: str, package: Package) -> Path:
    """Where the package lies on disk, after whatever its scripts did: a link on the way would lead into the host.

    Raises:
        HostileInput: there is one.
    """
    path = upper
    for part in base.split("/"):
        path = path / part
        if path.is_symlink() or not path.is_dir():
            raise HostileInput(
                f"after the install scripts of {package} its folder is no folder any more",
                got=path.relative_to(upper).as_posix(),
            )
    return path


def put(entries: Iterable[Entry], root: Path) -> None:
    """Write a tree of ours below a fresh folder."""
    for entry in entries:
        path = root / entry.path
        if entry.kind == "dir":
            path.mkdir(exist_ok=True)
            path.chmod(entry.mode)
        elif entry.kind == "link":
            path.symlink_to(entry.target)
        else:
            assert isinstance(entry.content, File)
            os.rename(entry.content.path, path)
            path.chmod(entry.mode)
            os.utime(path, (NEWEST, NEWEST))


def taken(folder: Path, base: str, package: Package, foreign: Collection[str]) -> Iterator[Entry]:
    """The package's files, folders and links as its scripts left them, with our owners, modes and mtimes.

    Args:
        folder: where the package lies on disk.
        base: where it lies in the image.
        foreign: paths in the image of what belongs to other packages; whatever lies below them does too.

    Raises:
        HostileInput: a link leads out of the package, or there is a device, socket or pipe.
    """

    def left_out(path: str) -> bool:
        return bool(_INTERMEDIATE.match(path)) or any(
            one in foreign for one in (f"{base}/{path}", *_above(f"{base}/{path}"))
        )

    for entry in _without(left_out, folder):
        path = f"{base}/{entry.path}"
        own = replace(entry, path=path, uid=0, gid=0, mtime=NEWEST, owner=package.title, xattrs=())
        match entry.kind:
            case "dir":
                yield replace(own, mode=FOLDER_MODE)
            case "link":
                yield replace(own, target=_inside(entry, package))
            case "hardlink":
                yield replace(own, target=f"{base}/{entry.target}", mode=_mode(entry))
            case "file":
                yield replace(own, mode=_mode(entry))
            case "whiteout":
                continue  # What a script removed lay in this same folder.


def _without(left_out: Callable[[str], bool], folder: Path) -> Iterator[Entry]:
    """What lies in a folder. make links what it built from its intermediate folder: the first name kept is the file."""
    heirs: dict[str, str] = {}
    for entry in scan(str(folder), {}):
        if left_out(entry.path):
            heirs[entry.path] = ""
        elif entry.kind != "hardlink" or entry.target not in heirs:
            yield entry
        elif heir := heirs[entry.target]:
            yield replace(entry, target=heir)
        else:
            heirs[entry.target] = entry.path
            path = folder / entry.path
            yield replace(entry, kind="file", target="", content=File(str(path), path.stat().st_size))


def _mode(entry: Entry) -> int:
    return PROGRAM_MODE if entry.mode & 0o111 else FILE_MODE


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _inside(entry: Entry, package: Package) -> str:
    place = PurePosixPath("/", entry.path).parent
    depth = 0
    for part in (*place.parts[1:], *PurePosixPath(entry.target).parts):
        depth += -1 if part == ".." else 1
        if depth < 0 or part == "/":
            raise HostileInput(
                f"an install script of {package} made a link that leads out of it",
                got=f"{entry.path} -> {entry.target}",
                next_step=f'add "{package.name}" to npm-ignore-scripts if it works without them',
            )
    return entry.target


def _command(order: Order, stage: str, script: str, jobs: int) -> Command:
    package = order.laying.package
    place = "/" + lay.folder(order.prefix, package)
    return Command(argv=("/bin/sh", "-c", script), cwd=place, env=dict(_environment(order, place, stage, script, jobs)))


def _environment(order: Order, place: str, stage: str, script: str, jobs: int) -> Iterator[tuple[str, str]]:
    """What npm gives to scripts (npm, scripts, "Environment")."""
    package = order.laying.package
    yield from {
        **ENVIRONMENT,
        "HOME": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        "JOBS": str(jobs),
    }.items()
    bins = [f"{parent}/{FOLDER}/.bin" for parent in (place, *map(str, PurePosixPath(place).parents))]
    yield "PATH", ":".join([*(one for one in bins if f"/{FOLDER}/{FOLDER}/" not in one), _PATH])
    cpu = CPUS.get(order.platform.partition("/")[2], order.platform)
    yield "npm_config_user_agent", f"npm/10.0.0 node/v{order.node} linux {cpu} workspaces/false"
    yield from {
        "INIT_CWD": place,
        "NODE": "/usr/bin/node",
        "npm_command": "install",
        "npm_config_arch": cpu,
        "npm_config_cache": "/tmp/npm",
        "npm_config_global": "true",
        "npm_config_nodedir": "/usr",
        "npm_config_offline": "true",
        "npm_config_prefix": order.prefix,
        "npm_config_unsafe_perm": "true",
        "npm_lifecycle_event": stage,
        "npm_lifecycle_script": script,
        "npm_node_execpath": "/usr/bin/node",
        "npm_package_json": f"{place}/package.json",
        "npm_package_name": package.name,
        "npm_package_version": package.version,
    }.items()


def _failed(package: Package, stage: str, script: str, code: int, log: Path) -> StackbuildError:
    words = log.read_text(errors="replace").splitlines()
    missing = next((line for line in reversed(words) if line.endswith(("not found", "No such file or directory"))), "")
    step = f"stackbuild shell --at {log.stem}"
    if code == 127 and missing:
        step = f"add the Debian package that brings it to npm-build, or look: {step}"
    return StackbuildError(
        f"step failed: {stage} of {package} (exit {code})",
        where=f"log: {log}",
        expected=f"`{script}` to work without network, with what npm-build brings",
        got="\n".join(words[-6:]),
        next_step=step,
    )
