"""`conda-meta/<name>-<version>-<build>.json`: what conda, mamba and their kin know of an installed package.

What only says how it came here is left out: where a cache had it, what kind of link was made, who asked for it. So the
text is a function of the package, what the lock says of it, the prefix and the Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from builder.kinds.conda.package import Package, PackageFile
from builder.tree import Bytes, Entry, safe

_FROM_INDEX = (
    "arch",
    "features",
    "license",
    "license_family",
    "platform",
    "python_site_packages_path",
    "timestamp",
    "track_features",
)
"""Of info/index.json; what a channel may correct later is taken from the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An entry, and how it came about.

    Attributes:
        kind: as conda names it in `path_type`.
        file: of the package; None for what is made when it is installed.
    """

    entry: Entry
    kind: Literal["hardlink", "softlink", "directory", "pyc_file", "unix_python_entry_point"]
    file: PackageFile | None = None


def document(
    package: Package, record: Mapping[str, Any], base: str, installed: Iterable[Installed]
) -> tuple[str, bytes]:
    """The path, below the root, and the text.

    Args:
        record: what the lock says of the package, as in a channel's repodata.
        base: the prefix as a path of a tree.
    """
    rows = sorted((_row(one, base) for one in installed), key=lambda row: str(row["_path"]))
    number = package.index.get("build_number")
    found: dict[str, Any] = {
        **{name: package.index[name] for name in _FROM_INDEX if package.index.get(name) is not None},
        **{name: value for name, value in record.items() if value not in (None, "") and name != "constrains"},
        "build_number": number if isinstance(number, int) else record["build_number"],
        "files": [row["_path"] for row in rows],
        "paths_data": {"paths": rows, "paths_version": 1},
        "requested_specs": [],
    }
    if constrains := record.get("constrains") or package.index.get("constrains"):
        found["constrains"] = list(constrains)
    name = safe(f"{record['name']}-{record['version']}-{record['build']}.json", package.filename)
    return f"{base}/conda-meta/{name}", json.dumps(found, sort_keys=True).encode() + b"\n"


def _row(one: Installed, base: str) -> dict[str, Any]:
    row: dict[str, Any] = {"_path": one.entry.path.removeprefix(f"{base}/"), "path_type": one.kind}
    file, content = one.file, one.entry.content
    if file is None:
        if one.kind == "unix_python_entry_point" and isinstance(content, Bytes):
            row |= {"sha256": hashlib.sha256(content.data).hexdigest(), "size_in_bytes": content.size}
        return row
    if file.no_link:
        row["no_link"] = True
    if file.digest is not None:
        row["sha256"] = file.digest.hex()
    if content is not None:
        row["size_in_bytes"] = content.size
    elif file.size is not None:
        row["size_in_bytes"] = file.size
    if isinstance(content, Bytes):
        digest = hashlib.sha256(content.data).digest()
        if digest != file.digest:
            row["sha256_in_prefix"] = digest.hex()
    if file.placeholder:
        row |= {"file_mode": file.mode, "prefix_placeholder": file.placeholder}
    return row
