"""Archives as others pack them, and as nobody should."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence


def zipped(entries: Sequence[tuple[str, int, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name, Unix mode with type, content)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, mode, data in entries:
            info = zipfile.ZipInfo("x", (2020, 1, 1, 0, 0, 0))
            info.filename = info.orig_filename = name
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
            archive.writestr(info, data)
    return out.getvalue()
