"""Which requirements are active, and who asks for whom: the comments of a lock.

queue ← what is requested, with its extras
take a name: every Requires-Dist whose marker is true for the target and the extras asked of that name
an extra that is new to a name puts it back into the queue; else each (name, extras) is seen once
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from builder.kinds.pip.askers import DIRECT
from builder.kinds.pip.requirement import active, foreign, holds, parse, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one name requires and who wants it; both sorted.

    Attributes:
        requires: active requirements without markers, in their one spelling.
        via: names, or `stacks.toml`.
    """

    requires: tuple[str, ...]
    via: tuple[str, ...]


def close(
    request: Sequence[str],
    environment: Mapping[str, str],
    lines: Callable[[str, frozenset[str]], Sequence[str]],
) -> Mapping[str, Asked]:
    """Everything that the request reaches.

    Args:
        lines: the Requires-Dist lines of a name under the extras asked of it; empty where they do not matter.
    """
    extras: dict[str, set[str]] = {}
    via: dict[str, set[str]] = {}
    requires: dict[str, tuple[str, ...]] = {}
    queue: list[str] = []

    def ask(item: str, who: str) -> None:
        one = parse(item)
        name = canonicalize_name(one.name)
        wanted = {canonicalize_name(extra) for extra in one.extras}
        if name not in extras or not wanted <= extras[name]:
            queue.append(name)
        extras.setdefault(name, set()).update(wanted)
        if who != name:
            via.setdefault(name, set()).add(who)

    for item in active(request, environment):
        ask(item, DIRECT)
    while queue:
        name = queue.pop()
        found: set[str] = set()
        for line in lines(name, frozenset(extras[name])):
            one, _ = foreign(line)
            if holds(one.marker, environment, sorted(extras[name])):
                found.add(text(one, marker=False))
        requires[name] = tuple(sorted(found))
        for item in requires[name]:
            ask(item, name)
    return {name: Asked(requires=requires[name], via=tuple(sorted(via.get(name, ())))) for name in sorted(requires)}
