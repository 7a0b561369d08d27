"""Runs in the image, by its own Python: imports what packages bring, each package in a process of its own.

    python -c <this file> NAME…     prints a line of JSON, after the word RESULT

It has the standard library only, of whatever Python the image has, from 3.8 on.
"""

from __future__ import annotations

import sys

if sys.path and sys.path[0] == "":
    del sys.path[0]  # `-c` puts the working folder first, which a notebook's kernel and a server do not.

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from importlib import metadata

SECONDS = 180
NOT_PROMISED = {"tests", "test", "testing", "docs", "doc", "examples", "benchmarks", "setup", "conftest"}
CHILD = """
import sys
if sys.path and sys.path[0] == "":
    del sys.path[0]
import importlib, json
for name in sys.argv[2:]:
    try:
        module = importlib.import_module(name)
        row = [name, getattr(module, "__file__", None) or "", ""]
    except BaseException as error:
        row = [name, "", (type(error).__name__ + ": " + str(error))[:2000]]
    with open(sys.argv[1], "a") as stream:
        stream.write(json.dumps(row) + "\\n")
"""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def modules(files: Iterable[object]) -> list[str]:
    """The topmost modules and packages among installed files, private ones and tests left out."""
    packages: set[tuple[str, ...]] = set()
    found: set[tuple[str, ...]] = set()
    for parts in (str(path).split("/") for path in files):
        stem, _, end = parts[-1].partition(".")
        is_module = end == "py" or end == "so" or end.endswith(".so")
        if ".." in parts or not is_module or not all(part.isidentifier() for part in (*parts[:-1], stem)):
            continue
        if stem == "__init__":
            packages.add(tuple(parts[:-1]))
        elif len(parts) == 1:
            found.add((stem,))
    for one in packages:
        if not any(one[:length] in packages for length in range(1, len(one))):
            found.add(one)
    named = (one for one in found if one and not any(part.startswith("_") or part in NOT_PROMISED for part in one))
    return sorted(".".join(one) for one in named if len(one) <= 3)


def of(distribution: metadata.Distribution) -> tuple[list[str], set[str] | None]:
    """What a distribution lets one import, and the files that are its own."""
    files = distribution.files if distribution.read_text("RECORD") else None
    if files is None:  # What an egg-info names are sources.
        return (distribution.read_text("top_level.txt") or "").split(), None
    return modules(files), {os.path.realpath(str(distribution.locate_file(one))) for one in files}


def attempt(names: list[str], own: set[str] | None) -> list[tuple[str, str]]:
    """Rows of (module, what is wrong) from one process; nothing where all is well."""
    with tempfile.NamedTemporaryFile() as result, tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, result.name, *names], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            code = child.wait(SECONDS)
            end = "" if code == 0 else f"Python ended with exit code {code}"
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            end = f"not done after {SECONDS} s"
        with open(result.name) as stream:
            rows = [json.loads(line) for line in stream]
        said.seek(0)
        last = said.read().decode("utf-8", "replace").strip().splitlines()[-2:]
    wrong = [(name, error) for name, _, error in rows if error]
    for name, path, error in rows:
        if not error and path and own is not None and os.path.realpath(path) not in own:
            wrong.append((name, f"comes from {path}, which is no file of the package"))
    if end and len(rows) < len(names):
        wrong.append((names[len(rows)], " / ".join([end, *last])))
    return wrong


def main(names: list[str]) -> None:
    installed: dict[str, metadata.Distribution] = {}
    places, problems = [], []
    for one in metadata.distributions():
        name = normalised(one.metadata["Name"] or "")
        installed.setdefault(name, one)
        places.append([name, one.version, str(one.locate_file(""))])
    for name in names:
        if name not in installed:
            problems.append([name, "", "not found by importlib.metadata"])
            continue
        wanted, own = of(installed[name])
        if wanted:
            problems += [[name, module, error] for module, error in attempt(wanted, own)]
    print("RESULT " + json.dumps({"problems": problems, "places": sorted(places)}))


if __name__ == "__main__":
    main(sys.argv[1:])
