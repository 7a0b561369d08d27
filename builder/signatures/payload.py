"""What a signature on an image signs: a small JSON document that names the image and its digest ("simple signing").

    {"critical": {"identity": {"docker-reference": "registry.example.com/notebooks/jupyter"},
                  "image": {"docker-manifest-digest": "sha256:…"},
                  "type": "cosign container image signature"},
     "optional": null}

Sources: cosign's SIGNATURE_SPEC.md; containers-signature(5).
"""

from __future__ import annotations

import json
from typing import Any, Final

from builder.digest import Digest, Json, canonical

MEDIA_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_TYPE: Final = "cosign container image signature"


def payload(name: str, digest: Digest) -> bytes:
    """The document for an image, as cosign writes it.

    Args:
        name: what it is called, without a tag.
    """
    critical: Json = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": digest},
        "type": _TYPE,
    }
    return canonical({"critical": critical, "optional": None})


def defect(data: bytes, digest: Digest) -> str:
    """What keeps a signed document from being about a digest; "" if it is."""
    try:
        critical: Any = json.loads(data)["critical"]
        kind, named = critical["type"], critical["image"]["docker-manifest-digest"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "it signs another document"
    if kind != _TYPE:
        return f"it signs another kind of document: {_short(kind)}"
    if named != digest:
        return f"it is of another image: {_short(named)}"
    return ""


def _short(value: object) -> str:
    return "".join(one for one in str(value)[:100] if one.isprintable())
