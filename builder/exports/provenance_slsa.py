"""How an image came to be, as an in-toto Statement with SLSA's provenance, unsigned.

Source: in-toto attestation framework, Statement v1 and ResourceDescriptor v1; SLSA v1.0, provenance.
"""

from __future__ import annotations

import json

from builder.digest import Json
from builder.provenance import Input, Provenance

MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:stackbuild:image:v1"
"""docs/sbom.md says what its parameters are."""


def render(provenance: Provenance) -> str:
    """The statement, indented by two; equal provenances are equal bytes."""
    statement: Json = {
        "_type": STATEMENT,
        "subject": [{"name": provenance.name, "digest": {"sha256": provenance.digest.hex}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"target": str(provenance.target)},
                "internalParameters": {"planKey": provenance.plan_key},
                "resolvedDependencies": [_resource(one) for one in provenance.inputs],
            },
            "runDetails": {
                "builder": {
                    "id": provenance.builder,
                    "version": {"stackbuild": provenance.program},
                    "builderDependencies": [
                        {"name": "stackbuild/requirements.txt", "digest": {"sha256": provenance.requirements.hex}}
                    ],
                },
            },
        },
    }
    return json.dumps(statement, indent=2, ensure_ascii=False) + "\n"


def _resource(one: Input) -> Json:
    found: dict[str, Json] = {"name": one.name, "digest": dict(one.digests)}
    if one.uri:
        found["uri"] = one.uri
    if one.said:
        found["annotations"] = dict(one.said)
    return found
