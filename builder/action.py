"""Actions: what a build may have to do, named by a key of everything it reads.

A *plan key* names an action's inputs by their plan keys, so every key is known before any work. Once the inputs
exist, the *key* names them by the digests of their results. When a plan key is not in the store, the key is looked up
before anything runs: that is early cutoff, and why a rebuilt input with the same result rebuilds nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from builder.digest import Digest, Json, key
from builder.lock import Pin
from builder.store import Store

SCHEMA = 1
"""Version of the documents; raising it rebuilds the world."""

Result = Mapping[str, Any]
"""What an action leaves, as JSON: `layers` (see `LayerResult`), or what its kind says."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One step of a build.

    Attributes:
        kind: the room below `kinds/` that performs it, a step of it after a dot: `pip.sdist`.
        version: of the kind's own code; raised whenever equal options would give other bytes.
        name: for people: `bucket-0 of jupyter:cpu@linux/amd64`. Not part of the key.
        options: every choice that matters.
        platform: where it is read; "" where it is not (a pure wheel).
        needs: role → action whose result is read.
        sources: role → pinned file that is read.
        tools: role → pinned file that performing takes, and that makes no difference to what comes of it: a library
            that the image's interpreter is loaded with. Not part of the key.
        local: digest → file of the project that is read (an overlay's). Where it lies is not part of the key.
        layers: whether its result holds layers of the image.
        content: what must be performed before the layers can be read, where the result only refers to them: those of
            a foreign image, which are not fetched for nothing. Not part of the key.
    """

    kind: str
    version: int
    name: str
    options: Json
    platform: str = ""
    needs: Mapping[str, Action] = field(default_factory=dict)
    sources: Mapping[str, Pin] = field(default_factory=dict)
    tools: Mapping[str, Pin] = field(default_factory=dict)
    local: Mapping[str, Path] = field(default_factory=dict)
    layers: bool = True
    content: Action | None = None

    def __hash__(self) -> int:
        return hash(self.plan_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Action) and self.plan_key == other.plan_key

    @property
    def pins(self) -> tuple[Pin, ...]:
        """Every pinned file that performing it takes."""
        return (*self.sources.values(), *self.tools.values())

    @property
    def readable(self) -> Action:
        """What an action needs that reads the layers themselves: this one, or its `content`."""
        return self.content or self

    @cached_property
    def document(self) -> dict[str, Json]:
        """The plan document, whose inputs are plan keys and digests of sources."""
        return self._document({role: need.plan_key for role, need in self.needs.items()})

    @cached_property
    def plan_key(self) -> Digest:
        return key(self.document)

    def result_document(self, results: Mapping[str, Result]) -> dict[str, Json]:
        """The document once inputs exist: they are named by the digests of their results (role → result)."""
        return self._document({role: key(results[role]) for role in self.needs})

    def _document(self, needs: Mapping[str, str]) -> dict[str, Json]:
        sources = {role: str(pin.digest) for role, pin in self.sources.items()}
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "kind_version": self.version,
            "options": self.options,
            "platform": self.platform,
            "inputs": {**sources, **needs},
        }

    def walk(self, past: Container[Digest] = ()) -> Iterator[Action]:
        """This action and all it needs, directly or not, inputs first, each once.

        Args:
            past: plan keys of actions that are left out, with what they need.
        """
        seen: set[int] = set()
        stack: list[tuple[Action, bool]] = [(self, False)]
        while stack:
            action, ready = stack.pop()
            if ready:
                yield action
            elif id(action) not in seen and not (past and action.plan_key in past):
                seen.add(id(action))
                stack.append((action, True))
                stack += [(need, False) for need in action.needs.values()]


class Heavy(Protocol):
    """Runs a function of module level in another process."""

    def __call__(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What performing an action may use.

    Attributes:
        heavy: hands work to the pool of processes.
        jobs: how many processes there are.
        log: where output of sandboxed steps goes.
    """

    store: Store
    heavy: Heavy
    jobs: int
    log: Path
