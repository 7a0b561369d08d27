"""Small changes: what is written again, and how long it takes."""

from __future__ import annotations

from benchmarks.place import Place, edit, open_target
from benchmarks.row import Measure, Row, median, spread
from builder.fetching import Fetcher
from builder.manifest.read import read
from builder.net import Client
from builder.platforms import NATIVE
from builder.workflow import build

_NUMPY = "2.4.5"
_MORE = "less"


def numpy(place: Place) -> Row:
    before = place.warmed()
    after = place.project()
    edit(after, r'"numpy==[^"]*"', f'"numpy=={_NUMPY}"')
    place.run(place.warm, after, "lock", "jupyter-scipy")
    opened, target = open_target(place.warm, after, "jupyter-scipy")
    planned = build.plan(opened, (target,))
    pins = build.pins_of(planned[target].actions)
    Fetcher(opened.manifest, opened.store, Client())(pins)
    taken = []
    for _ in range(place.pairs):
        with place.store(built=True) as store:
            done = place.run(store, after, "build", "--no-start")
            taken.append(done.seconds)
            old, new = (place.result(store, one, "jupyter-scipy")["layers"] for one in (before, after))
            kept = all(
                place.result(store, before, name)["manifest"] == place.result(store, after, name)["manifest"]
                for name in ("base", "jupyter")
            )
    with place.store(built=True, unpacked=True) as store:
        proved = place.run(store, after, "build").seconds
    had = {layer["digest"] for layer in old}
    written = [layer for layer in new if layer["digest"] not in had]
    names = ", ".join(layer["name"] for layer in written)
    only = all("numpy" in layer["name"] for layer in written)
    return Row(
        what="numpy's pin moved in jupyter-scipy, its wheel downloaded: build of all targets",
        goal="≤ 3 s; only layers with numpy; jupyter, base untouched",
        result=f"{spread(taken)}; wrote {names} ({sum(one['size'] for one in written) / 1e6:.1f} MB)",
        kept=median(taken) <= 3 and only and kept,
        notes=(
            "performed: " + "; ".join(done.performed),
            f"jupyter and base {'untouched' if kept else 'MOVED'}",
            f"with the proof that the image starts, its other layers unpacked before: {proved:.1f} s",
        ),
    )


def more(place: Place) -> Row:
    before = place.warmed()
    after = place.project()
    edit(after, r"(\[images\.base\]\n(?:.*\n)*?apt = \[\n)", rf'\g<1>    "{_MORE}",\n')
    place.run(place.warm, after, "lock")
    with place.store(built=True) as store:
        why = place.run(store, after, "explain", "jupyter").out
        done = place.run(store, after, "build", "--no-start")
        old, new = (place.result(store, one, "jupyter")["layers"] for one in (before, after))
    laid = [one for one in done.performed if one.startswith("pip ")]
    images = [one for one in done.performed if one.startswith("image ")]
    here = sum(one.platform == NATIVE for one in read(after / "stacks.toml").targets())
    shared = {layer["digest"] for layer in old} & {layer["digest"] for layer in new}
    return Row(
        what=f"base gets one more apt package ({_MORE}): build of all targets",
        goal="no wheel laid again; images recomposed; explain says why",
        result=f"{done.seconds:.1f} s; {len(laid)} pip layers laid, {len(images)} images composed of {here}",
        kept=not laid and len(images) == here and _MORE in why,
        notes=(
            "performed: " + "; ".join(done.performed),
            f"jupyter keeps {len(shared)} of its {len(new)} layers",
            *(f"explain: {line}" for line in why.splitlines()[:6]),
        ),
    )


ROWS: dict[str, Measure] = {"numpy-bump": numpy, "base-bump": more}
