"""Unpack packages into an empty root without installing them. Runs inside the sandbox: standard library only."""

from __future__ import annotations

from typing import Any

from builder.kinds.apt.deb import BadDeb, read
from builder.kinds.apt.install import skeleton
from builder.kinds.apt.unpack import unpack


def main(order: dict[str, Any]) -> None:
    """Unpack `order["debs"]`, paths in the root, for `order["architecture"]` with `order["jobs"]` processes."""
    skeleton(order["architecture"])
    try:
        unpack([read(path) for path in order["debs"]], register=False, jobs=order["jobs"])
    except BadDeb as error:
        raise SystemExit(f"unpack: {error}") from None
