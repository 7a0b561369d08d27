"""What the shape of a manifest cannot say: families without cycles, with layouts, and with what they need.

Works on what tomli gave, whatever it is: what has the wrong shape is passed over here, because
`shape.findings` has reported it already, so that one run reports everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from builder.manifest.image import Origin
from builder.manifest.settings import CONDA_FORGE, PLAIN, PYPI
from builder.manifest.shape import Finding, Names, Schema, join, show, unknown

Tables: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Tables of tomli's by name; Any, for nothing is known yet about what they hold."""

DERIVED: Final = ("HOME", "HOME_TMP", "NB_GID", "NB_UID", "NB_USER")
"""Environment variables that follow from the layout."""

LONGEST_CHAIN: Final = 128
"""Runtimes stop at 127 layers, and an image brings at least one."""

_MERGED: Final = ("env", "labels", "on")


def tables(document: Mapping[str, Any], name: str) -> Tables:
    """The tables below one of the document's, passing over whatever is none."""
    found = document.get(name)
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, dict)}


def texts(value: object) -> tuple[str, ...]:
    """The strings of a list, passing over whatever is none."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def names(document: Mapping[str, Any]) -> Names:
    """Every name that the document defines, by table."""
    known: dict[str, set[str]] = {}
    for table in ("archives", "channels", "images", "indexes", "layouts", "sets", "variants"):
        found = document.get(table)
        known[table] = set(found) if isinstance(found, dict) else set()
    known["variants"].add(PLAIN)
    known["indexes"].add(PYPI)
    known["channels"].add(CONDA_FORGE)
    return known


def follow(name: str, step: Mapping[str, object]) -> list[str]:
    """`name`, what it steps to, and so on, up to the end or before the first repetition; no more than may be."""
    chain: dict[str, None] = {}
    at: object = name
    while isinstance(at, str) and at in step and at not in chain and len(chain) <= LONGEST_CHAIN:
        chain[at] = None
        at = step[at]
    return list(chain)


def chains(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Images with more ancestors than layers could be laid for; nothing else can be said of such a manifest."""
    images = tables(document, "images")
    for key, has in (("same-as", images), ("from", expand(images))):
        step = {name: image.get(key) for name, image in has.items()}
        if name := next((name for name in has if len(follow(name, step)) > LONGEST_CHAIN), ""):
            path = join(join("images", name), key)
            yield Finding(
                path=path,
                what=f"too long a chain: {path}",
                expected=f"at most {LONGEST_CHAIN} images, each with the next one as its {key}",
            )


def expand(images: Tables) -> dict[str, dict[str, Any]]:
    """The images with `same-as` followed: own keys win; of env, labels and on, own entries do."""
    step = {name: image.get("same-as") for name, image in images.items()}
    full = {}
    for name in images:
        result: dict[str, Any] = {}
        for one in reversed(follow(name, step)):
            for key, value in images[one].items():
                old = result.get(key)
                both = key in _MERGED and isinstance(value, dict) and isinstance(old, dict)
                result[key] = {**old, **value} if both and old else value
        full[name] = result
    return full


def check(document: Mapping[str, Any], full: Tables, keys: Mapping[str, Schema]) -> Iterator[Finding]:
    """What is wrong about how the parts of the document fit together; for variants see `variants.py`.

    Args:
        document: what tomli gave.
        full: its images, expanded.
        keys: the keys of kinds that an image may have.
    """
    images, sets, known = tables(document, "images"), tables(document, "sets"), names(document)
    parents = {name: image.get("from") for name, image in full.items()}
    yield from _cutoff(document)
    yield from _cycles("same-as", {name: image.get("same-as") for name, image in images.items()})
    yield from _cycles("from", parents)
    for name, image in images.items():
        path = join("images", name)
        family = {one: full[one] for one in follow(name, parents)}
        yield from _from(path, image, full[name], known)
        yield from _needs(path, _keys(full[name], sets), family, sets, keys)
        yield from _apt(path, _keys(full[name], sets), family)
        yield from _env(path, image)
    for name, one in sets.items():
        yield from _env(join("sets", name), one)


def _cutoff(document: Mapping[str, Any]) -> Iterator[Finding]:
    project = document.get("project")
    cutoff = project.get("exclude-newer") if isinstance(project, dict) else None
    if isinstance(cutoff, str) and not cutoff.endswith(("day", "days")):
        try:
            datetime.fromisoformat(cutoff.upper())
        except ValueError:
            path = "project.exclude-newer"
            yield Finding(path=path, what=f"bad value: {path}", expected="a date that exists", got=show(cutoff))


def _cycles(key: str, step: Mapping[str, object]) -> Iterator[Finding]:
    """Every cycle once, told from its first image by name."""
    for name in sorted(step):
        chain = follow(name, step)
        if step[chain[-1]] == name == min(chain):
            yield Finding(
                path=join(join("images", name), key),
                what=f"cycle of {key}: " + " → ".join((*chain, name)),
                expected='images that go back to one with from = "archive:…" or "oci:…"',
            )


def _from(path: str, image: Mapping[str, Any], full: Mapping[str, Any], known: Names) -> Iterator[Finding]:
    parent = full.get("from")
    if parent is None and "same-as" not in image:
        yield Finding(
            path=path,
            what=f"missing key: {join(path, 'from')}",
            expected="the parent: an image, archive:NAME or oci:REFERENCE",
        )
    if not isinstance(parent, str):
        return
    if "from" in image:
        yield from _unknown_origin(join(path, "from"), parent, known)
    if parent.startswith("archive:") and "layout" not in full:
        yield Finding(
            path=path,
            what=f"missing key: {join(path, 'layout')}",
            expected="a layout, because a root has no parent to take it from",
            next_step=f'layout = "{min(known["layouts"])}"' if known["layouts"] else "write a table [layouts.NAME]",
        )
    yield from _signed(path, image, full)
    for variant, special in tables(image, "on").items():
        here = f"{join(join(path, 'on'), variant)}.from"
        origin = special.get("from")
        if not isinstance(origin, str):
            continue
        if ":" not in parent or ":" not in origin:
            yield Finding(
                path=here,
                what=f"not a root: {here}",
                expected="archive:NAME or oci:REFERENCE, in an image that is a root itself",
                got=show(origin),
                next_step="move the root of the family: its variants have children of the same name",
            )
        else:
            yield from _unknown_origin(here, origin, known)


def _signed(path: str, image: Mapping[str, Any], full: Mapping[str, Any]) -> Iterator[Finding]:
    """Only an image of a registry has a signature."""
    special = tables(image, "on")
    origins = [str(one.get("from")) for one in (full, *tables(full, "on").values())]
    places = {path: image, **{join(join(path, "on"), name): table for name, table in special.items()}}
    for place, table in places.items():
        if "require-signature" in table and not any(one.startswith("oci:") for one in origins):
            here = join(place, "require-signature")
            yield Finding(path=here, what=f"nothing to be signed: {here}", expected='from = "oci:REFERENCE" beside it')


def _unknown_origin(path: str, text: str, known: Names) -> Iterator[Finding]:
    origin = Origin.parse(text)
    for name, table in ((origin.parent, "images"), (origin.archive, "archives")):
        if name and name not in known[table]:
            yield unknown(table, name, known, path)


def _apt(path: str, had: Mapping[str, str], family: Tables) -> Iterator[Finding]:
    """An image of a registry does not say where its packages come from."""
    roots = [one for one in family.values() if str(one.get("from")).startswith("oci:")]
    if roots and "apt" in had and not any("archive" in one for one in family.values()):
        yield Finding(
            path=join(path, had["apt"]),
            what=f"missing key: {join(path, had['apt'])} has apt, which needs archive",
            expected="archive in one of " + ", ".join(family),
        )


def _keys(image: Mapping[str, Any], sets: Tables) -> dict[str, str]:
    """The keys of kinds that the image has in any way, and below which of its keys."""
    found: dict[str, str] = {}
    for used in texts(image.get("use")):
        asked = sets.get(used, {})
        for table in (asked, *tables(asked, "on").values()):
            found |= dict.fromkeys(table, "use")
    for table in tables(image, "on").values():
        found |= dict.fromkeys(table, "on")
    return found | {key: key for key in image}


def _needs(
    path: str, had: Mapping[str, str], family: Tables, sets: Tables, keys: Mapping[str, Schema]
) -> Iterator[Finding]:
    if not any(":" in str(image.get("from")) for image in family.values()):
        return  # It goes back to no root, which is reported; what its ancestors would have, nobody knows.
    used = [sets.get(name, {}) for one in family.values() for name in texts(one.get("use"))]
    for key, below in had.items():
        needed = keys.get(key, {}).get("x-needs")
        if needed and not any(needed in one for one in (*family.values(), *used)):
            yield Finding(
                path=join(path, below),
                what=f"missing key: {join(path, below)} has {key}, which needs {needed}",
                expected=f"{needed} in one of " + ", ".join(family),
            )


def _env(path: str, image: Mapping[str, Any]) -> Iterator[Finding]:
    special = tables(image, "on")
    places = {join(path, "env"): image.get("env")}
    places |= {f"{join(join(path, 'on'), name)}.env": table.get("env") for name, table in special.items()}
    for place, env in places.items():
        for name in DERIVED:
            if isinstance(env, dict) and name in env:
                here = join(place, name)
                yield Finding(
                    path=here,
                    what=f"set twice: {here}",
                    expected="nothing here, because it follows from the layout",
                    next_step=f"remove {name}, or change the layout",
                )
