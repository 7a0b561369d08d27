"""A family that goes to a registry, for formats that name what was published."""

from __future__ import annotations

from tests.workflow.conftest import registry as registry
from tests.workflow.conftest import site as site
