"""Everything that something reaches: with circles, and each asked once."""

from __future__ import annotations

from builder.closure import closure


def test_what_is_reached_through_a_circle() -> None:
    needs = {"a": ["b"], "b": ["c", "a"], "c": ["a"], "d": ["a"]}
    asked: list[str] = []

    def ask(name: str) -> list[str]:
        asked.append(name)
        return needs[name]

    assert closure("a", ask) == {"a", "b", "c"}
    assert sorted(asked) == ["a", "b", "c"]
    assert closure("d", ask) == {"a", "b", "c", "d"}
