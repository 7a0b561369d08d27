"""A bill of materials in CycloneDX 1.6, as JSON. The same bill is the same text: its serial number is made of it.

Source: ECMA-424, CycloneDX 1.6; its JSON schema `bom-1.6.schema.json`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from builder import __version__
from builder.bill import Bill, Component
from builder.digest import Digest, Json, canonical
from builder.licences import Licence
from builder.purls import purl

MEDIA_TYPE = "application/vnd.cyclonedx+json"
_IMAGE = "image"


def render(bill: Bill) -> str:
    """The document, indented by two, its keys in the format's order."""
    body: dict[str, Json] = {
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": {"components": [{"type": "application", "name": "stackbuild", "version": __version__}]},
            "component": _image(bill),
            **({"properties": [_property("note", note) for note in bill.notes]} if bill.notes else {}),
        },
        "components": [*_system(bill), *(_component(one) for one in bill.components)],
        "dependencies": [
            {"ref": _IMAGE, "dependsOn": bill.direct},
            *({"ref": one.ref, "dependsOn": one.needs} for one in bill.components),
        ],
        "compositions": [{"aggregate": "incomplete" if bill.notes else "complete", "assemblies": [_IMAGE]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, Digest.of(canonical(body)))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}"}
    return json.dumps({**head, **body}, indent=2, ensure_ascii=False) + "\n"


def _image(bill: Bill) -> Json:
    found: dict[str, Json] = {"type": "container", "bom-ref": _IMAGE, "name": bill.name}
    found["version"] = bill.version or bill.digest
    if bill.description:
        found["description"] = bill.description
    return {
        **found,
        "hashes": [{"alg": "SHA-256", "content": bill.digest.hex}],
        "purl": purl("oci", bill.name, bill.digest, arch=bill.target.platform.partition("/")[2]),
        "properties": [_property("target", str(bill.target))],
    }


def _system(bill: Bill) -> Iterator[Json]:
    """The operating system, by which scanners know whose advisories count."""
    if bill.system.get("ID"):
        found = {"type": "operating-system", "bom-ref": "system", "name": bill.system["ID"]}
        if bill.system.get("VERSION_ID"):
            found["version"] = bill.system["VERSION_ID"]
        if bill.system.get("PRETTY_NAME"):
            found["description"] = bill.system["PRETTY_NAME"]
        yield found


def _component(one: Component) -> Json:
    found: dict[str, Json] = {"type": one.type, "bom-ref": one.ref, "name": one.name}
    if one.version:
        found["version"] = one.version
    hashes: list[Json] = [{"alg": "SHA-256", "content": one.digest.hex}] if one.digest else []
    hashes += [{"alg": "SHA-512", "content": one.sha512}] if one.sha512 else []
    if hashes:
        found["hashes"] = hashes
    if licences := list(_licences(one.licence)):
        found["licenses"] = licences
    if one.purl:
        found["purl"] = one.purl
    if one.url:
        found["externalReferences"] = [{"type": "distribution", "url": one.url}]
    said = (("kind", one.kind), ("image", one.image), ("file", one.file), *one.said)
    return {**found, "properties": [_property(name, value) for name, value in said if value]}


def _licences(licence: Licence) -> Iterator[Json]:
    if licence.expression:
        yield {"expression": licence.expression, "acknowledgement": "declared"}
    for name in licence.names:
        yield {"license": {"name": name, "acknowledgement": "declared"}}


def _property(name: str, value: str) -> Json:
    return {"name": f"stackbuild:{name}", "value": value}
