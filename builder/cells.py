"""What fails in single cells of the matrix image × variant × platform, told as one table.

A wheel that exists for one platform and not for another fails in some cells only; which ones is the first thing to
know, so that nobody finds them one build after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.errors import StackbuildError


class CellError(StackbuildError):
    """Something that one cell lacks.

    Args:
        subject: what, without the cell: `no wheel for torchvision==0.27.0`. Cells of one subject are one table.
        cell: the target, `jupyter-pytorch:cuda@linux/arm64`.
        needs: what would fit; got: what there is.
    """

    def __init__(self, subject: str, *, cell: str, needs: str, got: str, where: str = "", next_step: str = "") -> None:
        super().__init__(f"{subject}: {cell}", where=where, expected=needs, got=got, next_step=next_step)
        self.subject = subject
        self.cell = cell
        self._parts = {"cell": cell, "needs": needs, "got": got, "where": where, "next_step": next_step}

    def __reduce__(self) -> tuple[object, ...]:
        """As it was made: a process of the pool hands errors back pickled."""
        return _again, (self.subject, self._parts)


def _again(subject: str, parts: dict[str, str]) -> CellError:
    return CellError(subject, **parts)


def tables(problems: Iterable[StackbuildError], cells: Sequence[str]) -> list[StackbuildError]:
    """The problems in their order, those of several cells and one subject as one.

    Args:
        cells: every cell that was tried.
    """
    found: dict[str, list[CellError]] = {}
    order: dict[str, StackbuildError] = {}
    for problem in problems:
        if isinstance(problem, CellError):
            found.setdefault(problem.subject, []).append(problem)
            order.setdefault(problem.subject, problem)
        else:
            order[str(problem)] = problem
    return [_table(found[one], cells) if len(found.get(one, ())) > 1 else order[one] for one in order]


def _table(problems: Sequence[CellError], cells: Sequence[str]) -> StackbuildError:
    width = max(len(one.cell) for one in problems)
    rows = [f"{one.cell:{width}}  needs {one.expected}; found: {one.got}" for one in problems]
    steps = list(dict.fromkeys(one.next_step for one in problems if one.next_step))
    return StackbuildError(
        f"{problems[0].subject} in {len(problems)} of {len(cells)} cells",
        where="\n".join(rows),
        next_step="; or ".join(steps),
    )
