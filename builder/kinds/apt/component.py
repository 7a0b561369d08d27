"""Debian packages as components of a bill of materials."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.bill import Component, Subject
from builder.kinds.apt import requires
from builder.kinds.apt.copyright import licence
from builder.lock import Lock, Pin
from builder.purls import purl

WANTED = re.compile(r"usr/share/doc/[^/]+(/copyright)?")
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")
"""The field Source: a name, and a version where that is another (Debian Policy 5.6.1)."""


def components(subject: Subject) -> Iterator[Component]:
    """Each installed package; its licence from Debian's copyright file."""
    held = subject.held("apt")
    locks = [(target.image, lock) for target, lock in subject.pinned("apt")]
    every = [*([(subject.base, Lock(request=(), pins=held))] if held else []), *locks]
    edges = requires.requires([lock for _, lock in every])
    asked = {name for _, lock in locks for name in requires.asked(lock)}
    for image, pin in {pin.name: (image, pin) for image, lock in every for pin in lock.pins}.values():
        yield _component(subject, image, pin, edges[pin.name], asked)


def _component(subject: Subject, image: str, pin: Pin, needs: frozenset[str], asked: set[str]) -> Component:
    system = subject.system
    vendor, release = system.get("ID", "debian"), system.get("VERSION_ID", "")
    source = _SOURCE.fullmatch(pin.field("Source", pin.name))
    name, version = (source[1], source[2] or pin.version) if source else (pin.name, pin.version)
    upstream = (
        "" if (name, version) == (pin.name, pin.version) else name + (f"@{version}" if source and source[2] else "")
    )
    text = subject.files.text(f"usr/share/doc/{pin.name}/copyright")
    arch = pin.field("Architecture")
    return Component(
        ref=f"apt:{pin.name}",
        kind="apt",
        name=pin.name,
        version=pin.version,
        image=image,
        purl=purl(
            "deb",
            pin.name,
            pin.version,
            namespace=vendor,
            arch=arch,
            distro=f"{vendor}-{release}" if release else "",
            upstream=upstream,
        ),
        digest=pin.digest if pin.filename else None,
        file=pin.filename,
        licence=licence(text or ""),
        needs=tuple(sorted(f"apt:{one}" for one in needs)),
        asked=pin.name in asked,
        said=tuple(
            (key, value)
            for key, value in (
                ("architecture", arch),
                ("archive", pin.source),
                ("source-package", f"{name} {version}"),
                ("suite", pin.field("X-Suite")),
            )
            if value
        ),
    )
