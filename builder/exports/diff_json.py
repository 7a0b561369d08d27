"""The difference of two sides as JSON, for programs; docs/diff.md says what each key is."""

from __future__ import annotations

import json

from builder.difference import Change, Difference, Grown, Layer, Package, Push, Report
from builder.digest import Json

SCHEMA = 1
"""Raised if a key is removed or gets another meaning; new keys may come at any time."""


def render(report: Report) -> str:
    """The text, indented."""
    found: Json = {
        "schema": SCHEMA,
        "a": report.a,
        "b": report.b,
        "same": list(report.same),
        "targets": [_difference(one) for one in report.differences],
        "push": _push(report.push),
    }
    return json.dumps(found, indent=2) + "\n"


def _difference(one: Difference) -> Json:
    return {
        "a": one.a,
        "b": one.b,
        "packages": None if one.packages is None else [_change(change) for change in one.packages],
        "download": one.download,
        "disk": None if one.grown is None else [_grown(grown) for grown in one.grown],
        "layers": {
            "exact": one.exact,
            "gone": None if one.gone is None else [_layer(layer, exact=one.exact) for layer in one.gone],
            "new": None if one.new is None else [_layer(layer, exact=one.exact) for layer in one.new],
        },
        "compressed": {"a": one.compressed[0], "b": one.compressed[1]},
        "push": _push(one.push),
        "notes": list(one.notes),
    }


def _change(change: Change) -> Json:
    found = change.package
    return {
        "change": change.how,
        "kind": found.kind,
        "name": found.name,
        "image": found.image,
        "prefix": found.prefix,
        "a": _package(change.a),
        "b": _package(change.b),
    }


def _package(package: Package | None) -> Json:
    if package is None:
        return None
    return {"version": package.version, "digest": package.digest, "size": package.size}


def _grown(grown: Grown) -> Json:
    return {"kind": grown.kind, "name": grown.name, "a": grown.a, "b": grown.b}


def _layer(layer: Layer, *, exact: bool) -> Json:
    return {"name": layer.name, "digest": layer.digest if exact else None, "size": layer.size, "image": layer.image}


def _push(push: Push | None) -> Json:
    if push is None:
        return None
    return {"size": push.size, "exact": push.exact, "unknown": push.unknown, "without": push.without}
