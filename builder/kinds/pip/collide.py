"""Files that two packages bring with other content, seen in the wheels that are in the store already.

A lock is made from metadata, so most wheels are not there when it is made, and what they collide over is found when
the image is put together (`conflicts`). But where they are, hours of fetching and laying need not pass first.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator

from builder.conflicts import Clash, clash
from builder.errors import StackbuildError
from builder.headers import bounded
from builder.kinds.pip.archive import MALFORMED
from builder.kinds.pip.waivers import Preference
from builder.lock import Pin
from builder.store import Store

_LIMIT = 64 << 20


def problems(
    store: Store, own: Iterable[Pin], inherited: Iterable[Pin], preferred: Iterable[Preference], site: str, where: str
) -> Iterator[StackbuildError]:
    """Collisions of own wheels with each other and with inherited ones, but for those that the manifest settles.

    Args:
        site: site-packages, relative to the root of the image.
        where: the target, for messages.
    """
    settled = {one.path.lstrip("/") if one.path.startswith("/") else f"{site}/{one.path}" for one in preferred}
    found: dict[str, tuple[str, str]] = {}
    for pin in inherited:
        for path, claim in _claims(store, pin):
            found.setdefault(f"{site}/{path}", (pin.name, claim))
    for pin in own:
        for path, claim in _claims(store, pin):
            full = f"{site}/{path}"
            name, other = found.setdefault(full, (pin.name, claim))
            if other != claim and name != pin.name and full not in settled:
                yield clash(Clash(full, name, pin.name), where)


def _claims(store: Store, pin: Pin) -> Iterator[tuple[str, str]]:
    """Path below site-packages and digest, as RECORD has them, of a wheel that is in the store.

    What a wheel brings elsewhere (scripts, data) or about itself (dist-info) is passed over, as are wheels that are
    broken: laying them says so.
    """
    path = store.source(pin.digest)
    if not pin.filename.endswith(".whl") or not path.exists():
        return
    try:
        with path.open("rb") as stream, zipfile.ZipFile(bounded(stream)) as archive:
            records = [one for one in archive.infolist() if one.filename.endswith(".dist-info/RECORD")]
            if len(records) != 1 or records[0].file_size > _LIMIT:
                return
            text = archive.read(records[0]).decode("utf-8", "replace")
            rows = [row for row in csv.reader(io.StringIO(text)) if len(row) == 3]
    except MALFORMED:
        return
    for name, claim, _ in rows:
        if ".dist-info/" not in name and ".data/" not in name and claim:
            yield name, claim
