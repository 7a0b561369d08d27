"""Debian packages as components of a bill of materials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from builder.bill import Component, Subject
from builder.kinds.apt import requires
from builder.kinds.apt.copyright import licence
from builder.kinds.apt.package import fields_of
from builder.lock import Lock, Pin
from builder.purls import purl

_STATUS = "var/lib/dpkg/status"
WANTED = re.compile(rf"usr/share/doc/[^/]+(/copyright)?|{_STATUS}")
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")
"""The field Source: a name, and a version where that is another (Debian Policy 5.6.1)."""


def components(subject: Subject) -> Iterator[Component]:
    """Each installed package; its licence from Debian's copyright file."""
    held = subject.held("apt")
    locks = [(target.image, lock) for target, lock in subject.pinned("apt")]
    every = [*([(subject.base, Lock(request=(), pins=held))] if held else []), *locks]
    edges = requires.requires([lock for _, lock in every])
    asked = {name for _, lock in locks for name in requires.asked(lock)}
    sources = _sources(subject) if held else {}
    for image, pin in {pin.name: (image, pin) for image, lock in every for pin in lock.pins}.values():
        if not pin.field("Source") and pin.name in sources:
            pin = replace(pin, fields=(*pin.fields, ("Source", sources[pin.name])))
        yield _component(subject, image, pin, edges[pin.name], pin.name in asked)


def _sources(subject: Subject) -> dict[str, str]:
    """What dpkg knows of packages' sources, of which locks of foreign bases keep nothing: name → field."""
    found = {}
    for paragraph in (subject.files.text(_STATUS) or "").split("\n\n"):
        fields = fields_of(paragraph)
        if fields.get("Source"):
            found[fields.get("Package", "")] = fields["Source"]
    return found


def _component(subject: Subject, image: str, pin: Pin, needs: frozenset[str], asked: bool) -> Component:
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
        asked=asked,
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
