"""Why targets have a package, for a terminal: once for all the targets that have it for the same reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.chains import Reason
from builder.exports.printable import printable
from builder.manifest.model import Target

_MOST = 10
"""Chains that are shown; the rest is counted."""


def render(found: Mapping[Target, tuple[Reason, ...]]) -> str:
    """The text, in the order of the targets."""
    shared: dict[Reason, list[Target]] = {}
    for target, reasons in found.items():
        for reason in reasons:
            shared.setdefault(reason, []).append(target)
    return "\n".join("".join(f"{line}\n" for line in _one(reason, targets)) for reason, targets in shared.items())


def _one(reason: Reason, targets: list[Target]) -> Iterator[str]:
    yield f"{printable(reason.name)} {printable(reason.version)} ({reason.kind}, locked in {reason.image})"
    yield f"  in {', '.join(map(str, targets))}"
    for chain, asked in list(zip(reason.chains, reason.asked, strict=True))[:_MOST]:
        yield "  " + " ← ".join(map(printable, (*chain, asked)))
    if len(reason.chains) > _MOST:
        yield f"  and {len(reason.chains) - _MOST} more that are asked for"
    if not reason.chains:
        yield "  nothing that is asked for requires it; something may recommend it"
