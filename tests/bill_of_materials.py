"""Reading bills of materials as their formats' own tools do."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def cyclonedx_problems(text: str) -> list[str]:
    """What CycloneDX's schema finds wrong, nothing besides its keys allowed."""
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return [] if found is None else [str(found)]


def spdx_problems(text: str) -> list[str]:
    """What the SPDX project's own reader and validator find wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bill.spdx.json"
        path.write_text(text)
        document = parse_file(str(path))
    return [f"{one.context}: {one.validation_message}" for one in validate_full_spdx_document(document)]


def of_kind(cyclonedx: dict[str, Any], kind: str) -> set[tuple[str, str]]:
    """Names and versions of a kind's components."""
    wanted = {"name": "stackbuild:kind", "value": kind}
    return {(one["name"], one["version"]) for one in cyclonedx["components"] if wanted in one.get("properties", ())}


def spdx_sets(spdx: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    """Names and versions by the type of their package URLs."""
    found: dict[str, set[tuple[str, str]]] = {}
    for one in spdx["packages"]:
        for row in one.get("externalRefs", ()):
            kind = PackageURL.from_string(row["referenceLocator"]).type
            found.setdefault(kind, set()).add((one["name"], one["versionInfo"]))
    return found


def said_of(cyclonedx: dict[str, Any], name: str) -> set[tuple[str, str]]:
    """What components say under a name of ours, each with the component's version."""
    return {
        (row["value"], one["version"])
        for one in cyclonedx["components"]
        for row in one.get("properties", ())
        if row["name"] == f"stackbuild:{name}"
    }
