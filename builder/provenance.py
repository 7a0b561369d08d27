"""How an image came to be: what it was built from, by digest, and what built it.

Every field follows from the project, its locks and this program: no time, no host, no user. So the same build has the
same provenance, wherever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from builder.digest import Digest
from builder.manifest.model import Target

BUILDER = "urn:stackbuild:unhosted"
"""Who built it, if nobody says it: stackbuild somewhere, which promises nothing about the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something that the build read.

    Attributes:
        name: a path below the project, or a reference.
        digests: by algorithm: `sha256`, `gitCommit`; hexadecimal.
        uri: where it is from; "" for a file of the project.
        said: what else is to be known, by name.
    """

    name: str
    digests: Mapping[str, str]
    uri: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Of one target.

    Attributes:
        name: what the image is called; `digest` of its manifest.
        plan_key: of the action that made the image, which names every choice of the build.
        inputs: sorted by name.
        builder: a URI.
        program: stackbuild's version; `requirements` the digest of the list that pins what it runs on.
    """

    target: Target
    name: str
    digest: Digest
    plan_key: Digest
    inputs: tuple[Input, ...]
    builder: str
    program: str
    requirements: Digest
