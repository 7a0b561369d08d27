"""The Node.js that apt pins bring."""

from __future__ import annotations

import re
from collections.abc import Mapping

from builder.errors import StackbuildError
from builder.lock import Pin


def version(pins: Mapping[str, Pin], where: str) -> str:
    """The version of Node.js among apt pins, an image's own and inherited: `18.20.4`.

    Raises:
        StackbuildError: none is there.
    """
    pin = pins.get("nodejs")
    found = re.match(r"(?:\d+:)?(\d+\.\d+\.\d+)", pin.version) if pin is not None else None
    if found is None:
        raise StackbuildError(
            f"no Node.js for npm: {where}",
            expected="nodejs among the apt packages of the image or an ancestor",
            got=f"nodejs {pin.version}" if pin is not None else "",
            next_step='add "nodejs" to its apt list, then: stackbuild lock',
        )
    return found[1]
