"""Two workers of a scheduler, and a project whose scripts they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.dask.cluster import Cluster, cluster, with_scripts
from tests.e2e.project import Site
from tests.e2e.services import Registry


@pytest.fixture(scope="module")
def two(small: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), 2, small.store_path) as found:
        yield found


@pytest.fixture
def site(small: Site, registry: Registry, tmp_path: Path) -> Site:
    return with_scripts(small, registry, tmp_path)
