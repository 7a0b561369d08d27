"""Ask rattler, in a process of its own (`worker.py`), for the records that answer a request."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda.record import Record, of_document
from builder.kinds.conda.virtual import parts
from builder.store import Store

_WORKER: Final = Path(__file__).with_name("worker.py")
_AT_ONCE: Final = BoundedSemaphore(os.cpu_count() or 1)
"""A solver of a large channel takes some gigabytes; more of them than processors would gain nothing."""

_PLACE: Final = "https://channel.invalid"
"""Below it, each channel has a made-up URL in the worker: it needs one, and must not learn the real one."""


class NoSolution(Exception):
    """There is none; `explanation` is the solver's, a line each."""

    def __init__(self, explanation: Sequence[str]) -> None:
        super().__init__("\n".join(explanation))
        self.explanation = tuple(explanation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be solved.

    Attributes:
        channels: name → repodata file by subdir; the first has priority.
        specs: MatchSpecs.
        virtual: `__glibc==2.36`, as `virtual.virtual` gives them.
        pinned: records that must be what their names mean.
        locked: records that are preferred.
        cutoff: no record of this moment or later is seen, but for `exempt` names; UTC.
    """

    channels: Mapping[str, Mapping[str, Path]]
    specs: tuple[str, ...]
    virtual: tuple[str, ...]
    pinned: tuple[Record, ...] = ()
    locked: tuple[Record, ...] = ()
    cutoff: datetime | None = None
    exempt: frozenset[str] = frozenset()


def solve(problem: Problem, store: Store) -> tuple[Record, ...]:
    """The records that answer it, sorted by name; each of the first channel that has its name.

    Raises:
        NoSolution: there is none.
        HostileInput: a channel's repodata is broken, or other bytes have the name of a locked file.
        StackbuildError: a record is not of the channel that it must come from; the solver crashed.
    """
    with store.workspace() as scratch:
        said = _ask(_question(problem, scratch), scratch)
    if "unsolvable" in said:
        raise NoSolution(_explanation(said["unsolvable"]))
    if "broken" in said:
        url, subdir, text = said["broken"]
        raise HostileInput(f"repodata is broken: channel {_name(url)}, {subdir}", got=str(text)[:300])
    for file, expected, got in said.get("changed", ()):
        raise HostileInput(
            f"{file} has other bytes than when it was locked",
            expected=f"sha256:{expected}",
            got=f"sha256:{got}",
            next_step="find out why; if it is right: stackbuild lock --upgrade-package "
            + next(one.name for one in problem.locked if one.file == file),
        )
    for file, channel, better in said.get("priority", ()):
        raise StackbuildError(
            f"channel priority is broken: {file} would come from {_name(channel)}",
            expected=f"only from {_name(better)}, which comes first and has packages of that name",
            next_step="change the order of channels in stacks.toml, or the request",
        )
    found = (of_document(one, _name(one["channel"])) for one in said["records"])
    return tuple(sorted(found, key=lambda record: record.name))


def _question(problem: Problem, scratch: Path) -> dict[str, Any]:
    known = [one for one in problem.locked if one.channel in problem.channels]
    return {
        "channels": [
            {"url": f"{_PLACE}/{name}", "repodata": {subdir: str(path) for subdir, path in files.items()}}
            for name, files in problem.channels.items()
        ],
        "specs": list(problem.specs),
        "virtual": [parts(one) for one in problem.virtual],
        "pinned": [one.document(f"{_PLACE}/{one.channel or 'base'}") for one in problem.pinned],
        "locked": [one.document(f"{_PLACE}/{one.channel}") for one in known],
        # rattler lets records of that very moment in.
        "cutoff": None if problem.cutoff is None else int(problem.cutoff.timestamp() * 1000) - 1,
        "exempt": sorted(problem.exempt),
        "scratch": str(scratch),
    }


def _name(url: str) -> str:
    return url.rstrip("/").removeprefix(f"{_PLACE}/")


def _ask(question: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    # By its path and isolated: it needs rattler, and neither this package nor anything of the user's environment.
    command = [sys.executable, "-I", str(_WORKER)]
    with _AT_ONCE:
        done = subprocess.run(
            command,
            input=json.dumps(question).encode(),
            cwd=scratch,
            env={"LC_ALL": "C.UTF-8", "HOME": str(scratch)},
            capture_output=True,
            check=False,
        )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StackbuildError(
            f"the conda solver failed (exit {done.returncode})",
            got="\n".join(said[-5:])[:1000],
            next_step="run the same command again; if it fails again, report it",
        ) from None
    return answer


def _explanation(text: str) -> list[str]:
    told = re.sub(rf"'?{re.escape(_PLACE)}/([a-z0-9-]+)/?'?", r"\1", text)
    lines = [line.rstrip() for line in told.splitlines() if line.strip()]
    first = lines[0].removeprefix("Cannot solve the request because of: ")
    return lines[1:41] if first == "The following packages are incompatible" else [first, *lines[1:41]]
