"""Fixtures of the conda kind's tests."""

from __future__ import annotations

from tests.conda_world import channel as channel
from tests.conda_world import world as world
