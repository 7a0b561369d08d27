"""The few errors of stackbuild: what, where, expected, got, next step.

Every error a user may see is a `StackbuildError` whose fields the command line prints in one fixed order. Only
`cli.py` catches them.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.escaping import escaped
from builder.redaction import redact


class StackbuildError(Exception):
    """Something a person must know about, told in fields, without the user info and queries of URLs.

    Args:
        what: one line, the problem itself, beginning with its class ("lock is stale: …").
        where: file, line, image or URL it was found at.
        expected: what would have been right.
        got: what was there.
        next_step: the command to type, or the edit to make.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", got: str = "", next_step: str = "") -> None:
        self.what = redact(what)
        super().__init__(self.what)
        self.where = redact(where)
        self.expected = redact(expected)
        self.got = redact(got)
        self.next_step = redact(next_step)

    def lines(self) -> list[str]:
        """The error as it is printed, without the leading `error: `; the command to type is last."""
        rows = [self.what]
        rows += [f"  {line}" for line in self.where.splitlines()]
        if self.expected:
            rows.append(f"  expected: {self.expected}")
        if self.got:
            rows += [f"  got: {line}" if not n else f"       {line}" for n, line in enumerate(self.got.splitlines())]
        if self.next_step:
            rows.append(f"  next: {self.next_step}")
        return [escaped(line) for row in rows for line in row.split("\n")]

    def __str__(self) -> str:
        return "\n".join(self.lines())


class InUse(StackbuildError):
    """Somebody else works with a store that is needed alone."""


class Problems(StackbuildError):
    """Several problems of one file or one run, reported together and in order."""

    def __init__(self, problems: Iterable[StackbuildError]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.what, where=first.where, next_step=first.next_step)

    def __reduce__(self) -> tuple[type[Problems], tuple[tuple[StackbuildError, ...]]]:
        """As it was made: a process of the pool hands errors back pickled."""
        return Problems, (self.problems,)

    def lines(self) -> list[str]:
        if len(self.problems) == 1:
            return self.problems[0].lines()
        rows = [f"{len(self.problems)} problems"]
        for problem in self.problems:
            rows += [f"  {line}" for line in problem.lines()]
        return rows


class HostileInput(StackbuildError):
    """A foreign file is not what it claims to be; nothing of it was kept."""


class Unreachable(StackbuildError):
    """No source holds a file any more, or none could be asked."""


def raise_all(problems: list[StackbuildError]) -> None:
    """Raise `Problems` when there is any.

    Raises:
        Problems: the list is not empty.
    """
    if problems:
        raise Problems(problems)
