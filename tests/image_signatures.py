"""Signatures on images that openssl makes, and the manifests beside images that hold them."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.fake_image import CONFIG, MANIFEST, put
from tests.tools import need

TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
P256 = ("EC", "ec_paramgen_curve:P-256")
RSA = ("RSA", "rsa_keygen_bits:2048")
_REF = "org.opencontainers.image.ref.name"


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    need("openssl")
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def pair(folder: Path, name: str, kind: tuple[str, ...] = P256) -> tuple[Path, Path]:
    """A private key and its public one: NAME.key, NAME.pub."""
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    options = [word for one in kind[1:] for word in ("-pkeyopt", one)]
    openssl("genpkey", "-algorithm", kind[0], *options, "-out", str(private))
    openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    return private, public


def document(digest: str, **changes: Any) -> bytes:
    """What is signed, in another order and with more in it than ours; `changes` replace parts of `critical`."""
    critical = {
        "type": "cosign container image signature",
        "image": {"docker-manifest-digest": digest},
        "identity": {"docker-reference": "elsewhere.example.com/x"},
    }
    return json.dumps({"optional": {"creator": "a hand"}, "critical": {**critical, **changes}}, indent=1).encode()


def row(layout: Path, private: Path, data: bytes, **changes: Any) -> dict[str, Any]:
    """A layer with a signature of some bytes, which lie in the layout then."""
    signature = openssl("dgst", "-sha256", "-sign", str(private), data=data)
    said = {ANNOTATION: base64.b64encode(signature).decode()}
    return {**put(layout, data, TYPE), "annotations": said, **changes}


def beside(layout: Path, digest: str, *rows: dict[str, Any], document: bytes | None = None) -> None:
    """Lay a manifest of signatures beside what has that digest; `document` instead of one."""
    config = put(layout, b"{}", CONFIG)
    whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(rows)}
    found = put(layout, json.dumps(whole).encode() if document is None else document, MANIFEST)
    path = layout / "index.json"
    known = json.loads(path.read_bytes())["manifests"] if path.exists() else []
    tag = digest.replace(":", "-") + ".sig"
    kept = [one for one in known if one["annotations"][_REF] != tag]
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": [*kept, {**found, "annotations": {_REF: tag}}]}))
