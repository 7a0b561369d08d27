"""What a worker says of an order: its outcome, or why there is none. Both are JSON, and judged where they arrive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from builder.action import Action, Result
from builder.digest import Digest, Json, canonical
from builder.entry import whole
from builder.errors import HostileInput, Problems, StackbuildError, Unreachable
from builder.executors import fields

HOW: Final = ("done", "same inputs", "from the cache", "kept")
_LONGEST_LOG = 1 << 20
_LONGEST_TIME = 30 * 24 * 3600 * 1000
"""Milliseconds: no step takes a month."""
_CLASSES: Final = {one.__name__: one for one in (StackbuildError, HostileInput, Unreachable)}
_FIELDS: Final = ("what", "where", "expected", "got", "next_step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an order came to.

    Attributes:
        sizes: bytes of every file that the result names, which lie in the cache.
        how: `done`, `same inputs`, `from the cache`, or `kept` where the worker had it.
        milliseconds: how long performing it took; None where nothing was performed.
    """

    result: Result
    sizes: Mapping[Digest, int]
    how: str = "kept"
    milliseconds: int | None = None

    def dumps(self) -> str:
        return canonical(self.document()).decode()

    def document(self) -> dict[str, Json]:
        return {
            "result": self.result,
            "sizes": {str(one): size for one, size in self.sizes.items()},
            "how": self.how,
            "milliseconds": self.milliseconds,
        }


def outcome(text: str, action: Action) -> Outcome:
    """What a worker says of an action. Raises: HostileInput: it is no outcome of that."""
    with fields.judged("what a worker says of an action"):
        return of_document(fields.parsed(text), action)


def of_document(found: Mapping[str, Any], action: Action) -> Outcome:
    """Raises: HostileInput: it is not whole; TypeError, ValueError, KeyError: a field does not fit."""
    result = fields.table(found["result"])
    sizes = {Digest.parse(one): fields.whole(size) for one, size in fields.table(found["sizes"]).items()}
    time = found["milliseconds"]
    if time is not None and fields.whole(time) > _LONGEST_TIME:
        raise ValueError("a time")
    if found["how"] not in HOW:
        raise ValueError("how")
    if not whole(action, result, sizes):
        raise HostileInput(f"what a worker says is not whole: {action.name}")
    return Outcome(result=result, sizes=sizes, how=found["how"], milliseconds=time)


class Failed(Exception):
    """A worker's task raises it: nobody performs what depends on the action then. Its one argument is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a worker says of an action that failed.

    Attributes:
        key: the action's plan key; None if the worker could not even read that.
        error: why; several are `Problems`.
        log: the end of what its sandboxed steps wrote.
        log_path: where that lies on the worker.
        worker: its name.
        passing: whether another try may do better.
    """

    key: Digest | None
    error: StackbuildError
    log: str
    log_path: str
    worker: str
    passing: bool

    def dumps(self) -> str:
        errors = self.error.problems if isinstance(self.error, Problems) else (self.error,)
        found = {
            "key": self.key,
            "errors": [_said(one) for one in errors],
            "log": self.log[-_LONGEST_LOG:],
            "log_path": self.log_path,
            "worker": self.worker,
            "passing": self.passing,
        }
        return json.dumps(found)  # In ASCII: an error may name a file whose name is no text.

    def here(self, log: str) -> StackbuildError:
        """The error as it is told where the build was ordered, with the log at that path."""
        errors = self.error.problems if isinstance(self.error, Problems) else (self.error,)
        told = [self._told(one, log) for one in errors]
        return told[0] if len(told) == 1 else Problems(told)

    def _told(self, error: StackbuildError, log: str) -> StackbuildError:
        where = error.where.replace(self.log_path, log) if self.log_path else error.where
        where = where or f"on the worker {self.worker}"
        on_worker = error.next_step.startswith("stackbuild shell")  # The root of the step was kept there.
        next_step = f"on the worker {self.worker}: {error.next_step}" if on_worker else error.next_step
        return type(error)(error.what, where=where, expected=error.expected, got=error.got, next_step=next_step)


def failure(text: str) -> Failure:
    """Raises: HostileInput: the text is none."""
    with fields.judged("what a worker says of a failure"):
        found = fields.parsed(text)
        errors = [_error(one) for one in fields.rows(found["errors"])]
        if not errors or not isinstance(found["log"], str):
            raise ValueError("nothing failed")
        return Failure(
            key=None if found["key"] is None else Digest.parse(found["key"]),
            error=errors[0] if len(errors) == 1 else Problems(errors),
            log=found["log"][-_LONGEST_LOG:],
            log_path=fields.string(found["log_path"]),
            worker=fields.string(found["worker"]),
            passing=fields.flag(found["passing"]),
        )


def passes(error: StackbuildError) -> bool:
    """Whether an error is one of the network or of another machine, so that another try may do better."""
    problems = error.problems if isinstance(error, Problems) else (error,)
    return all(isinstance(one, Unreachable) for one in problems)


def _said(error: StackbuildError) -> dict[str, Json]:
    name = type(error).__name__
    row: dict[str, Json] = {field: getattr(error, field) for field in _FIELDS}
    return {**row, "class": name if name in _CLASSES else StackbuildError.__name__}


def _error(found: Mapping[str, Any]) -> StackbuildError:
    """Its fields have several lines, some of them; whoever prints them escapes the rest."""
    texts = {}
    for field in _FIELDS:
        if not isinstance(found[field], str):
            raise TypeError("no text")
        texts[field] = found[field]
    return _CLASSES[found["class"]](**texts)
