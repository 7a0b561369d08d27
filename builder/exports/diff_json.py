"""The difference of two sides as JSON, for programs; docs/diff.md says what each key is."""

from __future__ import annotations

import json
from typing import Any

from builder.advice import Advice, Advised
from builder.difference import Asked, Change, Difference, Grown, Layer, Package, Push, Report
from builder.digest import Json

SCHEMA = 1
"""Raised if a key is removed or gets another meaning; new keys may come at any time."""


def render(report: Report) -> str:
    """The text, indented."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "a": report.a,
        "b": report.b,
        "same": list(report.same),
        "targets": [_difference(one) for one in report.differences],
        "push": _push(report.push),
        "advisories": _advice(report.advice),
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
        "causes": [{"image": cause.image, "text": cause.text} for cause in one.causes],
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
        "asked": _asked(change.asked),
    }


def _asked(asked: Asked | None) -> Json:
    if asked is None:
        return None
    return {"by": asked.by, "where": asked.where or None, "via": list(asked.via)}


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


def _advice(advice: Advice | None) -> dict[str, Any] | None:
    if advice is None:
        return None
    return {
        "fixed": [_advised(one) for one in advice.of("fixed")],
        "new": [_advised(one) for one in advice.of("new")],
        "open": [_advised(one) for one in advice.of("open")],
        "accepted": [_advised(one) for one in advice.accepted],
        "databases": [
            {"name": name, "entries": entries, "damaged": damaged} for name, entries, damaged in advice.databases
        ],
        "uncovered": dict(advice.uncovered),
        "unknown": list(advice.unknown),
    }


def _advised(one: Advised) -> dict[str, Any]:
    return {
        "id": one.id,
        "aliases": list(one.aliases),
        "summary": one.summary,
        "url": one.url or None,
        "severity": {"level": one.level, "score": one.rank[1] or None},
        "ecosystem": one.ecosystem,
        "name": one.source,
        "packages": list(one.packages),
        "a": one.a or None,
        "b": one.b or None,
        "fixed": one.fixed or None,
        "image": one.image,
        "targets": list(one.targets),
        "accepted": one.accepted or None,
    }
