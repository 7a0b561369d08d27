"""Who asks for a pin, as the requests and the requirements of a lock show it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

from builder.lock import Pin

DIRECT: Final = "stacks.toml"
"""What a pin's `via` says for a direct request."""
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def askers(request: Iterable[str], pins: Sequence[Pin]) -> Mapping[str, Set[str]]:
    """Name of each pin → the names of those that ask for it, `stacks.toml` for a request.

    A request with a marker may be about other targets, and shows nothing.
    """
    found: dict[str, set[str]] = {pin.name: set() for pin in pins}
    said = [(DIRECT, item) for item in request if ";" not in item]
    said += [(pin.name, item) for pin in pins for key, item in pin.fields if key == "requires"]
    for who, item in said:
        name = _NAME.match(item)
        if name and (asked := found.get(re.sub(r"[-_.]+", "-", name.group()).lower())) is not None:
            asked.add(who)
    for own, names in found.items():
        names.discard(own)
    return found
