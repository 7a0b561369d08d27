"""`without`, `prefer` and `override` of the manifest: what an image declares itself, and what it inherits.

A declaration holds for the image and its children. So a package that a parent leaves out is left out of its
children too, and a file that two packages bring is one package's in the whole family.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from builder.errors import StackbuildError
from builder.manifest.model import Manifest, Target
from builder.manifest.shape import request_name
from builder.waiver import Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Whose a file is that several packages bring.

    Attributes:
        path: below site-packages, or absolute.
        package: whose file is laid; normalised.
        over: who goes without it; "" for every other package.
    """

    path: str
    package: str
    over: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A pin of an ancestor that is replaced.

    Attributes:
        name: normalised; request: `numpy==1.26.4`.
        image: who declares it.
    """

    name: str
    request: str
    image: str


def without(manifest: Manifest, target: Target) -> tuple[str, ...]:
    """The names of packages that the target leaves out, sorted."""
    found = (one for image in manifest.lineage(target) for _, one in _tables(manifest, image, "without"))
    return tuple(sorted({request_name(one["package"]) for one in found}))


def preferences(manifest: Manifest, target: Target) -> tuple[Preference, ...]:
    """What is preferred in the target, for each path and loser what was said last, sorted."""
    found: dict[tuple[str, str], Preference] = {}
    for image in manifest.lineage(target):
        for _, one in _tables(manifest, image, "prefer"):
            over = request_name(one["over"]) if "over" in one else ""
            found[one["path"], over] = Preference(path=one["path"], package=request_name(one["package"]), over=over)
    return tuple(found[key] for key in sorted(found))


def overrides(manifest: Manifest, target: Target) -> tuple[Override, ...]:
    """What the target's image itself overrides, by name; its ancestors' are their own business."""
    found = {
        request_name(one["pip"]): Override(
            name=request_name(one["pip"]), request=one["pip"].replace(" ", ""), image=target.image
        )
        for _, one in _tables(manifest, target, "override")
    }
    return tuple(found[name] for name in sorted(found))


def declared(manifest: Manifest, target: Target) -> tuple[Waiver, ...]:
    """All that the target's image declares itself, in the manifest's order.

    Raises:
        StackbuildError: a date is in no calendar.
    """
    found = []
    for path, one in _tables(manifest, target, "without"):
        found.append(Waiver(what=f"without {one['package']}", reason=one["reason"], where=_where(manifest, path)))
    for path, one in _tables(manifest, target, "prefer"):
        over = f" over {one['over']}'s" if "over" in one else ""
        what = f"prefer {one['package']}'s {one['path']}{over}"
        found.append(Waiver(what=what, reason=one["reason"], where=_where(manifest, path)))
    for path, one in _tables(manifest, target, "override"):
        where = _where(manifest, path)
        what = f"override {one['pip'].replace(' ', '')}"
        found.append(Waiver(what=what, reason=one["reason"], where=where, until=_day(one["until"], where)))
    return tuple(found)


def _tables(manifest: Manifest, target: Target, key: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """TOML path and table of each item of a key, of the target's image alone."""
    for path, asked in manifest.asking(target):
        items = asked.get(key, ())
        assert isinstance(items, Sequence), path
        for number, one in enumerate(items):
            assert isinstance(one, Mapping), path
            yield f"{path}.{key}[{number}]", {name: str(value) for name, value in one.items()}


def _where(manifest: Manifest, path: str) -> str:
    return f"{manifest.path.name}:{manifest.lines.get(path, 1)}"


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StackbuildError(
            f"no such day: {text}", where=where, expected="a date of the calendar, as 2027-01-01"
        ) from None
