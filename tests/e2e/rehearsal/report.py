"""A rehearsal as Markdown: figures first, then a row for each bump."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from tests.e2e.rehearsal.branches import Bumped, Refused
from tests.e2e.rehearsal.broken import Broken
from tests.e2e.rehearsal.year import NOW, THEN, Year


def report(found: Year) -> str:
    return "\n".join([*_figures(found), "", *_bumps(found.bumped), "", *_others(found), ""])


def _figures(found: Year) -> Iterator[str]:
    bumped, side = found.bumped, found.side
    mended = [one for one in side.merges if one.mended]
    rows = [
        (f"pins of {THEN[:10]} that {NOW[:10]} has newer", f"{len(found.newest)} of {len(found.pins)}"),
        ("bumps merged", len(bumped)),
        ("bumps refused, tried again later", len(found.refused)),
        ("… that left the manifest or a lock changed", sum(bool(one.left) for one in found.refused)),
        ("pins not at the newest in the end", len(found.left)),
        ("lock lines changed (added + removed): min / median / max", _spread([sum(one.lines) for one in bumped])),
        ("packages moved beside the bumped: in all / bumps with any", _beside(bumped)),
        ("… unforced", sum(len(one.judged.unforced) for one in bumped)),
        ("… that another version of something else would have spared", sum(len(one.judged.spared) for one in bumped)),
        ("lock lines changed for nothing", sum(len(one.judged.needless) for one in bumped)),
        ("locks that are no solution", sum(bool(one.judged.faults) for one in bumped)),
        ("wrong diffs and plans", sum(len(one.wrong) for one in bumped)),
        ("builds of untouched images", sum(len(one.foreign) for one in bumped)),
        ("seconds per bump: min / median / max", _spread([one.seconds["bump"] for one in bumped])),
        ("seconds to bump, diff, plan and build", _spread([sum(one.seconds.values()) for one in bumped])),
        ("branches of one commit, merged in turn", len(side.merges)),
        ("… that were refused where all began", len(side.refused)),
        ("… with a conflict", sum(bool(one.conflicts) for one in side.merges)),
        ("… that are no solution, found by lock --check", f"{len(mended)}, mended by lock"),
        ("… about which lock --check is wrong", sum(one.solution == bool(one.faults) for one in side.merges)),
        ("… unforced in mending", sum(len(one.mended.unforced) for one in mended if one.mended)),
        ("merges made to be no solution: found by lock --check", f"{_found(found.broken)} of {len(found.broken)}"),
        ("neighbours in the manifest that conflict: on adjacent lines", len(found.dense)),
        ("… with a line between them", len(found.parted)),
    ]
    yield from ("| what | figure |", "|---|---|")
    yield from (f"| {what} | {figure} |" for what, figure in rows)


def _spread(values: Sequence[float]) -> str:
    shown = [min(values), median(values), max(values)] if values else []
    return " / ".join(f"{one:.1f}" if isinstance(values[0], float) else f"{one:.0f}" for one in shown)


def _beside(bumped: Sequence[Bumped]) -> str:
    counts = [len(one.judged.moved) for one in bumped]
    return f"{sum(counts)} / {sum(map(bool, counts))}"


def _found(broken: Sequence[Broken]) -> int:
    return sum(bool(one.checked and one.faults) for one in broken)


def _bumps(bumped: Sequence[Bumped]) -> Iterator[str]:
    yield "| bump | lock lines | beside it | targets touched | images rebuilt | actions | bump | all |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in bumped:
        moves = ", ".join(f"{name} {old} → {new}" for name, (old, new) in one.versions.items())
        yield (
            f"| {moves} | +{one.lines[0]} −{one.lines[1]} | {', '.join(sorted(one.judged.moved))} "
            f"| {len(one.judged.touched)} | {len(one.rebuilt)} | {one.actions} "
            f"| {one.seconds['bump']:.1f} s | {sum(one.seconds.values()):.1f} s |"
        )


def _others(found: Year) -> Iterator[str]:
    for number, tried in enumerate(found.rounds, start=1):
        for one in tried:
            if isinstance(one, Refused):
                yield f"- round {number}, no solution for {one.name}: {_line(one.said)}"
            else:
                yield from (f"- {one.name} forced {name}: {why}" for name, why in one.judged.moved.items())
                yield from (f"- {one.name}, unforced: {name}" for name in one.judged.unforced)
                yield from (f"- {one.name}, could have spared: {name}" for name in one.judged.spared)
                faults = (*one.judged.needless, *one.judged.faults, *one.wrong, *one.foreign)
                yield from (f"- {one.name}, WRONG: {fault}" for fault in faults)
    yield from (f"- left: {name}: {_line(said)}" for name, said in found.left.items())
    yield from (f"- of one commit, refused: {name}" for name in found.side.refused)
    for merged in found.side.merges:
        if merged.conflicts:
            yield f"- merge of {merged.name}: conflicts in {', '.join(merged.conflicts)}"
        if merged.mended:
            moved = ", ".join(f"{name} ({why})" for name, why in merged.mended.moved.items())
            yield f"- merge of {merged.name} is no solution: {_line(merged.said)}; lock moved {moved}"
            yield from (f"- merge of {merged.name}, unforced in mending: {one}" for one in merged.mended.unforced)
        if merged.solution == bool(merged.faults):
            yield f"- merge of {merged.name}, WRONG: lock --check against {merged.faults}"

    for pair in found.broken:
        yield f"- {pair.name}: {_line(pair.checked)}; texts: {', '.join(pair.faults)}"
        yield f"  - lock: {_line(pair.refused) or 'mended it'}; moved {', '.join(pair.mended.moved)}"


def _line(said: str) -> str:
    """The error without what the command told before it."""
    return " ".join(line.strip() for line in said[max(said.find("error:"), 0) :].splitlines()[:6])
