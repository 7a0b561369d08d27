"""The file of a finished action: canonical JSON whose last member is its own sha256, so that a flipped bit is noticed.

{"document":{…},"result":{…},"sha256":"<of the JSON without this member>"}
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from builder.digest import Json, canonical


def sealed(document: Json, result: Json) -> bytes:
    """The file of an action."""
    body = canonical({"document": document, "result": result})
    return body[:-1] + _seal(body)


def unsealed(data: bytes) -> dict[str, Any] | None:
    """`{"document": …, "result": …}` of an action's file; None if it is damaged."""
    body = data[:-_LENGTH] + b"}"
    if data[-_LENGTH:] != _seal(body):
        return None
    found: dict[str, Any] = json.loads(body)
    return found


def _seal(body: bytes) -> bytes:
    return b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


_LENGTH = len(_seal(b""))
