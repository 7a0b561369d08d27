"""Install conda packages with py-rattler; a program of its own, as the library may crash when a process that used it
ends: `python rattler_install.py ORDER`, which prints the seconds that installing took.

ORDER is a JSON file: `packages` (entries of repodata, each with its `url`), `folder`, `prefix` and `cache`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import rattler


def record(entry: dict[str, Any]) -> rattler.RepoDataRecord:
    """An entry of repodata.json with its place."""
    described = rattler.PackageRecord(
        name=entry["name"],
        version=entry["version"],
        build=rattler.BuildString(entry["build"]),
        build_number=entry["build_number"],
        subdir=entry["subdir"],
        arch=entry.get("arch"),
        platform=entry.get("platform"),
        noarch=entry.get("noarch"),
        depends=entry["depends"],
        sha256=bytes.fromhex(entry["sha256"]),
        md5=bytes.fromhex(entry["md5"]),
        size=entry["size"],
        license=entry.get("license"),
    )
    return rattler.RepoDataRecord(described, entry["fn"], entry["url"], entry["channel"])


def main() -> None:
    with open(sys.argv[1]) as stream:
        order = json.load(stream)
    records = [record(entry) for entry in order["packages"]]
    began = time.monotonic()
    asyncio.run(
        rattler.install(
            records,
            order["folder"],
            cache_dir=order["cache"],
            show_progress=False,
            execute_link_scripts=False,
            alternative_target_prefix=order["prefix"],
        )
    )
    print(time.monotonic() - began, flush=True)
    os._exit(0)


main()
