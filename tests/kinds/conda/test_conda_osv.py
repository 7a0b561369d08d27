"""What conda packages are called in OSV: as the Python distributions that their locks name, and nothing else."""

from __future__ import annotations

from itertools import pairwise

from builder.digest import Digest
from builder.ecosystem import Known, Origin
from builder.kinds.conda.osv import order, packages
from builder.lock import Lock, Pin


def pin(name: str, version: str, *distributions: str) -> Pin:
    fields = tuple(("pypi", one) for one in distributions)
    return Pin(kind="conda", name=name, version=version, filename="", digest=Digest.of(b""), size=0, fields=fields)


def test_distributions_are_known_and_nothing_is_guessed() -> None:
    lock = Lock(request=(), pins=(pin("openssl", "3.3.1"), pin("pytorch", "2.5.1", "torch==2.5.1")))
    openssl, torch = packages(lock, Origin())
    assert openssl.known == () and openssl.version == "3.3.1"
    assert torch.known == (Known("PyPI", "torch", "2.5.1"),) and torch.aliases == (("torch", "2.5.1"),)


def test_order() -> None:
    ascending = ["not a version", "1.0dev1", "1.0rc1", "1.0", "1.0.1", "1.0.1_2", "1.0.10", "2024a", "1!0.1"]
    assert all(order(one) < order(other) for one, other in pairwise(ascending))
    assert order("1.0") == order("1.0.0")
