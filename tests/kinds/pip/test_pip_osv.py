"""What Python packages are called in OSV, and the order of their versions."""

from __future__ import annotations

from itertools import pairwise

from builder.digest import Digest
from builder.ecosystem import Known, Origin
from builder.kinds.pip.osv import order, packages
from builder.lock import Lock, Pin


def test_a_local_version_is_a_build_of_the_public_one() -> None:
    pin = Pin(kind="pip", name="torch", version="2.5.1+cu124", filename="", digest=Digest.of(b""), size=0)
    (found,) = packages(Lock(request=(), pins=(pin,)), Origin())
    assert found.known == (Known("PyPI", "torch", "2.5.1"),)


def test_order() -> None:
    ascending = ["2004d-old", "0.9.dev1", "0.9a1", "0.9", "0.9.post1", "1.0", "1.10", "1!0.1"]
    assert all(order(one) < order(other) for one, other in pairwise(ascending))
    assert order("1.0.0") == order("v1.0") == order("1")
