"""init: the beginnings of a user's own project, in a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.errors import StackbuildError
from builder.manifest import schema

OVERLAYS: Final = ("base", "jupyter", "s6")

# security: a user's own images should have fixes; the snapshot archive keeps what the suite replaces.
_MANIFEST: Final = """\
#:schema ./stacks.schema.json

# Every key is explained by your editor, or in stackbuild's docs/manifest.md. After a change:
#
#     stackbuild lock && stackbuild build --changed

[project]
name = "notebooks"
platforms = ["linux/amd64"]
repository = "registry.example.com/notebooks/{image}"

[archives.bookworm]
suites = ["bookworm", "bookworm-security"]

[layouts.kubeflow]
user = "jovyan"
uid = 1000
gid = 0
groups = [100]
home = "/home/jovyan"
home-template = "/tmp_home/jovyan"
check = ["kubeflow"]

[images.base]
from = "archive:bookworm"
layout = "kubeflow"
apt = ["bash", "ca-certificates", "curl", "execline", "git", "libstdc++6", "locales", "python3", "s6", "tzdata"]
debconf = [
    "locales locales/locales_to_be_generated multiselect en_US.UTF-8 UTF-8",
    "locales locales/default_environment_locale select en_US.UTF-8",
]
overlays = ["s6", { name = "base", owner = "user" }]
entrypoint = ["/init"]

[images.base.env]
LANG = "en_US.UTF-8"
NB_PREFIX = "/"
S6_BEHAVIOUR_IF_STAGE2_FAILS = "2"
S6_CMD_WAIT_FOR_SERVICES_MAXTIME = "300000"
SHELL = "/bin/bash"
USERS_GID = "100"

[images.jupyter]
from = "base"
python = { from = "apt", prefix = "/opt/venv" }
pip = ["jupyterlab==4.5.7", "notebook==7.5.6", "pip==26.1.1"]
overlays = ["jupyter"]
expose = [8888]
"""

_IGNORED: Final = """\
# For a store inside the project: export STACKBUILD_STORE="$PWD/.store"
/.store/
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What `init` did: paths below the folder, sorted.

    Attributes:
        written: files that are new.
        kept: files that were there already, with whatever is in them.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]


def init(folder: Path, *, templates: Path) -> Started:
    """Write a small manifest, its overlays, its schema and a `.gitignore`; no file that exists is touched.

    Args:
        folder: the user's project, made where it is missing.
        templates: a folder with an `overlays` folder like this project's, from which files are copied with
            their exec bits.

    Raises:
        StackbuildError: a template is missing, or something cannot be written.
    """
    files = {"stacks.toml": _MANIFEST, "stacks.schema.json": schema.text(), ".gitignore": _IGNORED}
    sources = dict(_templates(templates))
    written, kept = [], []
    for name in sorted({*files, *sources}):
        path = folder / name
        if os.path.lexists(path):
            kept.append(name)
            continue
        try:
            _write(path, sources[name] if name in sources else files[name])
        except OSError as error:
            raise StackbuildError(f"cannot write {path}", got=str(error.strerror)) from None
        written.append(name)
    return Started(written=tuple(written), kept=tuple(kept))


def _templates(templates: Path) -> Iterator[tuple[str, Path]]:
    """The overlays' files (links too), by their paths below the project."""
    for overlay in OVERLAYS:
        top = templates / "overlays" / overlay
        if not top.is_dir():
            raise StackbuildError(
                f"no template for the overlay {overlay}",
                where=str(top),
                next_step="install stackbuild again, for a part of it is missing",
            )
        for path in sorted(top.rglob("*")):
            if path.is_symlink() or path.is_file():
                yield path.relative_to(templates).as_posix(), path


def _write(path: Path, content: str | Path) -> None:
    """Text, or a copy of a file or link; under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".init-") as scratch:
        new = Path(scratch, path.name)
        if isinstance(content, str):
            new.write_text(content, encoding="utf-8")
        elif content.is_symlink():
            new.symlink_to(content.readlink())
        else:
            shutil.copyfile(content, new)
            new.chmod(0o755 if content.stat().st_mode & 0o100 else 0o644)
        if not new.is_symlink():
            with new.open("rb") as stream:
                os.fsync(stream.fileno())
        os.rename(new, path)
