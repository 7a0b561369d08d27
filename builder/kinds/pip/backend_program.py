"""Call a build backend (PEP 517). Executed by the image's interpreter inside the sandbox, on its own.

The backend's answers go to told.json: what more it requires, or the wheel's file name.
"""

import importlib
import json
import os
import re
import sys

ENV, OUT = "/run/stackbuild/env", "/run/stackbuild/out"


def main() -> None:
    os.umask(0o022)
    os.chdir(f"/run/stackbuild/src/{sys.argv[1]}")
    sys.path.insert(0, ENV)
    settings = build_system()
    sys.path[:0] = [os.path.abspath(path) for path in settings.get("backend-path", [])]
    backend: object = None
    name, _, attribute = settings.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    backend = importlib.import_module(name)
    for part in attribute.split(".") if attribute else []:
        backend = getattr(backend, part)
    asked: list[str] = getattr(backend, "get_requires_for_build_wheel", lambda _: [])({})
    missing = [one for one in asked if not installed(one)]
    wheel = "" if missing else backend.build_wheel(OUT, {})  # type: ignore[attr-defined]
    with open(f"{OUT}/told.json", "w") as stream:
        json.dump({"requires": missing, "wheel": wheel}, stream)


def build_system() -> "dict":  # type: ignore[type-arg]
    if not os.path.exists("pyproject.toml"):
        return {}
    import tomllib

    with open("pyproject.toml", "rb") as stream:
        found: dict = tomllib.load(stream).get("build-system", {})  # type: ignore[type-arg]
        return found


def installed(requirement: str) -> bool:
    """Whether the environment has that distribution; its version was the lock's business."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
    wanted = re.sub(r"[-_.]+", "-", name).lower()
    for entry in os.listdir(ENV):
        if entry.endswith(".dist-info") and re.sub(r"[-_.]+", "-", entry.split("-")[0]).lower() == wanted:
            return True
    return False


main()
