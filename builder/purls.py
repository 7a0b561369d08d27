"""Package URLs: how tools of all ecosystems name one package.

Source: package-url/purl-spec, and its definitions of the types `conda`, `deb`, `generic`, `npm`, `oci`, `pypi`.
"""

from __future__ import annotations

from collections.abc import Mapping

from packageurl import PackageURL


def purl(kind: str, name: str, version: str, *, namespace: str = "", **qualifiers: str) -> str:
    """`pkg:deb/debian/bash@5.2.15-2?arch=amd64`, percent-encoded, qualifiers sorted; empty ones are left out."""
    said: Mapping[str, str] = {key: value for key, value in qualifiers.items() if value}
    return PackageURL(kind, namespace or None, name, version or None, dict(said) or None).to_string()
