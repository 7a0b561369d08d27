"""Layers of conda packages against py-rattler's own install, then tar with the same codec and digests.

The packages are the wheels of jupyter-scipy, packed anew as a channel would have them. Both sides start from the same
files on disk and end with the same layers in a store: ours lays each package straight into its layer, the peer has
py-rattler install all of them into a folder (in a process of its own, which is running already), and then writes what
lies there, part for part, with our writer. Both write the parts in the same pool of processes. Bytecode is left out of
both, as py-rattler compiles none.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.place import ROOT, Place, open_target, settle
from benchmarks.row import Measure, Row, ratio, spread
from builder.action import Workshop
from builder.compression import codec
from builder.digest import Digest
from builder.executors.local import workshop
from builder.fetching import Fetcher
from builder.kinds.conda.link import Place as Prefix
from builder.kinds.conda.part import Layer, Packed, write_packages
from builder.net import Client
from builder.parts import write_part
from builder.scan import scan
from builder.store import Store
from builder.tree import Part, partition, with_parents

_INSTALL = ROOT / "tests/rattler_install.py"
_CODEC = codec("gzip")
_PREFIX = Prefix(prefix="/opt/conda", python="3.11", site="lib/python3.11/site-packages")
_PLACEHOLDER = "/home/builder/feedstock_root/" + "_placehold" * 17
_CHANNEL = "https://conda.example.com/bench"


def layers(place: Place) -> Row:
    channel = place.folder("channel")
    records = _channel(place, channel)
    parts = partition([(str(one["name"]), int(one["size"])) for one in records])
    ours, peers, installs = [], [], []
    for _ in range(place.pairs):
        ours.append(_ours(place, channel, records, parts))
        install, rest = _peer(place, channel, records, parts)
        installs.append(install)
        peers.append(install + rest)
    found = ratio(ours, peers)
    size = sum(int(one["size"]) for one in records)
    return Row(
        what=f"conda layers, {len(records)} packages, {size / 1e6:.0f} MB, against py-rattler's install and tar",
        goal="≤ 1.0 ×",
        result=f"{spread(ours)}; peer {spread(peers)}",
        ratio=found,
        kept=found <= 1.0,
        notes=(f"of the peer, py-rattler's install alone: {spread(installs)}",),
    )


def _channel(place: Place, folder: Path) -> list[dict[str, Any]]:
    """Pack each wheel as a conda package; entries of a repodata.json."""
    opened, target = open_target(place.warm, place.project(), "jupyter-scipy")
    locks = [opened.locks.read(one, "pip") for one in opened.manifest.lineage(target)]
    pins = [pin for lock in locks if lock is not None for pin in lock.pins if pin.filename.endswith(".whl")]
    Fetcher(opened.manifest, opened.store, Client())(pins)
    records = [_python(folder)]
    for pin in pins:
        pure = pin.filename.endswith("-none-any.whl")
        with zipfile.ZipFile(opened.store.source(pin.digest)) as wheel:
            base = "site-packages" if pure else _PREFIX.site
            files = {f"{base}/{info.filename}": wheel.read(info) for info in wheel.infolist() if not info.is_dir()}
        version = re.sub(r"[^0-9A-Za-z.]", "_", pin.version)
        records.append(_package(folder, pin.name, version, files, noarch="python" if pure else ""))
    return records


def _python(folder: Path) -> dict[str, Any]:
    """Of the Python only its version matters here."""
    return _package(folder, "python", "3.11.2", {"bin/python3.11": b"\x7fELF"}, noarch="")


def _package(folder: Path, name: str, version: str, files: dict[str, bytes], *, noarch: str) -> dict[str, Any]:
    """A package with these files, and two that have the prefix in them."""
    placeholder = _PLACEHOLDER.encode()
    patched = {
        f"bin/{name}-tool": ("text", b"#!" + placeholder + b"/bin/python\nprint('x')\n"),
        f"lib/{name}.place": ("binary", b"\0".join([placeholder + b"/lib", bytes(100_000), placeholder])),
    }
    rows = [
        {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
        for path, data in (*files.items(), *((path, data) for path, (_, data) in patched.items()))
    ]
    for row in rows:
        if row["_path"] in patched:
            row |= {"prefix_placeholder": _PLACEHOLDER, "file_mode": patched[str(row["_path"])][0]}
    subdir = "noarch" if noarch else "linux-64"
    index: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": "h1_0",
        "build_number": 0,
        "subdir": subdir,
        "depends": ["python"] if name != "python" else [],
        **({"noarch": noarch} if noarch else {}),
    }
    info = {"info/index.json": index, "info/paths.json": {"paths": rows, "paths_version": 1}, "info/about.json": {}}
    if noarch:
        link = {"noarch": {"type": "python", "entry_points": []}, "package_metadata_version": 1}
        info["info/link.json"] = link
    stem = f"{name}-{version}-h1_0"
    path = folder / subdir / f"{stem}.conda"
    path.parent.mkdir(exist_ok=True)
    content = {**files, **{name: data for name, (_, data) in patched.items()}}
    with zipfile.ZipFile(path, "w") as whole:
        whole.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        whole.writestr(f"pkg-{stem}.tar.zst", _tar(content))
        whole.writestr(f"info-{stem}.tar.zst", _tar({name: json.dumps(one).encode() for name, one in info.items()}))
    data = path.read_bytes()
    return {
        **index,
        "constrains": [],
        "md5": hashlib.md5(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "fn": path.name,
        "channel": _CHANNEL,
        "url": f"{_CHANNEL}/{subdir}/{path.name}",
    }


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = (
                len(data),
                0o755 if name.startswith("bin/") else 0o644,
                1_700_000_000,
            )
            archive.addfile(member, io.BytesIO(data))
    return zstandard.ZstdCompressor(level=6, threads=-1).compress(out.getvalue())


def _ours(place: Place, channel: Path, records: list[dict[str, Any]], parts: Sequence[Part]) -> float:
    with place.store(built=False) as folder:
        store = Store.open(folder)
        for record in records:
            source = channel / record["subdir"] / record["fn"]
            os.link(source, store.source(Digest(f"sha256:{record['sha256']}")))
        by_name = {record["name"]: Packed(record=record) for record in records}
        found = [
            Layer(
                name=part.name,
                packages=tuple(by_name[name] for name in part.members),
                place=_PREFIX,
                zips={},
                codec=_CODEC,
            )
            for part in parts
        ]
        weights = {layer.name: -sum(one.record["size"] for one in layer.packages) for layer in found}
        found.sort(key=lambda layer: weights[layer.name])
        return _pooled(store, lambda shop: [shop.heavy(write_packages, store, layer) for layer in found])


def _peer(place: Place, channel: Path, records: list[dict[str, Any]], parts: Sequence[Part]) -> tuple[float, float]:
    """Seconds of py-rattler's install, and of writing what it installed."""
    scratch = place.folder("rattler")
    target = scratch / "root/opt/conda"
    packages = [{**one, "url": (channel / one["subdir"] / one["fn"]).as_uri()} for one in records]
    order = {"packages": packages, "folder": str(target), "prefix": _PREFIX.prefix, "cache": str(scratch / "cache")}
    (scratch / "order.json").write_text(json.dumps(order))
    target.parent.mkdir(parents=True)
    settle()
    done = subprocess.run(
        [sys.executable, str(_INSTALL), str(scratch / "order.json")], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"bench: py-rattler failed\n{done.stderr[-2000:]}")
    with place.store(built=False) as folder:
        store = Store.open(folder)
        rest = _pooled(
            store, lambda shop: [shop.heavy(write_part, store, *one, _CODEC) for one in _found(target, parts)]
        )
    shutil.rmtree(scratch)
    return float(done.stdout), rest


def _found(target: Path, parts: Sequence[Part]) -> list[tuple[str, Any]]:
    """What was installed, part for part, the largest first."""
    owners: dict[str, str] = {}
    for path in sorted((target / "conda-meta").glob("*.json")):
        told = json.loads(path.read_bytes())
        owners.update({f"opt/conda/{name}": told["name"] for name in told["files"]})
        owners[f"opt/conda/conda-meta/{path.name}"] = told["name"]
    part_of = {name: part.name for part in parts for name in part.members}
    found: dict[str, list[Any]] = {part.name: [] for part in parts}
    for entry in scan(str(target.parents[1]), owners):
        if entry.owner:
            found[part_of[entry.owner]].append(entry)
    ordered = sorted(found.items(), key=lambda item: -sum(one.content.size for one in item[1] if one.content))
    return [(name, with_parents(entries)) for name, entries in ordered]


def _pooled(store: Store, start: Callable[[Workshop], list[Any]]) -> float:
    """Seconds from the first to the last of what is started in a pool that is running already."""
    jobs = os.cpu_count() or 1
    settle()
    with workshop(store, jobs) as make:
        shop = make(Path(os.devnull))
        for future in [shop.heavy(time.sleep, 0.2) for _ in range(jobs)]:
            future.result()
        began = time.monotonic()
        for future in start(shop):
            future.result()
        return time.monotonic() - began


ROWS: dict[str, Measure] = {"conda": layers}
