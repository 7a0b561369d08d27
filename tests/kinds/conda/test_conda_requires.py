"""Who depends on whom in a conda lock."""

from __future__ import annotations

from builder.kinds.conda.requires import asked, requires
from tests.conda_channel import Served
from tests.conda_world import SMALL, Make


def test_edges_and_requests(channel: Served, world: Make) -> None:
    made = world(SMALL)
    made.lock()
    lock = made.read("notebook:cpu@linux/amd64")
    edges = requires([lock])
    names = {pin.name for pin in lock.pins}
    assert edges.keys() == names
    assert "python" in edges["tiny-lab"]
    assert all(needed <= names for needed in edges.values()), "virtual packages are none"
    assert {"python", "tiny-lab", "tiny-torch"} == asked(lock).keys()
