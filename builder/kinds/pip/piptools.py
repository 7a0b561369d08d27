"""Solving with pip-tools: for whoever wants pip's own resolver, on the interpreter that runs stackbuild.

pip-compile evaluates markers and tags of its own interpreter and cannot be told otherwise, so any other target is
an error. It is one to two orders of magnitude slower than uv for the same pins.

pip cannot apply a cutoff to an index that tells no upload times in JSON; so here the cutoff is a loop: versions
that are too new are excluded by constraints, until none is left in the answer.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from builder.credentials import joined, secrets
from builder.errors import StackbuildError
from builder.kinds.pip.choose import visible
from builder.kinds.pip.index import DEFAULT, Indexes
from builder.kinds.pip.page import released
from builder.kinds.pip.question import Attempt, NoSolution, PipQuestion, Solution, hostless
from builder.kinds.pip.target import MACHINES
from builder.kinds.pip.uv import KEPT, pins
from builder.store import Store
from builder.user_config import environment_for_tools

_NO_SOLUTION = ("ResolutionImpossible", "No matching distribution", "Could not find a version", "conflict")


def solve(attempt: Attempt, indexes: Indexes, store: Store, environ: Mapping[str, str]) -> Solution:
    """What pip-compile finds, with wheels only.

    Raises:
        NoSolution: there is none, with pip's explanation.
        StackbuildError: the target is not the running interpreter, or pip-compile failed in another way.
    """
    refuse_others(attempt.question)
    excluded: dict[str, str] = {}
    while True:
        found = _compile(attempt, indexes, store, environ, tuple(excluded.values()))
        news = {}
        for name, version in found:
            if name not in excluded and name not in attempt.question.pinned:
                excluding = _too_new(name, version, attempt, indexes)
                if excluding:
                    news[name] = excluding
        if not news:
            return found
        excluded |= news


def refuse_others(question: PipQuestion) -> None:
    """Raises: StackbuildError: pip-tools cannot answer for that target, or not with these options."""
    machine = MACHINES.get(question.platform, question.platform)
    here = (platform.python_version(), platform.system(), platform.machine())
    if here != (question.python, "Linux", machine):
        raise StackbuildError(
            f"pip-tools cannot lock {question.platform}, CPython {question.python}",
            expected="the interpreter and system that stackbuild runs on: pip-compile can only lock those",
            got=f"{here[1]} {here[2]}, CPython {here[0]}",
            next_step='set resolver = "uv" in [project], or run stackbuild in the target\'s own Python',
        )
    if question.foreign or question.without:
        raise StackbuildError(
            f"pip-tools cannot lock {question.where}",
            got="packages of conda beside pip's" if question.foreign else f"without {', '.join(question.without)}",
            next_step='set resolver = "uv" in [project]',
        )
    named = sorted(name for name, index in question.sources.items() if index not in ("", DEFAULT))
    if named:
        raise StackbuildError(
            f"pip-tools cannot take {', '.join(named)} from an index of their own",
            next_step='set resolver = "uv" in [project]',
        )


def _too_new(name: str, version: str, attempt: Attempt, indexes: Indexes) -> str:
    """A constraint that excludes every version the cutoff hides; "" if this one may be seen."""
    fitting = attempt.question.fitting(name)
    if fitting.cutoff is None or (attempt.links and any(attempt.links.glob(f"{name.replace('-', '_')}-*"))):
        return ""
    versions: dict[str, bool] = {}
    for file in indexes.files(name, attempt.question.source(name)):
        if (one := released(file.name, name)) is not None:
            versions[str(one)] = versions.get(str(one), False) or visible(file, fitting)
    hidden = [one for one, seen in sorted(versions.items()) if not seen]
    return name + ",".join(f"!={one}" for one in hidden) if version in hidden else ""


def _compile(
    attempt: Attempt,
    indexes: Indexes,
    store: Store,
    environ: Mapping[str, str],
    excluded: tuple[str, ...],
) -> Solution:
    question = attempt.question
    environment = {name: value for name, value in environ.items() if KEPT.fullmatch(name)}
    environment |= environment_for_tools(environ)
    if bundle := environ.get("PIP_CERT") or environment.get("SSL_CERT_FILE"):
        environment["PIP_CERT"] = bundle
    url, login = indexes.access()
    environment |= {"NETRC": os.devnull, "PIP_KEYRING_PROVIDER": "disabled"}
    # The user's pip configuration may hold find-links and further indexes; only the default index is asked.
    environment |= {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": joined(url, login), "PIP_NO_INPUT": "1"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    with store.workspace() as folder:
        (folder / "request.in").write_text("\n".join((*question.request, *attempt.direct)) + "\n")
        (folder / "constraints.txt").write_text("\n".join((*attempt.constraints, *excluded)) + "\n")
        (folder / "locked.txt").write_text("\n".join(attempt.preferences) + "\n")
        options = [
            "--no-config",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--strip-extras",
            "--allow-unsafe",
        ]
        options += [
            "--no-emit-index-url",
            "--no-emit-trusted-host",
            "--no-emit-options",
            "--no-emit-find-links",
        ]
        options += ["--cache-dir", str(store.path / "pip-tools"), "--pip-args", "--only-binary=:all:"]
        options += ["--constraint", "constraints.txt", "--output-file", "locked.txt"]
        options += ["--find-links", str(attempt.links)] if attempt.links else []
        options += ["--upgrade"] if question.upgrade_all else []
        command = [sys.executable, "-m", "piptools", "compile", *options, "request.in"]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        words = hostless(
            done.stderr.decode("utf-8", "replace"), (*secrets(environ), *(login.pair if login else ()))
        ).replace(str(folder), ".")
        if done.returncode:
            if any(mark in words for mark in _NO_SOLUTION):
                raise NoSolution(question, [line.strip() for line in words.splitlines() if line.strip()][-20:])
            raise StackbuildError(
                f"pip-compile failed: {question.where} (exit {done.returncode})",
                where=shlex.join([Path(command[0]).name, *command[1:]]),
                got=words.strip()[-2000:],
                next_step='pip install pip-tools, or set resolver = "uv" in [project]',
            )
        return pins((folder / "locked.txt").read_text())
