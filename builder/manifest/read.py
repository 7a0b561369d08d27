"""`stacks.toml`: text to frozen types, with every problem of the file reported at once.

text ── tomli ──► tables ── shape.findings ──┐
  └──── lines.locate ─► lines                ├─► Problems, by line; or, where there is none, a Manifest
                    tables ── validate.check ┘
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

from builder import limits, toml
from builder.digest import Json
from builder.errors import StackbuildError, raise_all
from builder.manifest import edges, validate, variants
from builder.manifest.image import Image, Origin, PackageSet
from builder.manifest.lines import Lines, locate
from builder.manifest.model import Manifest
from builder.manifest.schema import declaration
from builder.manifest.settings import PLAIN, Acceptance, Archive, Audit, CachePlace, Layout, Project, Retention, Variant
from builder.manifest.shape import Finding, findings
from builder.manifest.tables.image import requests


def read(path: Path, place: Path | None = None) -> Manifest:
    """Read the stacks manifest.

    Args:
        place: where it would lie, if that is not where it is read from.

    Raises:
        Problems: all that is wrong with it, in the order of the file's lines.
        StackbuildError: the file cannot be read, or is no TOML.
    """
    try:
        text = limits.read(path, limits.MANIFEST, "stacks manifest").decode()
    except FileNotFoundError:
        raise StackbuildError(
            f"no stacks manifest: {path}", next_step="stackbuild init, or go to a folder that has one"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise StackbuildError(
            "not UTF-8", where=f"{path.name}:{line}", got=f"byte 0x{error.object[error.start]:02x}"
        ) from None
    except OSError as error:
        raise StackbuildError(f"cannot read {path}", got=str(error.strerror)) from None
    return loads(text, place or path)


def loads(text: str, path: Path) -> Manifest:
    """The stacks manifest of `text`, which was or would be read from `path`.

    Raises:
        Problems: all that is wrong with it, in the order of the text's lines.
        StackbuildError: the text is no TOML.
    """
    try:
        document = toml.loads(text)
        lines = Lines(lambda: locate(text))
        raise_all(_problems(document, lines, path))
    except toml.TOMLDecodeError as error:
        where = f"{path.name}:{error.lineno}"
        raise StackbuildError(
            f"not TOML: {_printable(error.msg)}", where=where, got=_line(text, error.lineno)
        ) from None
    except RecursionError:
        raise StackbuildError("not a stacks manifest: nested too deeply", where=path.name) from None
    except ValueError:
        raise StackbuildError("not a stacks manifest: a number in it is too long", where=path.name) from None
    same = {name: image["same-as"] for name, image in document["images"].items() if "same-as" in image}
    return _manifest(document, Lines(lambda: lines, same), path)


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    found = lines[number - 1].strip() if number <= len(lines) else ""
    return _printable(found)[:100]


def _problems(document: Mapping[str, Any], lines: Mapping[str, int], path: Path) -> list[StackbuildError]:
    if long := list(validate.chains(document)):
        return [_error(one, line, path) for line, one in _placed(long, lines)]
    found = list(islice(findings(document, declaration(), validate.names(document)), limits.PROBLEMS))
    full = validate.expand(validate.tables(document, "images"))
    # Where the shape is wrong already, how it fits in would only be the same problem again.
    wrong = {one.path for one in found}
    fitting = chain(
        validate.check(document, full, requests()), variants.check(document, full), edges.check(document, full)
    )
    room = limits.PROBLEMS - len(found)
    found += islice((one for one in fitting if one.path not in wrong), room)
    return [_error(one, line, path) for line, one in sorted(_placed(found, lines), key=lambda pair: pair[0])]


def _placed(found: Iterable[Finding], lines: Mapping[str, int]) -> Iterator[tuple[int, Finding]]:
    """The findings with their lines; of what is not there, the line of the nearest table that is."""
    for one in found:
        path = one.path
        while path and path not in lines:
            path = path.rpartition(".")[0]
        yield lines.get(path, 1), one


def _error(one: Finding, line: int, path: Path) -> StackbuildError:
    return StackbuildError(
        _printable(one.what),
        where=f"{path.name}:{line}",
        expected=_printable(one.expected),
        got=_printable(one.got),
        next_step=_printable(one.next_step),
    )


def _printable(text: str) -> str:
    """The text, with whatever a terminal would act on spelled out: a refused name may hold anything."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _manifest(document: Mapping[str, Any], lines: Lines, path: Path) -> Manifest:
    """The frozen types; nothing can be wrong any more."""
    # Frozen first, so that what many images take from one is there once.
    own = {name: {key: _frozen(value) for key, value in image.items()} for name, image in document["images"].items()}
    full = validate.expand(own)
    return Manifest(
        path=path,
        project=_project(document["project"]),
        cache=CachePlace(**_fields(document.get("cache", {}))),
        retention=Retention(**_fields(document.get("retention", {}))),
        audit=Audit(accept=tuple(Acceptance(**_fields(one)) for one in document.get("audit", {}).get("accept", ()))),
        archives={name: Archive(name=name, **_fields(one)) for name, one in _sorted(document, "archives")},
        indexes=_places(document, "indexes", path),
        channels=_places(document, "channels", path),
        layouts={name: Layout(name=name, **_fields(one)) for name, one in _sorted(document, "layouts")},
        variants={PLAIN: Variant(name=PLAIN)}
        | {name: Variant(name=name, **_fields(one)) for name, one in _sorted(document, "variants")},
        sets={name: _set(name, one) for name, one in _sorted(document, "sets")},
        images={name: _image(name, full[name]) for name in _parents_first(full)},
        lines=lines,
    )


def _sorted(document: Mapping[str, Any], table: str) -> list[tuple[str, Any]]:
    return sorted(document.get(table, {}).items())


def _places(document: Mapping[str, Any], table: str, path: Path) -> dict[str, str]:
    """URLs by name; a folder of the project becomes its file URL."""
    folder = path.absolute().parent
    return {
        name: (folder / place).as_uri() if place.startswith("./") else place for name, place in _sorted(document, table)
    }


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table as keyword arguments: `home-template` is `home_template`, lists are tuples."""
    return {key.replace("-", "_"): _frozen(value) for key, value in table.items()}


def _frozen(value: Any) -> Json:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    assert value is None or isinstance(value, (bool, int, str)), value
    return value


def _project(table: Mapping[str, Any]) -> Project:
    cutoff, cooldown = table.get("exclude-newer"), 0
    if isinstance(cutoff, str) and cutoff.endswith(("day", "days")):
        cooldown = int(cutoff.partition(" ")[0])
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        cutoff = today - timedelta(days=cooldown)
    rest = _fields({key: value for key, value in table.items() if key not in ("exclude-newer", "exempt")})
    return Project(
        exclude_newer=datetime.fromisoformat(cutoff.upper()) if isinstance(cutoff, str) else cutoff,
        cooldown=cooldown,
        exempt=frozenset(table.get("exempt", ())),
        **rest,
    )


def _set(name: str, table: Mapping[str, Any]) -> PackageSet:
    fields = _fields(table)
    return PackageSet(
        name=name,
        together=fields.pop("together", False),
        same_release=fields.pop("same_release", ()),
        on=fields.pop("on", {}),
        env=fields.pop("env", {}),
        asks=fields,
    )


def _image(name: str, table: Mapping[str, Any]) -> Image:
    asked = requests()
    origin = Origin.parse(table["from"])
    taken = ("from", "archive", "layout")
    rest = {key: value for key, value in table.items() if key not in asked and key not in taken}
    return Image(
        name=name,
        parent=origin.parent,
        archive=origin.archive,
        base=origin.base,
        source=table.get("archive", ""),
        layout=table.get("layout", ""),
        asks={key: value for key, value in table.items() if key in asked},
        **{key.replace("-", "_"): value for key, value in rest.items()},
    )


def _parents_first(images: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names, each after its parent's, otherwise sorted."""
    order: dict[str, None] = {}

    def add(name: str) -> None:
        if name in images and name not in order:
            add(images[name]["from"])
            order[name] = None

    for name in sorted(images):
        add(name)
    return list(order)
