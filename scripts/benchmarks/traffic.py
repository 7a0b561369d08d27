"""What a family costs in a registry: after a security fix, pushed again, and taken by a machine that has nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import services
from benchmarks.place import Place, edit, open_target, settle
from benchmarks.row import Measure, Row, ratio, spread
from builder.fetching import Fetcher
from builder.net import Client
from builder.workflow import build

_PORT = 5962
_FAMILY = ("base", "jupyter", "jupyter-scipy", "jupyter-tensorflow:cpu")
_FIXED = "libssl3"
_COPIES = 16
"""Images that add nothing but a label, so that there are twenty."""


def security(place: Place) -> Row:
    before = place.project()
    edit(before, r'suites = \["bookworm"\]', 'suites = ["bookworm", "bookworm-security"]')
    edit(before, r"(exclude-newer = .*)", r'\1\nexempt = ["bookworm"]')
    place.run(place.warm, before, "lock")
    after = place.folder("fixed") / "project"
    shutil.copytree(before, after, symlinks=True)
    place.run(place.warm, after, "lock", "--upgrade-package", _FIXED)
    place.run(place.warm, before, "build", "--no-start", *_FAMILY)
    with _registry(place) as host, place.store(built=True) as store:
        to = ["--to", f"{host}/fix/{{image}}", "--tag", "now"]
        place.run(store, before, "push", *_FAMILY, *to)
        for name in ("base", "jupyter-scipy"):
            opened, target = open_target(store, after, name)
            pins = build.pins_of(build.plan(opened, (target,))[target].actions)
            Fetcher(opened.manifest, opened.store, Client())(pins)
        settle()
        built = place.run(store, after, "build", "--no-start", *_FAMILY)
        pushed = place.run(store, after, "push", "--json", *_FAMILY, *to)
        sent = json.loads(pushed.out)["blobs"]["sent"]
        names = [name.partition(":")[0] for name in _FAMILY]
        old, new = (
            {layer["digest"]: layer for name in names for layer in place.result(store, one, name)["layers"]}
            for one in (before, after)
        )
    moved = [new[digest] for digest in sorted(new.keys() - old.keys(), key=lambda one: new[one]["name"])]
    size = sum(layer["size"] for layer in moved)
    only = all(layer["name"].startswith("apt/") for layer in moved)
    return Row(
        what=f"a security fix of {_FIXED} in base, downloaded: whole family of {len(_FAMILY)} pushed",
        goal="only touched apt layers, and the last layer of each descendant with apt, are sent",
        result=f"{built.seconds + pushed.seconds:.1f} s, {sent / 1e6:.1f} MB sent; "
        + ", ".join(f"{layer['name']} {layer['size'] / 1e6:.1f} MB" for layer in moved),
        kept=only and bool(moved) and sent <= size + 100_000,
        notes=("performed: " + "; ".join(built.performed),),
    )


def again(place: Place) -> Row:
    project = place.project()
    with (project / "stacks.toml").open("a") as manifest:
        for number in range(_COPIES):
            manifest.write(f'\n[images.copy-{number}]\nfrom = "jupyter-scipy"\nlabels = {{ number = "{number}" }}\n')
    wanted = (*_FAMILY, *(f"copy-{number}" for number in range(_COPIES)))
    place.run(place.warm, project, "build", "--no-start", *_FAMILY)
    with _registry(place) as host, place.store(built=True) as store:
        place.run(store, project, "build", "--no-start", *wanted)
        to = ["--to", f"{host}/again/{{image}}", "--tag", "now"]
        first = place.run(store, project, "push", "--json", *wanted, *to)
        taken = []
        for _ in range(max(3, place.pairs)):
            done = place.run(store, project, "push", "--json", *wanted, *to)
            taken.append(done.seconds)
            blobs = json.loads(done.out)["blobs"]
        other = place.run(store, project, "push", "--json", *wanted, "--to", f"{host}/other/{{image}}", "--tag", "now")
    counted = json.loads(first.out)["blobs"]
    return Row(
        what=f"{len(wanted)} targets pushed again, nothing changed",
        goal="≤ 1 s; to another repository: 0 layer bytes",
        result=f"{spread(taken)}; elsewhere {json.loads(other.out)['blobs']['sent']} bytes",
        kept=sorted(taken)[len(taken) // 2] <= 1
        and not any(blobs.values())
        and json.loads(other.out)["blobs"]["sent"] == 0,
        notes=(f"at first: {first.seconds:.1f} s, {counted['uploaded']} blobs uploaded, {counted['mounted']} mounted",),
    )


def cache(place: Place) -> Row:
    project = place.project()
    place.run(place.warm, project, "build", "--no-start", *_FAMILY)
    with _registry(place) as host:
        with (project / "stacks.toml").open("a") as manifest:
            manifest.write(f'\n[cache]\nplace = "oci://{host}/family/cache"\ntrusted = true\n')
        with place.store(built=True) as store:
            place.run(store, project, "build", "--no-start", "--share", *_FAMILY)
            place.run(store, project, "push", *_FAMILY, "--to", f"{host}/copy/{{image}}", "--tag", "now")
            names = [name.replace(":cpu", "") for name in _FAMILY]
        ours, peers, performed = [], [], set[str]()
        for _ in range(place.pairs):
            empty = place.folder("empty")
            settle()
            done = place.run(empty, project, "build", "--no-start", *_FAMILY)
            ours.append(done.seconds)
            performed |= set(done.performed)
            shutil.rmtree(empty)
            settle()
            layout = place.folder("layout")
            peers.append(sum(_copied(f"{host}/copy/{name}:now", layout / "all") for name in names))
            size = sum(path.stat().st_size for path in layout.rglob("*") if path.is_file())
            shutil.rmtree(layout)
    found = ratio(ours, peers)
    return Row(
        what=f"a machine with nothing but a warm remote cache: {len(_FAMILY)} images, against copying them with skopeo",
        goal="nothing built; ≤ 1.3 ×",
        result=f"{spread(ours)}, {len(performed)} steps performed; skopeo {spread(peers)} for {size / 1e6:.0f} MB",
        ratio=found,
        kept=found <= 1.3 and not performed,
    )


def _copied(image: str, layout: Path) -> float:
    """Seconds that skopeo takes for an image into a layout that has its parents' blobs."""
    name = image.rpartition("/")[2].replace(":", "-")
    began = time.monotonic()
    command = ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"]
    subprocess.run([*command, f"docker://{image}", f"oci:{layout}:{name}"], check=True)
    return time.monotonic() - began


@contextmanager
def _registry(place: Place) -> Iterator[str]:
    folder = place.folder("registry")
    try:
        with services.registry(folder, _PORT) as host:
            yield host
    finally:
        shutil.rmtree(folder, ignore_errors=True)


ROWS: dict[str, Measure] = {"security-bump": security, "push-again": again, "warm-cache": cache}
