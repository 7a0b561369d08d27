"""Parsers of what services, workers and other programs' files say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from builder import user_config
from builder.action import Action
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.executors.order import Order, Shop, order
from builder.executors.outcome import Failure, Outcome, failure, outcome
from builder.kinds.pip import page
from builder.lock import Pin
from builder.platforms import NATIVE
from builder.signatures import keys
from builder.signatures.payload import defect, payload
from builder.store import Store
from builder.transports import docker_config
from tests.fuzz import Parser

DIGEST = Digest.of(b"")
_PIN = Pin(kind="pip", name="a", version="1", filename="a-1-py3-none-any.whl", digest=DIGEST, size=3)
_NEED = Action(kind="account", version=1, name="account of x", options={}, platform=NATIVE)
_ACTION = Action(
    kind="pip", version=2, name="pip a of x", options={"wheels": [["a", "a-1.whl", "1"]]}, needs={"below-0": _NEED},
    sources={"wheel:a": _PIN}, local={DIGEST: Path("x")},
)  # fmt: skip
_SHOP = Shop(program="0" * 64, manifest=DIGEST, size=3, place="oci://127.0.0.1:5000/cache")
_LAYER = {"digest": DIGEST, "diff_id": DIGEST, "listing": DIGEST, "size": 3, "name": "a", "media_type": "x"}
_DONE = Outcome(result={"layers": [_LAYER]}, sizes={DIGEST: 3})
_FAILED = Failure(
    key=DIGEST, error=StackbuildError("x", where="y"), log="z", log_path="/logs/x", worker="w", passing=False
)

PAGE = {
    "meta": {"api-version": "1.1"},
    "files": [
        {
            "filename": "a-1.0-py3-none-any.whl",
            "url": "https://x/a-1.0-py3-none-any.whl",
            "hashes": {"sha256": "0" * 64},
            "size": 100,
            "requires-python": ">=3.9",
            "yanked": False,
            "upload-time": "2026-01-01T00:00:00Z",
            "core-metadata": {"sha256": "0" * 64},
        }
    ],
}
HTML = f"""<html><base href="https://x/"><a href="a-1.0-py3-none-any.whl#sha256={"0" * 64}" data-yanked="x"
data-requires-python="&gt;=3" data-upload-time="2026-01-01T00:00:00Z" data-core-metadata="true">a</a></html>"""
LOGIN = {"auths": {"x": {"auth": base64.b64encode(b"user:secret").decode()}, "y": {"identitytoken": "t"}}}
CONFIG = b"""[tls]
ca = "/etc/ca.pem"

[store]
max-size = "20GB"

[proxy]
http = "http://proxy.example.com:3128"
no-proxy = ["example.com"]
"""


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HostileInput("not UTF-8") from None


def _key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    return found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _public(data: bytes, folder: Path) -> object:
    path = folder / "key.pub"
    path.write_bytes(data)
    return keys.public(path, "key.pub")


def _login(data: bytes, folder: Path) -> object:
    path = folder / "config.json"
    path.write_bytes(data)
    environ = {"REGISTRY_AUTH_FILE": str(path), "PATH": str(folder)}  # No helper is there.
    return [docker_config.find(host, environ) for host in ("x", "y", "docker.io")]


def _of(read: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    return lambda data, _: read(_text(data))


def _json(*found: object) -> Callable[[], Iterable[bytes]]:
    return lambda: [json.dumps(one).encode() for one in found]


PARSERS = {
    "index-page": Parser(
        read=_of(lambda text: page.read_page(text, "https://x/simple/a/", "a")),
        seeds=lambda: [json.dumps(PAGE).encode(), HTML.encode()],
    ),
    "order": Parser(
        read=lambda data, folder: order(_text(data), Store(folder)),
        seeds=lambda: [Order(shop=_SHOP, action=_ACTION, local={DIGEST: 3}).dumps().encode()],
    ),
    "outcome": Parser(read=_of(lambda text: outcome(text, _ACTION)), seeds=lambda: [_DONE.dumps().encode()]),
    "failure": Parser(read=_of(failure), seeds=lambda: [_FAILED.dumps().encode()]),
    "signature": Parser(read=lambda data, _: defect(data, DIGEST), seeds=lambda: [payload("x/y", DIGEST)]),
    "public-key": Parser(read=_public, seeds=lambda: [_key()]),
    "docker-login": Parser(read=_login, seeds=_json(LOGIN)),
    "user-config": Parser(read=_of(lambda text: user_config.loads(text, Path("x.toml"))), seeds=lambda: [CONFIG]),
}
