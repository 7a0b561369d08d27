"""Solve one conda request with rattler: a program of its own, `python -m builder.kinds.conda.worker`.

Reads a question (JSON) from its standard input and writes the answer (JSON) to its standard output. Why a process:
py-rattler 0.28 can crash while the interpreter exits, after all work was done, so this program flushes and leaves
without an exit handler; and whoever solves nothing never imports it.

It is given local repodata files and made-up channel URLs, and has no business with a network.

    question  {"channels": [{"url", "repodata": {subdir: path}}], "specs", "virtual": [[name, version, build]],
               "pinned": [record], "locked": [record], "cutoff": milliseconds or null, "exempt": [name], "scratch"}
    record    as in repodata.json, with "fn" and "url" and "channel"
    answer    {"records": [record]} | {"unsolvable": text} | {"priority": [[file, channel, better channel]]}
              | {"changed": [[file, expected sha256, sha256 now]]} | {"broken": [channel, subdir, text]}
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rattler import Channel, PackageRecord, RepoDataRecord, SparseRepoData
from rattler.exceptions import SolverError
from rattler.package import BuildString, PackageName
from rattler.solver import solve_with_sparse_repodata
from rattler.version import Version
from rattler.virtual_package import GenericVirtualPackage

Json = dict[str, Any]


def answer(question: Json) -> Json:
    """The answer to one question."""
    tiers: list[tuple[str, list[SparseRepoData]]] = []
    for channel in question["channels"]:
        opened = []
        for subdir, path in sorted(channel["repodata"].items()):
            try:
                opened.append(SparseRepoData(Channel(channel["url"]), subdir, path))
            except Exception as error:  # whatever rattler says of a file that is no repodata
                return {"broken": [channel["url"], subdir, str(error)]}
        tiers.append((channel["url"], opened))
    names = {url: {name for one in opened for name in one.package_names()} for url, opened in tiers}

    locked = []
    changed = []
    for record in question["locked"]:
        if _only(record, names) != record["channel"]:
            continue  # The channels or their order have changed: it would no longer be chosen.
        now = _now(record, dict(tiers)[record["channel"]])
        if now is not None and now.sha256 is not None and now.sha256.hex() != record["sha256"]:
            changed.append([record["fn"], record["sha256"], now.sha256.hex()])
        locked.append(_record(record))
    if changed:
        return {"changed": changed}

    cutoff = question["cutoff"]
    sources = [one for _, opened in tiers for one in opened]
    if cutoff is not None:
        sources += _exempted(tiers, question["exempt"], cutoff, Path(question["scratch"]))
    try:
        found = asyncio.run(
            solve_with_sparse_repodata(
                question["specs"],
                sources,
                locked_packages=locked,
                pinned_packages=[_record(one) for one in question["pinned"]],
                virtual_packages=[
                    GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
                    for name, version, build in question["virtual"]
                ],
                exclude_newer=datetime.fromtimestamp(cutoff / 1000, UTC) if cutoff is not None else None,
            )
        )
    except SolverError as error:
        return {"unsolvable": str(error)}
    pinned = {one["name"] for one in question["pinned"]}
    records = [{**json.loads(one.to_json()), "channel": (one.channel or "").rstrip("/")} for one in found]
    strays = [
        [record["fn"], record["channel"], better]
        for record in records
        if record["name"] not in pinned and (better := _only(record, names)) != record["channel"]
    ]
    return {"priority": strays} if strays else {"records": records}


def _only(record: Json, names: dict[str, set[str]]) -> str:
    """The first channel that has the record's name, the only one it may come from; its own where none has it now.

    Strict priority, as asked of rattler, leaves gaps: a locked record is preferred whatever channel it is of.
    """
    return next((url for url, has in names.items() if record["name"] in has), str(record["channel"]))


def _now(record: Json, opened: list[SparseRepoData]) -> RepoDataRecord | None:
    """The channel's own record of that very file today."""
    for one in opened:
        if one.subdir == record["subdir"]:
            for found in one.load_records(record["name"]):
                if found.file_name == record["fn"]:
                    return found
    return None


def _record(record: Json) -> RepoDataRecord:
    package = PackageRecord(
        record["name"],
        record["version"],
        BuildString(record["build"]),
        record["build_number"],
        record["subdir"],
        noarch=record.get("noarch"),
        depends=record["depends"],
        constrains=record["constrains"],
        sha256=bytes.fromhex(record["sha256"]) or None,
        md5=bytes.fromhex(record["md5"]) or None,
        size=record["size"],
    )
    return RepoDataRecord(package, record["fn"], record["url"], record["channel"])


def _exempted(
    tiers: list[tuple[str, list[SparseRepoData]]], names: list[str], cutoff: int, scratch: Path
) -> list[SparseRepoData]:
    """The exempt packages once more, as if of the moment of the cutoff, since rattler knows one cutoff for all."""
    found = []
    for number, (url, opened) in enumerate(tiers):
        for one in opened:
            records = {}
            for name in names:
                for record in one.load_records(name):
                    fields = json.loads(record.to_json())
                    fields.pop("indexed_timestamp", None)
                    records[record.file_name] = {**fields, "timestamp": cutoff}
            if records:
                path = scratch / f"{number}-{one.subdir}.json"
                by_form: Json = {"packages": {}, "packages.conda": {}}
                for name, fields in records.items():
                    by_form["packages.conda" if name.endswith(".conda") else "packages"][name] = fields
                path.write_text(json.dumps({"info": {"subdir": one.subdir}, **by_form}))
                found.append(SparseRepoData(Channel(url), one.subdir, path))
    return found


def main() -> None:
    """Answer the question on standard input."""
    text = json.dumps(answer(json.load(sys.stdin)))
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
