"""The published notebook images as Kubeflow's form for new notebooks lists them, by digest.

The text is the part of `spawner_ui_config.yaml` that is about images, to be merged into the rest of that file. It has
three lists, for the three ways in which Kubeflow sends requests to a server: `image` for Jupyter, which heeds
`NB_PREFIX`, `imageGroupOne` for code-server, whose path is rewritten, `imageGroupTwo` for RStudio, which gets its path
in a header besides.

An image belongs to a list by what it or its nearest ancestor says: by the label that is called as Kubeflow's own
annotation, `notebooks.kubeflow.org/server-type`, else by the service that an overlay of it starts.

Source: Kubeflow, components/crud-web-apps/jupyter: `spawner_ui_config.yaml`, and `set_server_type` of its backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from builder.digest import Json
from builder.errors import StackbuildError
from builder.exports import Scope, Subject
from builder.exports.yaml_text import dumps
from builder.manifest.image import Image
from builder.manifest.model import Manifest, Target

SCOPE = Scope.FAMILY
DIGESTS = True
LABEL: Final = "notebooks.kubeflow.org/server-type"
_LISTS: Final = {"jupyter": "image", "group-one": "imageGroupOne", "group-two": "imageGroupTwo"}
"""The key of each type's list, in the order of Kubeflow's own file."""
_SERVICES: Final = {"jupyterlab": "jupyter", "code-server": "group-one", "rstudio": "group-two"}
"""The type of the server that a folder of this name below /etc/services.d starts."""


def export(subject: Subject) -> str:
    """The text (YAML); images in the manifest's order, the first of each list as the default.

    A list for which the family has nothing is left out.

    Raises:
        StackbuildError: none of the targets is such an image, none of them was pushed, or a label names no type.
    """
    types = {target: _type(subject.manifest, target) for target in subject.targets}
    servers = [target for target in subject.targets if types[target]]
    if not servers:
        raise StackbuildError(
            "none of these images is a notebook server for Kubeflow",
            expected=f"a service {', '.join(_SERVICES)} in /etc/services.d, laid by an overlay",
            next_step=f'or a label: labels."{LABEL}" = "jupyter"; the others are "group-one" and "group-two"',
        )
    references = subject.references(servers)
    lists: dict[str, Json] = {}
    for wanted, key in _LISTS.items():
        names = dict.fromkeys(references[one] for one in servers if types[one] == wanted and one in references)
        if names:
            lists[key] = {"value": next(iter(names)), "options": list(names)}
    return dumps({"spawnerFormDefaults": lists})


def _type(manifest: Manifest, target: Target) -> str:
    """The type of a target's server; "" where it is none of Kubeflow's."""
    for image in reversed(manifest.family(target)):
        found = image.labels.get(LABEL, "") or _started(manifest, image)
        if found and found not in _LISTS:
            raise StackbuildError(
                f"no type of server: {found!r}",
                where=f"images.{image.name}.labels",
                expected=f"one of {', '.join(_LISTS)}",
            )
        if found:
            return found
    return ""


def _started(manifest: Manifest, image: Image) -> str:
    """The type of the server that the overlays of this image start, the last of them first."""
    overlays = image.asks.get("overlays", ())
    assert isinstance(overlays, tuple), overlays
    for one in reversed(overlays):
        services = (
            manifest.folder / "overlays" / str(one["name"] if isinstance(one, Mapping) else one) / "etc/services.d"
        )
        for name, found in _SERVICES.items():
            if (services / name).is_dir():
                return found
    return ""
