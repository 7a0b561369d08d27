"""The words of a command line, before any command is loaded."""

from __future__ import annotations

import pytest

from builder.cli import _wanted


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("build jupyter", "build"),
        ("-C build lock", "lock"),
        ("--offline -C /some/where check build", "check"),
        ("-C/some/where run jupyter", "run"),
        ("--help", ""),
        ("-C", ""),
        ("", ""),
    ],
)
def test_command_that_needs_a_namespace(line: str, command: str) -> None:
    """The folder of `-C` was taken for the command, so an ordinary user's build had no namespace."""
    assert _wanted(line.split()) == command
