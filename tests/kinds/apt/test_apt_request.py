from __future__ import annotations

import pytest

from builder.errors import StackbuildError
from builder.kinds.apt import request
from builder.kinds.apt.relation import Atom


def test_names_versions_and_the_own_architecture() -> None:
    assert request.parse(["vim==2:9.0.1-1+b1", "curl", "libc6:amd64"], "amd64") == (
        Atom(name="curl"),
        Atom(name="libc6"),
        Atom(name="vim", operator="=", version="2:9.0.1-1+b1"),
    )


def test_version_beats_no_version() -> None:
    assert request.parse(["git", "git==1"]) == (Atom(name="git", operator="=", version="1"),)


def test_all_problems_at_once() -> None:
    with pytest.raises(StackbuildError) as caught:
        request.parse(["a b", "libc6:i386", "git==1", "git==2"], "amd64")
    told = str(caught.value)
    assert "not an apt request: a b" in told
    assert "foreign architecture: libc6:i386" in told
    assert "git is asked for twice" in told
