"""A bill of materials in SPDX 2.3, as JSON. The same bill is the same text: its namespace is made of it.

Source: SPDX specification 2.3; its JSON schema `spdx-schema.json`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping

from builder import __version__
from builder.bill import Bill, Component
from builder.digest import Digest, Json, canonical
from builder.licences import Licence, reference
from builder.purls import purl

MEDIA_TYPE = "application/spdx+json"
_UNKNOWN = "NOASSERTION"
_IMAGE = "SPDXRef-image"
_DOCUMENT = "SPDXRef-DOCUMENT"
_PURPOSES = {"library": "LIBRARY", "file": "FILE", "container": "CONTAINER", "application": "APPLICATION"}


def render(bill: Bill) -> str:
    """The document, indented by two, its keys in the format's order."""
    names = {one.ref: _name(one.ref) for one in bill.components}
    body: dict[str, Json] = {
        "creationInfo": {
            "created": bill.created,
            "creators": [f"Tool: stackbuild-{__version__}"],
            **({"comment": "\n".join(bill.notes)} if bill.notes else {}),
        },
        "dataLicense": "CC0-1.0",
        "packages": [_image(bill), *_system(bill), *(_package(one, names) for one in bill.components)],
        "relationships": list(_relationships(bill, names)),
    }
    if texts := _texts(bill):
        body["hasExtractedLicensingInfos"] = texts
    serial = uuid.uuid5(uuid.NAMESPACE_URL, Digest.of(canonical(body)))
    head = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": _DOCUMENT,
        "name": f"{bill.name}@{bill.digest}",
        "documentNamespace": f"urn:uuid:{serial}",
    }
    return json.dumps({**head, **body}, indent=2, ensure_ascii=False) + "\n"


def _image(bill: Bill) -> Json:
    return {
        "SPDXID": _IMAGE,
        "name": bill.name,
        "versionInfo": bill.version or bill.digest,
        **({"description": bill.description} if bill.description else {}),
        **_nothing(),
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": bill.digest.hex}],
        "externalRefs": [_purl(purl("oci", bill.name, bill.digest, arch=bill.target.platform.partition("/")[2]))],
        "comment": f"target {bill.target}",
    }


def _system(bill: Bill) -> Iterator[Json]:
    if bill.system.get("ID"):
        yield {
            "SPDXID": "SPDXRef-system",
            "name": bill.system["ID"],
            **({"versionInfo": bill.system["VERSION_ID"]} if bill.system.get("VERSION_ID") else {}),
            **_nothing(),
            "primaryPackagePurpose": "OPERATING-SYSTEM",
        }


def _package(one: Component, names: Mapping[str, str]) -> Json:
    found: dict[str, Json] = {"SPDXID": names[one.ref], "name": one.name}
    if one.version:
        found["versionInfo"] = one.version
    if one.file:
        found["packageFileName"] = one.file
    found |= _nothing()
    found["downloadLocation"] = one.url or _UNKNOWN
    found["primaryPackagePurpose"] = _PURPOSES[one.type]
    found["licenseDeclared"] = _licence(one.licence)
    if len(one.licence.names) > 1:
        found["licenseComments"] = "declared, without a word on how they are meant together: " + "; ".join(
            one.licence.names
        )
    sums = [("SHA256", one.digest.hex)] if one.digest else []
    sums += [("SHA512", one.sha512)] if one.sha512 else []
    if sums:
        found["checksums"] = [{"algorithm": name, "checksumValue": value} for name, value in sums]
    if one.purl:
        found["externalRefs"] = [_purl(one.purl)]
    said = (("kind", one.kind), ("image", one.image), *one.said)
    return {**found, "comment": "\n".join(f"{name} {value}" for name, value in said if value)}


def _nothing() -> dict[str, Json]:
    """What a package must say, of which nothing is claimed."""
    return {
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "copyrightText": _UNKNOWN,
    }


def _licence(licence: Licence) -> str:
    if licence.expression:
        return licence.expression
    return reference(licence.names[0]) if len(licence.names) == 1 else _UNKNOWN


def _texts(bill: Bill) -> list[Json]:
    """What each LicenseRef stands for: the words in which packages declare it."""
    found: dict[str, tuple[str, set[str]]] = {}
    for one in bill.components:
        named = [(reference(name), name) for name in one.licence.names] if len(one.licence.names) == 1 else []
        for ref, name in (*one.licence.references, *named):
            found.setdefault(ref, (name, set()))[1].add(one.ref)
    return [
        {
            "licenseId": ref,
            "name": name,
            "extractedText": f"Declared as {name!r}; the text is in the packages themselves.",
            "comment": "declared by " + ", ".join(sorted(refs)),
        }
        for ref, (name, refs) in sorted(found.items())
    ]


def _relationships(bill: Bill, names: Mapping[str, str]) -> Iterator[Json]:
    yield _related(_DOCUMENT, "DESCRIBES", _IMAGE)
    if bill.system.get("ID"):
        yield _related(_IMAGE, "CONTAINS", "SPDXRef-system")
    for one in bill.components:
        yield _related(_IMAGE, "CONTAINS", names[one.ref])
    for ref in bill.direct:
        yield _related(_IMAGE, "DEPENDS_ON", names[ref])
    for one in bill.components:
        for need in one.needs:
            yield _related(names[one.ref], "DEPENDS_ON", names[need])


def _related(one: str, how: str, other: str) -> Json:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


def _purl(text: str) -> Json:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": text}


def _name(ref: str) -> str:
    """A component's SPDXID: letters, digits, dots and dashes; a few digits of a digest keep different ones apart."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", ref)
    kind, _, rest = ref.partition(":")
    return f"SPDXRef-{plain}" if plain == f"{kind}-{rest}" else f"SPDXRef-{plain}-{Digest.of(ref.encode()).hex[:8]}"
