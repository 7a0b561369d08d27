"""Which of the wanted targets this machine can run."""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import StackbuildError
from builder.manifest.model import Target
from builder.workflow.fresh import divide
from builder.workflow.project import Project, locked


def here(project: Project, wanted: Sequence[str]) -> tuple[list[Target], list[Target]]:
    """The wanted targets that can be built and run here, and those of other platforms that are left out.

    Raises:
        StackbuildError: a text means no target, or only such as cannot run here.
    """
    chosen, skipped = divide(locked(project, wanted), wanted)
    if not chosen:
        raise StackbuildError(
            f"none of these targets can run on this machine: {', '.join(map(str, skipped))}",
            expected="this machine's platform, or another one that is named and registered with binfmt_misc",
            next_step="apt-get install qemu-user-static binfmt-support, and name the platform: IMAGE@PLATFORM; in a "
            "container also: mount -t binfmt_misc none /proc/sys/fs/binfmt_misc",
        )
    return chosen, skipped
