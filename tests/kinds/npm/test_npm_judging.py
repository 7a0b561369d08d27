"""Names, places and versions of others: nothing that leads elsewhere becomes part of a path."""

from __future__ import annotations

from typing import Any

import pytest

from builder.errors import HostileInput
from builder.kinds.npm.judging import judge_folder, judge_location, judge_names, judged


@pytest.mark.parametrize("location", ["node_modules/a", "node_modules/@s/a/node_modules/b.js"])
def test_places(location: str) -> None:
    judge_location(location)


@pytest.mark.parametrize(
    "location",
    ["", "a", "node_modules", "/node_modules/a", "node_modules/..", "node_modules/a/..", "x/node_modules/a",
     "node_modules/a\\b", "node_modules//a", "node_modules/.bin", "node_modules/@s", "node_modules/a/b"],
)  # fmt: skip
def test_no_places(location: str) -> None:
    with pytest.raises(HostileInput):
        judge_location(location)


def test_folders() -> None:
    for folder in ("code/lib", "@s/code/lib/vscode"):
        judge_folder(folder)
    for folder in ("", "code", "code/../x", "../code/lib", "code/node_modules/a", "code/a:b", "/code/lib"):
        with pytest.raises(HostileInput):
            judge_folder(folder)


def test_names() -> None:
    judge_names("node_modules/a", "@s/a", "1.0.0-rc.1+b")
    for name, version in (
        ("../a", "1.0.0"),
        ("a/b", "1.0.0"),
        (".a", "1.0.0"),
        ("a", "v1"),
        ("a", "1/../2"),
        ("a", ""),
    ):
        with pytest.raises(HostileInput):
            judge_names("node_modules/a", name, version)


@pytest.mark.parametrize(
    "native",
    [{"dependencies": ["b"]}, {"dependencies": {"b": 1}}, {"bin": {"../sh": "x"}}, {"bin": {"sh": "../../bin/sh"}},
     {"bin": {"a/b": "x"}}, {"bin": {"sh": "/bin/sh"}}],
)  # fmt: skip
def test_fields_of_another_type_or_that_lead_out(native: dict[str, Any]) -> None:
    assert judged("node_modules/a", {"bin": {"sh": "bin/sh.js"}, "license": "MIT"})
    with pytest.raises(HostileInput):
        judged("node_modules/a", native)
