"""Patterns of include and exclude."""

from __future__ import annotations

import pytest

from builder.kinds.fetch.pattern import matches


@pytest.mark.parametrize(
    ("pattern", "path", "answer"),
    [
        ("bin", "bin", True),
        ("bin", "bin/tool", True),
        ("bin/", "bin/tool", True),
        ("bin", "binary", False),
        ("bin", "usr/bin", False),
        ("bin/*", "bin/tool", True),
        ("bin/*", "bin/tool/x", True),
        ("bin/*", "bin", False),
        ("*.jar", "a.jar", True),
        ("*.jar", "lib/a.jar", False),
        ("**/*.jar", "a.jar", True),
        ("**/*.jar", "lib/deep/a.jar", True),
        ("**/*.jar", "lib/a.jars", False),
        ("lib/**", "lib/a/b", True),
        ("lib/**", "lib", False),
        ("**", "any/thing", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
    ],
)
def test_matches(pattern: str, path: str, answer: bool) -> None:
    assert matches(pattern, path) is answer
