"""Who has signed an image: its digest and some keys ─→ the key, or in words why it is none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.signatures.keys import PublicKey
from builder.signatures.payload import MEDIA_TYPE, defect
from builder.transports import signature_tag
from builder.transports.signature_tag import Beside, Signature

_LARGEST: Final = 64 << 10
"""Bytes of a payload; cosign's have 300, and annotations add to them."""
_PAYLOADS: Final = 100
"""So many different payloads of one image are read."""


@dataclass(frozen=True, slots=True)
class Found:
    """The first of the keys that has signed; None, and why."""

    key: PublicKey | None
    why: str = ""


def search(source: Beside, digest: Digest, keys: Sequence[PublicKey]) -> Found:
    """Which of these keys has signed a manifest or an index.

    What is wrong with one signature does not speak against another: anybody may add one.

    Raises:
        Unreachable: no answer.
        StackbuildError: the registry refuses.
        HostileInput: what lies beside the image is no list of signatures, or is too long.
    """
    rows = signature_tag.signatures(source, digest)
    if not rows:
        return Found(None, "no signature")
    payloads: dict[tuple[Digest, int], bytes | str] = {}
    defects: dict[str, None] = {}
    for row in rows:
        data = _payload(source, row, payloads)
        if isinstance(data, str):
            defects[data] = None
            continue
        key = next((one for one in keys if one.has_signed(data, row.signature)), None)
        if key is None:
            continue
        if not (wrong := defect(data, digest)):
            return Found(key)
        defects[f"{key.name} has signed, but {wrong}"] = None
    number = f"{len(rows)} signatures, none" if len(rows) > 1 else "a signature, not"
    return Found(None, "; ".join([f"{number} by a known key", *list(defects)[:3]]))


def _payload(source: Beside, row: Signature, known: dict[tuple[Digest, int], bytes | str]) -> bytes | str:
    """A signed document, read once; or why it is not read."""
    if row.media_type != MEDIA_TYPE:
        return "one is of another type"
    if row.size > _LARGEST:
        return f"one signs more than {_LARGEST} bytes"
    described = (row.payload, row.size)
    if described not in known:
        if len(known) == _PAYLOADS:
            return f"only {_PAYLOADS} different documents were looked at"
        known[described] = _read(source, row)
    return known[described]


def _read(source: Beside, row: Signature) -> bytes | str:
    try:
        return source.blob(row.payload, row.size)
    except Unreachable:
        raise
    except HostileInput:
        return "what one signs has other bytes than it says"
    except StackbuildError:
        return "what one signs is not there"
