"""Gather what a build will read from this machine's disks alone, before it begins: offline, nothing can come later."""

from __future__ import annotations

from collections.abc import Sequence

from builder.action import Action
from builder.errors import Problems, StackbuildError, Unreachable
from builder.fetching import Fetcher, gigabytes
from builder.lock import Pin
from builder.manifest.model import Target

_MOST = 20


def gather(fetcher: Fetcher, actions: Sequence[Action], targets: Sequence[Target]) -> None:
    """Let the store hold every file that these actions read.

    Args:
        targets: of the build, for the message.

    Raises:
        Unreachable: files are missing; all of them are told.
        Problems: a place on this machine has something else than what its pin says.
    """
    readers = {pin.digest: action.name for action in reversed(actions) for pin in action.pins}
    pins = [pin for action in actions for pin in action.pins]
    try:
        fetcher(pins)
    except Problems as found:
        if other := [error for error in found.problems if not isinstance(error, Unreachable)]:
            raise Problems(other) from None
        missing = fetcher.missing(pins)
        rows = [f"{_name(pin)}, for {readers[pin.digest]}" for pin in missing[:_MOST]]
        rows += [f"and {len(missing) - _MOST} more"] if len(missing) > _MOST else []
        raise _absent(missing, rows, targets) from None


def _absent(missing: Sequence[Pin], rows: Sequence[str], targets: Sequence[Target]) -> StackbuildError:
    size = gigabytes(sum(pin.size for pin in missing))
    count = f"{len(missing)} files are" if len(missing) > 1 else "a file is"
    return Unreachable(
        f"offline, and {count} not in the store ({size})",
        where="\n".join(rows),
        next_step="unpack the bundle again, or make one where there is a network: "
        f"stackbuild bundle {' '.join(map(str, targets))} --output FILE",
    )


def _name(pin: Pin) -> str:
    return f"{pin.kind} {pin.name} {pin.version}: {pin.filename.rpartition('/')[2] or pin.digest}"
