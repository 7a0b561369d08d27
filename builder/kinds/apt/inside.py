"""Debian packages as the sandbox finds them: checked once more, at paths of its own, in a packing that it can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.kinds.apt.plain import plain
from builder.lock import Pin
from builder.store import Store

_SOURCES = "run/stackbuild/sources"
_PLAIN = "run/stackbuild/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Packages of a step.

    Attributes:
        paths: package → where it lies in the root.
        binds: what a `sandbox.Command` has to bind for that.
    """

    paths: dict[str, str]
    binds: tuple[tuple[str, str, bool], ...]


def inside(store: Store, pins: Sequence[Pin], workspace: Path, jobs: int) -> Inside:
    """Check packages, and write those once more that the sandbox could not read.

    Args:
        workspace: a folder of the step, as long as which the result is of use.

    Raises:
        HostileInput: a package in the store has changed, or is malformed.
    """
    store.check_sources((pin.digest for pin in pins), jobs)
    folder = workspace / "plain"
    written = plain({pin.name: store.source(pin.digest) for pin in pins}, folder)
    return Inside(
        paths={pin.name: f"/{_PLAIN if pin.name in written else _SOURCES}/{pin.digest.hex}" for pin in pins},
        # Those alone: a package script has no business with what else was fetched, which need not be public.
        binds=(
            *((str(store.source(pin.digest)), f"{_SOURCES}/{pin.digest.hex}", True) for pin in pins),
            *([(str(folder), _PLAIN, True)] if written else []),
        ),
    )
