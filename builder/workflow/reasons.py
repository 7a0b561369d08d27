"""Why what differs does: of each package that was added, removed or moved, what asks for it; of each image that is
built anew, what else is not as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from builder.action import Action
from builder.difference import Asked, Cause, Change, Difference
from builder.digest import canonical
from builder.manifest.model import Target
from builder.planner import packages
from builder.workflow import explain, why
from builder.workflow.sides import Side


class Reasons:
    """Gives reasons by the locks and the manifests of both sides, those of each image looked up once."""

    def __init__(self, a: Side, b: Side) -> None:
        self._sides = (a, b)
        self._asked: dict[tuple[int, Target], Mapping[tuple[str, str], Asked]] = {}
        self._causes: dict[Target, tuple[Cause, ...]] = {}

    def given(self, one: Difference, pair: tuple[Target | None, Target | None]) -> Difference:
        """The same with its reasons."""
        a, b = pair
        return replace(
            one,
            packages=one.packages and tuple(self._given(change, pair) for change in one.packages),
            causes=tuple(self._lineage(b)) if b is not None and a == b else (),
        )

    def _given(self, change: Change, pair: tuple[Target | None, Target | None]) -> Change:
        number = 0 if change.b is None else 1
        package, state, target = change.package, self._sides[number].state, pair[number]
        if state is None or target is None:
            return change
        # The image whose lock has it is asked, and no child of it: so all targets tell the same.
        holder = next(one for one in state.manifest.lineage(target) if one.image == package.image)
        if (number, holder) not in self._asked:
            self._asked[number, holder] = why.asked(state, holder)
        return replace(change, asked=self._asked[number, holder].get((package.kind, package.name)))

    def _lineage(self, target: Target) -> Iterator[Cause]:
        state = self._sides[1].state
        for one in state.manifest.lineage(target) if state is not None else ():
            if one not in self._causes:
                self._causes[one] = tuple(dict.fromkeys(self._own(one)))
            yield from self._causes[one]

    def _own(self, target: Target) -> Iterator[Cause]:
        """What differs of an image's own actions; packages are told as such, and what it is built on has its own."""
        before, after = (side.planned(target) for side in self._sides)
        if before is None or after is None:
            return
        olds, news = ([*one.actions, *([one.image] if one.image is not None else [])] for one in (before, after))
        had = {one.name: one for one in olds}
        for action in news:
            former = had.get(action.name)
            if former is not None and former.plan_key != action.plan_key:
                yield from (Cause(image=target.image, text=line) for line in _lines(former, action))


def _lines(former: Action, action: Action) -> Iterator[str]:
    last = json.loads(canonical(former.document))
    moved = f"{action.kind.partition('.')[0]} " if packages(action) else "\0"
    for line in explain.changes({**last, "inputs": action.document["inputs"]}, action, ()):
        if not line.startswith(moved):
            yield line
