"""The bill of materials of a built target, in a format that other tools read."""

from __future__ import annotations

from collections.abc import Mapping

from builder.exports import renderer
from builder.manifest.model import Target
from builder.site import Planned
from builder.workflow.bill import bill
from builder.workflow.project import Project


def sbom(project: Project, planned: Mapping[Target, Planned], target: Target, form: str) -> str:
    """The text; equal images, manifests and versions of stackbuild give equal bytes.

    Args:
        form: `cyclonedx` or `spdx`.

    Raises:
        StackbuildError: there is no such format; the target is not built.
        HostileInput: a layer is damaged.
    """
    render = renderer("sbom", form)
    return render(bill(project, planned, target))
