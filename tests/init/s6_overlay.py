"""A stand-in for s6-overlay's two tarballs, fetched and built as stacks.toml would have it.

    s6-overlay-noarch.tar.xz   /init, /command/with-contenv → /package/admin/s6-overlay-VERSION, /etc/s6-overlay
    s6-overlay-ARCH.tar.xz     /command/TOOL → /package/admin/{execline,s6,s6-overlay-helpers}, a setuid program

Names, links and modes are laid out as upstream's; the programs are Debian's, and the scripts are those of overlays/s6,
moved to where upstream keeps its own. With `STACKBUILD_TEST_S6_OVERLAY=FOLDER` the tarballs in a folder are taken.

Source: README of just-containers/s6-overlay v3, "Installation" and "The Docker Way"; package/modes of its helpers.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from builder import unpacked
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from builder.platforms import NATIVE
from builder.store import Store
from builder.workflow import build, lock
from builder.workflow.build import _Silent
from builder.workflow.lock import Wish
from builder.workflow.project import Project
from tests.fake_image import Image, folder, tagged

VERSION = "3.2.1.0"
MACHINE = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[NATIVE]
OVERLAY = Path(__file__).parents[2] / "overlays/s6"
TABLES = """
[[sets.s6-overlay.fetch]]
name = "s6-overlay-noarch"
version = "{version}"
url = "{releases}/v{{version}}/s6-overlay-noarch.tar.xz"
sha256-url = "{{url}}.sha256"
to = "/"

[[sets.s6-overlay.fetch]]
name = "s6-overlay"
version = "{version}"
url = "{releases}/v{{version}}/s6-overlay-{{machine}}.tar.xz"
sha256-url = "{{url}}.sha256"
exclude = ["package/admin/s6-overlay-helpers-*/command/s6-overlay-suexec"]
to = "/"

[[sets.s6-overlay.fetch]]
name = "s6-overlay-suexec"
version = "{version}"
url = "{releases}/v{{version}}/s6-overlay-{{machine}}.tar.xz"
sha256-url = "{{url}}.sha256"
include = ["package/admin/s6-overlay-helpers-*/command/s6-overlay-suexec"]
mode = "0755"
to = "/"
"""
"""As docs/init.md has them, but for where and which version; a test compares."""
MANIFEST = """
[project]
name = "family"
platforms = ["{platform}"]

[images.root]
from = "oci:../layout:1"

[images.base]
from = "root"
use = ["s6-overlay"]
entrypoint = ["/init"]
"""


def built(place: Path, debian: Path) -> tuple[Path, ...]:
    """Layers to be put on Debian's root, uppermost first: what the tarballs bring; then links to it."""
    releases = Path(given) if (given := os.environ.get("STACKBUILD_TEST_S6_OVERLAY")) else None
    if releases is None:
        releases = place / "releases"
        with _archive(releases / f"v{VERSION}/s6-overlay-noarch.tar.xz") as archive:
            _noarch(archive)
        with _archive(releases / f"v{VERSION}/s6-overlay-{MACHINE}.tar.xz") as archive:
            _programs(archive, debian)
    tagged(place / "layout", "1", Image([[folder("etc"), folder("usr"), folder("usr/bin")]]))
    with _served(releases) as url:
        project = _project(place, url)
        (target,) = (one for one in project.manifest.targets() if one.image == "base")
        lock.lock(project, (target,), Wish(), lambda _: None)
        planned = build.plan(project, [target])
        build.build(project, [target], jobs=1, watcher=_Silent(), planned=planned)
    return (*_fetched(project, target), _redirected(place / "redirected", debian))


def _project(place: Path, url: str) -> Project:
    path = place / "project/stacks.toml"
    path.parent.mkdir()
    path.write_text(MANIFEST.format(platform=NATIVE) + TABLES.format(version=VERSION, releases=url))
    locks = Locks(path.parent / "locks")
    return Project(manifest=loads(path.read_text(), path), locks=locks, store=Store.open(place / "store"))


def _fetched(project: Project, target: Target) -> tuple[Path, ...]:
    result = build.result(project, build.plan(project, [target]), target)
    return tuple(reversed(unpacked.layers(project.store, result["layers"])))


def _redirected(place: Path, debian: Path) -> Path:
    """Links to the tarballs' programs in place of Debian's, which call each other by these paths."""
    for path in (*_execline(debian), *_s6(debian), debian / "usr/bin/execlineb"):
        link = place / path.relative_to(debian)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/command/{path.name}")
    return place


def _execline(debian: Path) -> list[Path]:
    return sorted((debian / "usr/lib/execline/bin").iterdir())


def _s6(debian: Path) -> list[Path]:
    return sorted((debian / "usr/bin").glob("s6-*"))


# The tarballs -----------------------------------------------------------------------------------------------------


def _noarch(archive: tarfile.TarFile) -> None:
    home = f"package/admin/s6-overlay-{VERSION}"
    for path in sorted((OVERLAY / "usr/libexec/s6-init").rglob("*")):
        if path.is_file():
            _file(archive, f"{home}/libexec/{path.relative_to(OVERLAY / 'usr/libexec/s6-init')}", _moved(path))
    _file(archive, f"{home}/command/with-contenv", _moved(OVERLAY / "command/with-contenv"))
    _link(archive, "command/with-contenv", f"../{home}/command/with-contenv")
    _link(archive, "package/admin/s6-overlay", f"s6-overlay-{VERSION}")
    _file(archive, "init", _moved(OVERLAY / "init"))
    _file(archive, "etc/s6-overlay/config/global_path", "/command:/usr/local/bin:/usr/bin:/bin\n", 0o644)


def _programs(archive: tarfile.TarFile, debian: Path) -> None:
    sources = {
        "execline-2.9.3.0": _execline(debian),
        "s6-2.11.3.0": _s6(debian),
    }
    for package, files in sources.items():
        _link(archive, f"package/admin/{package.partition('-')[0]}", package)
        for path in files:
            _file(archive, f"package/admin/{package}/command/{path.name}", path.read_bytes())
            _link(archive, f"command/{path.name}", f"/package/admin/{package}/command/{path.name}")
    helper = "package/admin/s6-overlay-helpers-0.1.2.0/command/s6-overlay-suexec"
    _file(archive, helper, '#!/bin/sh\nexec "$@"\n', 0o4755)
    _link(archive, "command/s6-overlay-suexec", f"/{helper}")


def _moved(path: Path) -> str:
    """A script of ours that finds its neighbours in upstream's folders."""
    moves = {
        "/usr/libexec/s6-init": "/package/admin/s6-overlay/libexec",
        "/usr/lib/execline/bin/": "/command/",
        "/usr/bin/execlineb": "/command/execlineb",
        "/usr/bin/s6-": "/command/s6-",
    }
    text = path.read_text()
    for old, new in moves.items():
        text = text.replace(old, new)
    return text


def _file(archive: tarfile.TarFile, path: str, data: str | bytes, mode: int = 0o755) -> None:
    raw = data.encode() if isinstance(data, str) else data
    member = tarfile.TarInfo(f"./{path}")
    member.size, member.mode, member.mtime = len(raw), mode, 1_700_000_000
    archive.addfile(member, io.BytesIO(raw))


def _link(archive: tarfile.TarFile, path: str, target: str) -> None:
    member = tarfile.TarInfo(f"./{path}")
    member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
    archive.addfile(member)


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive, and its checksum as upstream publishes it: as sha256sum writes one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz", preset=0) as archive:
        yield archive
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _served(files: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(files)))
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
