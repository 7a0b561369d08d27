"""What makes a built image big."""

from __future__ import annotations

from builder.manifest.model import Target
from builder.weight import Weighed, weigh
from builder.workflow import build
from builder.workflow.contents import entries, layers
from builder.workflow.project import Project


def size(project: Project, target: Target) -> Weighed:
    """What the layers of a target hold.

    Raises:
        StackbuildError: it is not built, or the entry list of a layer is gone from the store.
    """
    planned = build.plan(project, [target])
    found = layers(project, planned, target)
    return weigh(str(target), found, [entries(project.store, layer) for layer in found])
