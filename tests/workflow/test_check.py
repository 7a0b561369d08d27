"""check on images of files alone, which no program can look into."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.workflow import check
from tests.image_family import Site
from tests.tools import need_root

FULL = Target("full", "cpu", NATIVE)


def test_what_cannot_be_tried_is_broken(tmp_path: Path) -> None:
    """A contract that cannot start its container is told as such, and the next one is tried."""
    need_root()
    site = Site(tmp_path, "registry.example.com")
    site.build(str(FULL))
    project = site.project()
    assert check.is_built(project, FULL)
    ((contract, outcome), *more) = check.check(project, FULL)
    assert (contract, outcome.name, more) == ("contents", "can be tried", [])
    assert "/bin/sleep" in outcome.problem
    assert list(check.starts(project, FULL)) == []
    with pytest.raises(StackbuildError, match="unknown contract: _root"):
        list(check.check(project, FULL, ("_root",)))


def test_what_is_not_locked_is_not_built(tmp_path: Path) -> None:
    project = Site(tmp_path, "registry.example.com").project()
    assert not check.is_built(project, FULL)
    with pytest.raises(StackbuildError):
        list(check.check(project, FULL))
