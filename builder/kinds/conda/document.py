"""A conda lock as the document of conda-lock's format, version 1, and back.

The format has one entry for each package, and no place in it for a size, constraints, two dependencies of one name or
a Python distribution's name; these stand in `metadata.custom_metadata`, one text for each package. So do the request,
the channels' names and the virtual packages. Lines of such a text are parted by line breaks, and it begins and ends
with one, so that in YAML each line stands alone between empty ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from builder.kinds.conda import record as records
from builder.kinds.conda.record import Record
from builder.kinds.conda.request import name as name_of
from builder.lock import Lock, Pin

FORMAT: Final = "1"
DIRECT: Final = "stacks.toml"
"""What a pin's `via` says for a direct request."""

_HASH: Final = "none, see custom_metadata"
"""conda-lock's digest of the request would conflict in every merge; so it is constant."""

_SOURCE: Final = "../../stacks.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaLock(Lock):
    """A lock and what it was solved for.

    Attributes:
        subdir: conda's name of the platform, `linux-64`.
        channels: name and public URL, those with priority first.
        virtual: sorted, `__glibc==2.36`.
    """

    subdir: str
    channels: tuple[tuple[str, str], ...]
    virtual: tuple[str, ...]


class Damaged(Exception):
    """A document that no lock gives.

    Args:
        place: a text that stands in the line where it is wrong.
    """

    def __init__(self, place: str, *, expected: str, got: object) -> None:
        super().__init__(place)
        self.place, self.expected, self.got = place, expected, str(got)[:200]


def of_lock(lock: CondaLock) -> dict[str, Any]:
    """The lock as conda-lock's format has it, in the format's order of keys."""
    urls = dict(lock.channels)
    found = [records.of_pin(pin) for pin in lock.pins]
    custom = {
        "format": FORMAT,
        "request": _joined(lock.request),
        "channels": _joined(f"{name} {url}" for name, url in lock.channels),
        "virtual": _joined(lock.virtual),
    }
    for pin, one in zip(lock.pins, found, strict=True):
        custom[f"pin {pin.name}"] = _joined(_more(one, records.fields(pin, "pypi")))
    return {
        "version": 1,
        "metadata": {
            "content_hash": {lock.subdir: _HASH},
            "channels": [{"url": url, "used_env_vars": []} for _, url in lock.channels],
            "platforms": [lock.subdir],
            "sources": [_SOURCE],
            "custom_metadata": custom,
        },
        "package": [
            {
                "name": one.name,
                "version": one.version,
                "manager": "conda",
                "platform": lock.subdir,
                "dependencies": _mapped(one.depends),
                "url": f"{urls[one.channel]}/{one.subdir}/{one.file}",
                "hash": {"md5": one.md5, "sha256": one.sha256},
                "build": one.build,
                "category": "main",
                "optional": False,
            }
            for one in found
        ],
    }


def _joined(items: Iterable[str]) -> str:
    return "".join(f"\n{item}" for item in items) + "\n"


def _more(one: Record, distributions: Sequence[str]) -> list[str]:
    """What conda-lock's entry has no place for: a line each."""
    lines = [f"size {one.size}"]
    if one.noarch:
        lines.append(f"noarch {one.noarch}")
    if one.site_packages:
        lines.append(f"{records.SITE} {one.site_packages}")
    if _listed(_mapped(one.depends)) != one.depends:
        lines += [f"depends {spec}" for spec in one.depends]
    lines += [f"constrains {spec}" for spec in one.constrains]
    return lines + [f"pypi {item}" for item in distributions]


def _mapped(specs: Sequence[str]) -> dict[str, str]:
    """MatchSpecs by name, sorted, as conda-lock has them; of two for one name, the last."""
    found = {name_of(spec): spec.removeprefix(name_of(spec)).lstrip(" ") for spec in specs}
    return dict(sorted(found.items()))


def _listed(mapped: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(f"{name} {rest}".rstrip(" ") for name, rest in mapped.items()))


def to_lock(found: Any) -> CondaLock:
    """The lock that a document holds.

    Only what a lock is made of is looked at; that nothing else stands there shows when it is written again.

    Raises:
        Damaged: something is missing, or of another type.
        HostileInput: a package cannot be what its entry says.
    """
    metadata = _get(found, "metadata", dict)
    custom = _get(metadata, "custom_metadata", dict)
    version = _get(custom, "format", str)
    if version != FORMAT:
        raise Damaged("format:", expected=f"format {FORMAT}; use the stackbuild that wrote it", got=version)
    platforms = _get(metadata, "platforms", list)
    if len(platforms) != 1 or not isinstance(platforms[0], str):
        raise Damaged("platforms:", expected="one platform", got=platforms)
    channels = tuple(_channel(line) for line in _lines(custom, "channels"))
    lock = CondaLock(
        request=_lines(custom, "request"),
        pins=tuple(_pin(one, custom, channels) for one in _get(found, "package", list)),
        subdir=platforms[0],
        channels=channels,
        virtual=_lines(custom, "virtual"),
    )
    for key, items in (
        ("request", lock.request),
        ("virtual", lock.virtual),
        ("package", tuple(pin.name for pin in lock.pins)),
    ):
        if list(items) != sorted(set(items)):
            raise Damaged(f"{key}:", expected="each item once, sorted", got="another order, or one of them twice")
    return with_via(lock)


def with_via(lock: CondaLock) -> CondaLock:
    """The lock with each pin's `via`, which is not written: it follows from the request and the other pins."""
    via: dict[str, set[str]] = {name_of(item): {DIRECT} for item in lock.request}
    for pin in lock.pins:
        for spec in records.fields(pin, "depends"):
            via.setdefault(name_of(spec), set()).add(pin.name)
    return replace(lock, pins=tuple(replace(pin, via=tuple(sorted(via.get(pin.name, ())))) for pin in lock.pins))


def _pin(entry: Any, custom: Mapping[Any, Any], channels: Sequence[tuple[str, str]]) -> Pin:
    name = _get(entry, "name", str)
    here = f"- name: {name}\n"
    more: dict[str, list[str]] = {key: [] for key in ("size", "noarch", records.SITE, "depends", "constrains", "pypi")}
    for line in _lines(custom, f"pin {name}"):
        key, _, value = line.partition(" ")
        if key not in more:
            raise Damaged(f"pin {name}:", expected=f"one of {', '.join(more)}", got=line)
        more[key].append(value)
    size, pypi = "".join(more["size"]), tuple(more["pypi"])
    if not size.isdecimal() or len(size) > 15 or not all(records.distribution(one) for one in pypi):
        raise Damaged(f"pin {name}:", expected="its size, and Python distributions as name==version", got=more)
    url = _get(entry, "url", str)
    channel, base = next(((one, base) for one, base in channels if url.startswith(f"{base}/")), ("", ""))
    subdir, _, file = url.removeprefix(f"{base}/").partition("/")
    if not channel:
        raise Damaged(f"url: {url}", expected="a URL below one of the lock's channels", got=url)
    mapped = _get(entry, "dependencies", dict)
    if not all(isinstance(text, str) for pair in mapped.items() for text in pair):
        raise Damaged(here, expected="dependencies as texts", got=mapped)
    digests = _get(entry, "hash", dict)
    one = Record(
        channel=channel,
        subdir=subdir,
        file=file,
        name=name,
        version=_get(entry, "version", str),
        build=_get(entry, "build", str),
        md5=_get(digests, "md5", str),
        sha256=_get(digests, "sha256", str),
        size=int(size),
        noarch="".join(more["noarch"]),
        site_packages="".join(more[records.SITE]),
        depends=tuple(more["depends"]) or _listed(mapped),
        constrains=tuple(more["constrains"]),
    )
    if not one.md5 or not one.sha256:
        raise Damaged(here, expected="md5 and sha256", got=digests)
    return records.checked(one).pin(pypi)


def _get(mapping: Any, key: str, kind: type) -> Any:
    """A member of a mapping that must be there and be of that type."""
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not isinstance(value, kind):
        name = mapping.get("name") if isinstance(mapping, dict) else None
        place = f"- name: {name}\n" if isinstance(name, str) else f"{key}:"
        raise Damaged(place, expected=f"{key}, as it was written", got="nothing" if value is None else value)
    return value


def _lines(custom: Mapping[Any, Any], key: str) -> tuple[str, ...]:
    """What `_joined` wrote."""
    text = _get(custom, key, str)
    if not text.startswith("\n") or not text.endswith("\n"):
        raise Damaged(f"{key}:", expected="items between line breaks", got=text)
    return tuple(text[1:-1].split("\n")) if len(text) > 1 else ()


def _channel(line: str) -> tuple[str, str]:
    name, _, url = line.partition(" ")
    if not name or not url.startswith(("https://", "http://")) or "@" in url:
        raise Damaged(line, expected="name and URL of a channel, without user and password", got=line)
    return name, url
