"""The bill of materials of a built target: what its locks pin, and what the image itself says about that."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType

from builder.bill import Bill, Component, Files, Subject
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds import kinds, submodule
from builder.manifest.model import Target
from builder.site import Planned
from builder.store import Store
from builder.workflow import build, image_files
from builder.workflow.project import Project

_SYSTEM = re.compile(r"(usr/lib|etc)/os-release")
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


def bill(project: Project, planned: Mapping[Target, Planned], target: Target) -> Bill:
    """What is in the image of a target, its ancestors' packages included.

    Raises:
        StackbuildError: it is not built.
        HostileInput: a layer is damaged.
    """
    result = build.result(project, planned, target)
    modules = tuple(_modules())
    wanted = (_SYSTEM, *(module.WANTED for module in modules if hasattr(module, "WANTED")))
    files, absent = image_files.read(project.store, result["layers"], wanted)
    subject = Subject(manifest=project.manifest, locks=project.locks, target=target, files=files, system=_system(files))
    components = _sorted([one for module in modules for one in module.components(subject)])
    notes = [note for module in modules if hasattr(module, "unlisted") for note in module.unlisted(subject)]
    if absent:
        notes.append(f"Licences in {len(absent)} layers of {subject.base or 'the image'} are not known here.")
    return Bill(
        target=target,
        name=project.manifest.title(target),
        version=project.manifest.project.version,
        description=project.manifest.images[target.image].description,
        digest=Digest(result["manifest"]["digest"]),
        created=_created(project, result["config"]),
        system=subject.system,
        components=components,
        direct=_direct(components),
        notes=tuple(notes),
    )


def _modules() -> Iterator[ModuleType]:
    """`component.py` of each kind that has one, in the order in which an image applies them."""
    for kind in kinds():
        if (module := submodule(kind, "component")) is not None:
            yield module


def _sorted(components: list[Component]) -> tuple[Component, ...]:
    """By ref; what a component needs is what is there.

    Raises:
        StackbuildError: two have one ref.
    """
    known = {one.ref: one for one in components}
    if len(known) != len(components):
        twice = sorted({one.ref for one in components if known[one.ref] is not one})
        raise StackbuildError(f"two components of one name: {', '.join(twice[:5])}")
    return tuple(
        replace(known[ref], needs=tuple(need for need in known[ref].needs if need in known and need != ref))
        for ref in sorted(known)
    )


def _direct(components: tuple[Component, ...]) -> tuple[str, ...]:
    needed = {need for one in components for need in one.needs}
    return tuple(one.ref for one in components if one.asked or one.ref not in needed)


def _system(files: Files) -> dict[str, str]:
    """os-release(5), values unquoted; the first of its two places that is there. A line that cannot be read is none."""
    text = files.text("etc/os-release") or files.text("usr/lib/os-release") or ""
    found = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            try:
                found[match[1]] = "".join(shlex.split(match[2]))
            except ValueError:
                continue
    return found


def _created(project: Project, config: str) -> str:
    """The manifest's `exclude-newer`, which bounds what can be in the image; else what the image's config says."""
    if (newest := project.manifest.project.exclude_newer) is not None:
        return newest.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(_config(project.store, Digest(config)).get("created", "1970-01-01T00:00:00Z"))


def _config(store: Store, digest: Digest) -> Mapping[str, object]:
    found: Mapping[str, object] = json.loads(store.checked(store.blob(digest)).read_bytes())
    return found
