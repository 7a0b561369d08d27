"""The waivers of targets: told whenever they matter, and refused after their last day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from builder.errors import StackbuildError, raise_all
from builder.kinds import kinds, submodule
from builder.manifest.model import Target
from builder.waiver import Waiver
from builder.workflow.project import Project


def standing(project: Project, targets: Sequence[Target], today: date) -> tuple[tuple[str, Waiver], ...]:
    """(image, waiver) of these targets and their ancestors, parents first, each once.

    Args:
        today: in UTC; the caller's, for nothing here looks at a clock.

    Raises:
        Problems: waivers that have ended.
    """
    found: dict[tuple[str, Waiver], None] = {}
    modules = [module for name in kinds() if (module := submodule(name, "waivers")) is not None]
    for target in dict.fromkeys(one for asked in targets for one in project.manifest.lineage(asked)):
        for module in modules:
            found |= dict.fromkeys((target.image, one) for one in module.declared(project.manifest, target))
    raise_all([_ended(image, one) for image, one in found if one.until is not None and one.until < today])
    return tuple(found)


def _ended(image: str, waiver: Waiver) -> StackbuildError:
    return StackbuildError(
        f"a waiver has ended: {waiver.what} in {image}",
        where=waiver.where,
        expected=f"nothing of it after {waiver.until}",
        got=f"its reason was: {waiver.reason}",
        next_step=f"remove it, or give it a new last day; then: stackbuild lock {image}",
    )
