"""Whether a package that moved beside a bump could have stayed, had the solver taken another version of something else.

uv is asked, by a command of our own: the requests as they are now, all that did not move as it was, and the package in
question as it was; what else moved is free. A solution means that the package was moved by a choice, not by need.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.rehearsal.forced import Step

_TARGET: Final = ("--python-version", "3.11", "--python-platform", f"{platform.machine()}-manylinux_2_36")


def spared(step: Step, cutoff: str, folder: Path) -> tuple[str, ...]:
    """Those that moved, or came, and had another way; uv is not asked about what comes as source."""
    names = {name for name in step.changed & step.new.keys() if step.new[name].filename.endswith(".whl")}
    return tuple(sorted(name for name in names if _stays(step, name, cutoff, folder)))


def _stays(step: Step, name: str, cutoff: str, folder: Path) -> bool:
    folder.mkdir(exist_ok=True)
    sources = {one for one, pin in step.new.items() if not pin.filename.endswith(".whl")}
    free = step.changed | sources
    limits = {one: f"=={pin.version}" for one, pin in {**step.new, **step.above}.items() if one not in free}
    limits[name] = f"=={step.old[name].version}" if name in step.old else "<0"
    # uv has no wheel of what comes as source: its requirements, which the lock has, stand for it.
    requests = [str(one) for one in step.requests]
    requests += [str(asked) for one in sources for asked in step.new[one].requires]
    (folder / "requests.in").write_text("".join(f"{one}\n" for one in sorted(requests)))
    (folder / "limits.txt").write_text("".join(f"{one}{limit}\n" for one, limit in sorted(limits.items())))
    (folder / "sources.txt").write_text("".join(f"{one}\n" for one in sorted(sources)))
    command = [sys.executable, "-m", "uv", "pip", "compile", "requests.in", "--constraints", "limits.txt"]
    command += ["--excludes", "sources.txt", "--only-binary", ":all:", "--exclude-newer", cutoff, *_TARGET]
    done = subprocess.run(
        [*command, "--quiet", "--no-header", "--no-annotate"],
        cwd=folder,
        env={**os.environ, "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(folder / "cache"), **_index()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or "No solution found" in done.stderr, done.stderr
    return done.returncode == 0


def _index() -> dict[str, str]:
    """pip's default index on this machine, if it has another than uv."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    found = os.environ.get("PIP_INDEX_URL") or done.stdout.strip()
    return {"UV_DEFAULT_INDEX": found} if found else {}
