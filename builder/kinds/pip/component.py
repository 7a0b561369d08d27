"""Python packages as components of a bill of materials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.parser import HeaderParser

from builder.bill import Component, Subject
from builder.kinds.pip import requires
from builder.kinds.pip.python import home
from builder.licences import NONE, Licence, declared, spdx
from builder.lock import Lock, Pin
from builder.manifest.settings import PYPI
from builder.purls import purl

_METADATA = re.compile(
    r"(?P<prefix>.+)/lib(?:64)?/python3[^/]*/(?:site|dist)-packages/(?P<name>[^/]+)-[^-/]+\.dist-info/METADATA"
)
WANTED = _METADATA
_CERTAIN = {
    "BSD Zero Clause License": "0BSD",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "zlib/libpng License": "Zlib",
}
"""Classifiers that mean one licence; "BSD License", "Apache Software License" and the like mean several (PEP 639,
"Mapping license classifiers to SPDX identifiers")."""


def components(subject: Subject) -> Iterator[Component]:
    """Each installed package of each environment; its licence from its METADATA."""
    said = {("/" + match["prefix"], _normal(match["name"])): text for match, text in subject.files.matching(_METADATA)}
    environments: dict[str, list[tuple[str, Lock]]] = {}
    for pin in subject.held("pip"):
        lock = Lock(request=(), pins=(pin,))
        environments.setdefault(pin.field("prefix"), []).append((subject.base, lock))
    for target, lock in subject.pinned("pip"):
        if (where := home(subject.manifest, target)) is not None:
            environments.setdefault(where.prefix, []).append((target.image, lock))
    for prefix, locks in environments.items():
        edges = requires.requires([lock for _, lock in locks])
        asked = {one for _, lock in locks for one in requires.asked(lock)}
        for image, pin in {pin.name: (image, pin) for image, lock in locks for pin in lock.pins}.values():
            text = said.get((prefix, pin.name))
            yield _component(
                subject,
                image,
                pin,
                prefix=prefix,
                licence=licence(text) if text is not None else NONE,
                needs=tuple(sorted(_ref(prefix, one) for one in edges[pin.name])),
                asked=pin.name in asked,
            )


def _component(
    subject: Subject, image: str, pin: Pin, *, prefix: str, licence: Licence, needs: tuple[str, ...], asked: bool
) -> Component:
    other = pin.source if pin.source != PYPI else ""
    return Component(
        ref=_ref(prefix, pin.name),
        kind="pip",
        name=pin.name,
        version=pin.version,
        image=image,
        purl=purl("pypi", pin.name, pin.version, repository_url=subject.manifest.indexes.get(other, "")),
        digest=pin.digest if pin.filename else None,
        file=pin.filename,
        licence=licence,
        needs=needs,
        asked=asked,
        said=(*((("index", other),) if other else ()), ("prefix", prefix)),
    )


def _normal(name: str) -> str:
    """PEP 503, of a folder's name, which in a foreign image anybody may have given."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _ref(prefix: str, package: str) -> str:
    return f"pip:{prefix}:{package}"


def licence(text: str) -> Licence:
    """What a METADATA declares: License-Expression, else License if that is one, else a classifier that is certain,
    else its own words (PEP 639)."""
    found = HeaderParser().parsestr(text)
    said = str(found.get("License", "")).strip()
    said = "" if said.upper() == "UNKNOWN" else said
    for one in (str(found.get("License-Expression", "")), said):
        if expression := spdx(one):
            return Licence(expression=expression)
    classifiers = [
        str(one).rpartition(" :: ")[2] for one in found.get_all("Classifier", []) if str(one).startswith("License :: ")
    ]
    classifiers = [one for one in classifiers if one != "OSI Approved"]
    if len(classifiers) == 1 and classifiers[0] in _CERTAIN:
        return Licence(expression=_CERTAIN[classifiers[0]])
    return declared(*([said] if said and "\n" not in said else []), *classifiers) if classifiers else declared(said)
