"""A gateway with its kernel images."""

from __future__ import annotations

import pytest

from tests.image_family import Site
from tests.kernels_family import Kernels
from tests.workflow.conftest import registry as registry
from tests.workflow.conftest import site as site


@pytest.fixture
def kernels(site: Site) -> Kernels:
    return Kernels(site)
