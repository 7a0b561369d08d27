"""Digests, canonical JSON and keys.

A *digest* names compressed bytes, a *diff ID* uncompressed ones, a *key* an action's inputs. All three are
`sha256:` and 64 hexadecimal digits (OCI image-spec v1.1, descriptor.md).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from builder.errors import HostileInput

Json: TypeAlias = "None | bool | int | str | Sequence[Json] | Mapping[str, Json]"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(str):
    """`sha256:<64 hex>`; construct through `Digest.parse` for foreign text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Raises: HostileInput: `text` is no sha256 digest."""
        if not _DIGEST.fullmatch(text):
            raise HostileInput("not a digest", expected="sha256:<64 hex digits>", got=text[:100])
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        with path.open("rb") as stream:
            return cls("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())

    @property
    def hex(self) -> str:
        return self[7:]


def canonical(document: Json) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8, no floats: equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def key(document: Json) -> Digest:
    """The key of a document: the digest of its canonical JSON."""
    return Digest.of(canonical(document))
