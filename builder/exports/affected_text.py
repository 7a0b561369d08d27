"""Who holds a package, for a terminal: the targets that hold the same together, then each release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.advisories.holdings import Affected, Deployed, Held
from builder.exports.printable import printable
from builder.manifest.model import Target


def render(found: Affected) -> str:
    """The text; "" where nothing holds it."""
    parts = [*_targets(found), *(list(_release(one)) for one in found.releases)]
    return "\n".join("".join(f"{line}\n" for line in part) for part in parts)


def _targets(found: Affected) -> Iterator[list[str]]:
    shared: dict[tuple[Held, ...], list[Target]] = {}
    for target, held in found.targets.items():
        shared.setdefault(held, []).append(target)
    for held, targets in shared.items():
        yield [*(f"{_told(one)}, locked in {one.image}" for one in held), f"  {', '.join(map(str, targets))}"]


def _release(one: Deployed) -> Iterator[str]:
    yield f"{printable(one.name)}@{one.digest}, pushed {one.time}"
    yield f"  {_tags('now', one.tags)}{'; ' + _tags('before', one.before) if one.before else ''}"
    for platform, held in one.platforms.items():
        yield f"  {printable(platform)}: {'; '.join(map(_told, held))}"


def _tags(word: str, tags: Sequence[str]) -> str:
    return f"{word}: {', '.join(map(printable, tags)) or 'no tag of this record'}"


def _told(one: Held) -> str:
    if one.name == one.package:
        return f"{one.kind} {printable(one.name)} {printable(one.version)}"
    return f"{one.kind} {printable(one.package)} ({printable(one.name)} {printable(one.version)})"
