"""Everything that something reaches, in whatever it names its neighbours by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

_Name = TypeVar("_Name")


def closure(start: _Name, needs: Callable[[_Name], Iterable[_Name]]) -> set[_Name]:
    """`start` and all that it needs, directly or not; `needs` is asked once of each."""
    found, todo = {start}, [start]
    while todo:
        new = set(needs(todo.pop())) - found
        found |= new
        todo.extend(new)
    return found
