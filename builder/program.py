"""stackbuild itself, as it goes to another machine: its own files, and the wheels that it runs on.

Which wheels, `requirements.txt` beside this file pins by digest; in git it is a link to scripts/requirements/run.txt,
in a wheel of stackbuild the file itself. pip chooses those that suit this Python on this machine, from wherever the
user's own settings of pip say, and they stay in the store:

    wheels/<hex>.json       what pip chose: file name, digest and size of each
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from builder import __version__
from builder.credentials import secrets
from builder.digest import Digest, canonical, key
from builder.errors import HostileInput, StackbuildError
from builder.offline import refuse
from builder.redaction import redact
from builder.store import Store
from builder.user_config import environment, environment_for_tools

FOLDER: Final = Path(__file__).parent
REQUIREMENTS: Final = FOLDER / "requirements.txt"
_LEFT_OUT = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache"})
WRITERS = ("deflate", "installer", "isal")
"""Libraries that write what is in layers."""
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
_ELSEWHERE = re.compile(r"PYTHON.*|PIP_(TARGET|PREFIX|ROOT|USER|REQUIREMENT|CONSTRAINT|NO_BINARY|PYTHON|PLATFORM|DEST)")
"""Variables that would have pip choose for another Python, or put things elsewhere; its other settings hold."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel among the store's sources. `size` in bytes."""

    filename: str
    digest: Digest
    size: int


def files() -> Iterator[tuple[str, Path]]:
    """Every file of the package, by its path in it, sorted; links of the checkout are followed."""
    for folder, names, found in os.walk(FOLDER, followlinks=True):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT)
        for name in sorted(found):
            path = Path(folder) / name
            yield path.relative_to(FOLDER).as_posix(), path


@cache
def identity() -> str:
    """What decides which bytes a step comes to, beside its key: stackbuild's own code, and the libraries that write.

    Two machines where it is equal come to equal results. `0.9.0-<16 hex>`.
    """
    code = [[name, Digest.of_file(path)] for name, path in files() if name.endswith(".py") and _ours(name)]
    libraries = [[name, version(name)] for name in WRITERS]
    return f"{__version__}-{key([code, libraries]).hex[:16]}"


def _ours(name: str) -> bool:
    """Not of an image: what is in those has digests of its own."""
    return not name.startswith("templates/")


def python() -> str:
    """The Python that the wheels are for: `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def known_wheels(store: Store, requirements: Path = REQUIREMENTS) -> tuple[Wheel, ...] | None:
    """The wheels by file name, if the store has them all."""
    try:
        rows = json.loads((store.path / _table(requirements)).read_bytes())
        found = tuple(Wheel(str(name), Digest.parse(digest), int(size)) for name, digest, size in rows)
    except (OSError, ValueError, TypeError, HostileInput):
        return None
    pinned = _pinned(requirements)
    good = all(_WHEEL.fullmatch(one.filename) and one.digest.hex in pinned for one in found)
    return found if found and good and all(store.source(one.digest).exists() for one in found) else None


def wheels(store: Store, requirements: Path = REQUIREMENTS) -> tuple[Wheel, ...]:
    """The wheels by file name, after pip downloaded what the store does not have.

    Raises:
        Unreachable: it lacks some, and there may be no network.
        StackbuildError: pip cannot get them.
        HostileInput: one of them is not pinned.
    """
    found = known_wheels(store, requirements)
    if found is None:
        found = _downloaded(store, requirements)
        store.write(_table(requirements), canonical([[one.filename, one.digest, one.size] for one in found]))
    return found


def _downloaded(store: Store, requirements: Path) -> tuple[Wheel, ...]:
    environ = environment(os.environ)
    refuse(environ, "the wheels that stackbuild itself runs on are not in the store")
    kept = {name: value for name, value in environ.items() if not _ELSEWHERE.fullmatch(name)}
    tools = environment_for_tools(environ)
    with store.workspace() as folder:
        command = [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(folder / "wheels")]
        command += ["--requirement", str(requirements)]
        done = subprocess.run(
            command, env={**kept, **tools}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = redact(done.stderr.strip(), secrets(environ)).splitlines()
            said = [line for line in said if line.startswith("ERROR")] or said
            raise StackbuildError(
                f"pip cannot download what stackbuild runs on (exit {done.returncode})",
                where=shlex.join(command),
                got="\n".join(said[-5:]),
                next_step="check that pip reaches its index, then run the same command again",
            )
        pinned = _pinned(requirements)
        return tuple(_put(store, path, pinned) for path in sorted((folder / "wheels").iterdir()))


def _put(store: Store, path: Path, pinned: frozenset[str]) -> Wheel:
    """A downloaded wheel among the sources; pip compared it with its pin, and so do we."""
    data = path.read_bytes()
    digest = Digest.of(data)
    if digest.hex not in pinned or not _WHEEL.fullmatch(path.name):
        raise HostileInput(f"pip downloaded what no requirement names: {path.name}", got=digest)
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(digest)
    return Wheel(path.name, digest, len(data))


def _pinned(requirements: Path) -> frozenset[str]:
    return frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text("utf-8")))


def _table(requirements: Path) -> str:
    """Where the store says what was chosen: it depends on the pins and on all that wheels' tags speak of."""
    machine: Sequence[str] = (sys.implementation.name, python(), platform.machine(), *platform.libc_ver())
    return f"wheels/{key([Digest.of_file(requirements), *machine]).hex}.json"
