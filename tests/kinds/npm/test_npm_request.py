from __future__ import annotations

import re

import pytest

from builder.errors import StackbuildError
from builder.kinds.npm import KEYS
from builder.kinds.npm.request import parse
from builder.manifest.shape import request_name


@pytest.mark.parametrize(
    ("text", "name", "normal", "spec"),
    [
        ("ms", "ms", "ms", "*"),
        ("ms==2.1.3", "ms", "ms==2.1.3", "2.1.3"),
        ("ms == 2.1.3", "ms", "ms==2.1.3", "2.1.3"),
        ("@jupyterlab/builder>=4, <5", "@jupyterlab/builder", "@jupyterlab/builder>=4,<5", ">=4 <5"),
        ("a.b-c_d>=1.2.0-rc.1", "a.b-c_d", "a.b-c_d>=1.2.0-rc.1", ">=1.2.0-rc.1"),
    ],
)
def test_request(text: str, name: str, normal: str, spec: str) -> None:
    assert re.fullmatch(KEYS["npm"]["items"]["pattern"], text)
    (found,) = parse([text])
    assert (found.name, found.text, found.spec) == (name, normal, spec)
    assert parse([found.text]) == (found,)
    assert request_name(text) == request_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "", "ms@2", "ms==^2", "ms==2", "ms ==", "ms>=", "@scope", "@scope/", "../ms", "a/b", "ms==1.0.0 || 2", ".ms",
        "ms==1.0.0,", "https://example.com/a.tgz", "git+ssh://x", "ms\n", "node_modules/x",
    ],
)  # fmt: skip
def test_no_request(text: str) -> None:
    assert not re.fullmatch(KEYS["npm"]["items"]["pattern"], text)


def test_scopes_are_no_repetition() -> None:
    """Two names of scopes were one name, the empty one, as what follows an @ was a version to pip."""
    assert request_name("@types/node==1.0.0") != request_name("@types/ms")


def test_two_versions_of_one_package() -> None:
    with pytest.raises(StackbuildError, match="ms is asked for twice"):
        parse(["ms==1.0.0", "ms==2.0.0"])
