"""What packages of Node.js are called in OSV, and the order of their versions."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from builder.ecosystem import Known, Origin
from builder.kinds.npm.osv import order, packages
from builder.locks import Locks
from builder.manifest.model import Target
from tests.e2e.project import ROOT


def test_every_package_of_a_lock_by_its_own_name() -> None:
    lock = Locks(ROOT / "locks").read(Target("codeserver", "cpu", "linux/amd64"), "npm")
    assert lock is not None
    found = {one.name: one for one in packages(lock, Origin())}
    assert set(found) >= {pin.name for pin in lock.pins}
    ws = found["code-server/ws"]
    assert ws.known == (Known("npm", "ws", ws.version),) and ws.aliases == (("ws", ws.version),)
    assert found["code-server/@coder/logger"].known[0].name == "@coder/logger"


def test_order() -> None:
    ascending = ["nonsense", "0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-rc.1", "1", "1.2", "1.2.1"]
    assert all(order(one) < order(other) for one, other in pairwise(ascending))
    assert order("1.2.0+build") == order("v1.2.0") == order("1.2")


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_numbers_are_numbers(major: int, minor: int, patch: int) -> None:
    assert order(f"{major}.{minor}.{patch}") < order(f"{major}.{minor}.{patch + 1}") < order(f"{major}.{minor + 1}.0")
