"""What most tests of workflows that go to a registry begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_uploads import FakeUploads, uploads
from tests.image_family import Site


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUploads]:
    """A registry in memory; nobody waits before asking again."""
    monkeypatch.setattr("builder.requester.time.sleep", lambda _: None)
    with uploads() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, registry: FakeUploads, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A family that is published there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return Site(tmp_path, registry.host)
