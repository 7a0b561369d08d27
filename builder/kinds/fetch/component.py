"""Fetched files as components of a bill of materials."""

from __future__ import annotations

from collections.abc import Iterator

from builder.bill import Component, Subject
from builder.kinds.fetch.request import KIND
from builder.lock import Pin
from builder.purls import purl


def components(subject: Subject) -> Iterator[Component]:
    """Each fetched file or archive as one component: what is in an archive, nothing tells."""
    found = {pin.name: (target, pin) for target, lock in subject.pinned(KIND) for pin in lock.pins}
    for target, pin in found.values():
        url = pin.field("url")
        yield Component(
            ref=f"{KIND}:{pin.name}",
            kind=KIND,
            name=pin.name,
            version=pin.version,
            image=target.image,
            purl=_purl(pin, url),
            type="file",
            digest=pin.digest,
            file=pin.filename,
            url=url,
            asked=True,
        )


def _purl(pin: Pin, url: str) -> str:
    return purl("generic", pin.name, pin.version, checksum=pin.digest, download_url=url)
