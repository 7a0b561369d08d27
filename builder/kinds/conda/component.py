"""conda packages as components of a bill of materials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from builder.bill import Component, Subject
from builder.kinds.conda import record, requires
from builder.kinds.conda.document import CondaLock
from builder.licences import NONE, Licence, declared
from builder.lock import Lock, Pin
from builder.manifest.env import CONDA
from builder.purls import purl

_META = re.compile(r"(?P<prefix>.+)/conda-meta/[^/]+\.json")
WANTED = _META


def components(subject: Subject) -> Iterator[Component]:
    """Each installed package of each prefix; its licence from what conda-meta keeps of its index.json."""
    said = _licences(subject)
    prefixes: dict[str, list[tuple[str, Lock]]] = {}
    for pin in subject.held("conda"):
        lock = Lock(request=(), pins=(pin,))
        prefixes.setdefault(pin.field("prefix"), []).append((subject.base, lock))
    for target, lock in subject.pinned("conda"):
        prefix = str(subject.manifest.option(target, "conda-prefix") or CONDA)
        prefixes.setdefault(prefix, []).append((target.image, lock))
    for prefix, locks in prefixes.items():
        edges = requires.requires([lock for _, lock in locks])
        asked = {one for _, lock in locks for one in requires.asked(lock)}
        urls = {name: url for _, lock in locks if isinstance(lock, CondaLock) for name, url in lock.channels}
        for image, pin in {pin.name: (image, pin) for image, lock in locks for pin in lock.pins}.values():
            one = record.of_pin(pin)
            yield Component(
                ref=_ref(prefix, pin.name),
                kind="conda",
                name=pin.name,
                version=pin.version,
                image=image,
                purl=_purl(pin),
                digest=pin.digest if pin.filename else None,
                file=pin.filename,
                url=f"{urls[pin.source]}/{pin.filename}" if urls.get(pin.source, "").startswith("http") else "",
                licence=said.get((prefix, f"{one.name}-{one.version}-{one.build}"), NONE),
                needs=tuple(sorted(_ref(prefix, name) for name in edges[pin.name])),
                asked=pin.name in asked,
                said=(
                    ("build", one.build),
                    *((("channel", pin.source),) if pin.source else ()),
                    ("prefix", prefix),
                    *(("python-package", value) for value in sorted(record.fields(pin, "pypi"))),
                ),
            )


def _purl(pin: Pin) -> str:
    one = record.of_pin(pin)
    kind = "tar.bz2" if one.file.endswith(".tar.bz2") else "conda"
    return purl("conda", pin.name, pin.version, build=one.build, channel=pin.source, subdir=one.subdir, type=kind)


def _ref(prefix: str, package: str) -> str:
    return f"conda:{prefix}:{package}"


def _licences(subject: Subject) -> dict[tuple[str, str], Licence]:
    """By prefix and `NAME-VERSION-BUILD`; of a file that cannot be read, nothing."""
    found = {}
    for match, text in subject.files.matching(_META):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and isinstance(document.get("license"), str):
            key = "-".join(str(document.get(part, "")) for part in ("name", "version", "build"))
            found["/" + match["prefix"], key] = declared(document["license"])
    return found
