"""Why would something be rebuilt, and from what? The difference of two plan documents, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builder.action import Action
from builder.digest import Digest
from builder.manifest.model import Target
from builder.plan import Plan
from builder.site import Planned
from builder.workflow.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one action is stale. `because` has a line for each input or option that differs from the last build."""

    action: str
    because: tuple[str, ...]


def explain(project: Project, planned: Mapping[Target, Planned], target: Target) -> tuple[Reason, ...]:
    """The stale actions of a target with their reasons, inputs first; empty if nothing is stale."""
    end = planned[target].image
    assert end is not None
    whole = Plan.of([end])
    stale = whole.stale(project.store, [end])
    return tuple(
        Reason(action=action.name, because=tuple(_because(project, action, stale)))
        for action in whole.order()
        if action.plan_key in stale
    )


def record(project: Project, planned: Mapping[Target, Planned]) -> None:
    """Remember under each action's name which plan key it had last, so that a later `explain` can compare."""
    for one in planned.values():
        for action in (*one.actions, one.image):
            if action is not None and project.store.has_action(action.plan_key):
                name = Digest.of(action.name.encode()).hex
                path = project.store.path / "names" / name
                if not path.exists() or path.read_text() != action.plan_key:
                    project.store.write(f"names/{name}", action.plan_key.encode())


def _because(project: Project, action: Action, stale: frozenset[Digest]) -> Iterator[str]:
    last = _last(project, action)
    if last is None:
        if project.store.has_action(action.plan_key):
            yield "a blob of its result is gone from the store"
        else:
            yield "it was never built in this store"
        return
    labels = {pin_role: f"{pin.name} {pin.version}" for pin_role, pin in action.sources.items()}
    yield from _options(last.get("options"), action.document["options"], "")
    for field in ("kind_version", "platform", "schema"):
        if last.get(field) != action.document[field]:
            yield f"{field.replace('_', ' ')}: {last.get(field)} → {action.document[field]}"
    before, now = last["inputs"], action.document["inputs"]
    assert isinstance(now, Mapping)
    for role in sorted(before.keys() | now.keys()):
        if before.get(role) == now.get(role):
            continue
        if role in action.needs:
            state = "is rebuilt" if action.needs[role].plan_key in stale else "has changed"
            yield f"{action.needs[role].name} {state}"
        elif role not in now:
            yield f"no longer reads {role}"
        elif role not in before:
            yield f"reads {labels.get(role, role)} too"
        else:
            yield f"{labels.get(role, role)} has another file"
    if last == action.document:
        yield "a blob of its result is gone from the store"


def _options(before: Any, now: Any, path: str) -> Iterator[str]:
    """Lines for what differs; lists of `[name, …, version]` are compared by name."""
    if before == now:
        return
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted(before.keys() | now.keys()):
            yield from _options(before.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif path == "wheels":
        old, new = ({row[0]: row[-1] for row in rows or ()} for rows in (before, now))
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield f"pip {name} {old.get(name, '(new)')} → {new.get(name, '(gone)')}"
    elif path == "parts":
        old_names = {name for _, names in before or () for name in names}
        new_names = {name for _, names in now or () for name in names}
        yield from (f"apt {name} is new" for name in sorted(new_names - old_names))
        yield from (f"apt {name} is gone" for name in sorted(old_names - new_names))
    elif path.startswith("files."):
        yield f"overlay file {path.removeprefix('files.')} " + _state(before, now)
    else:
        yield f"{path}: {_short(before)} → {_short(now)}"


def _state(before: Any, now: Any) -> str:
    return "is new" if before is None else "is gone" if now is None else "has changed"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _last(project: Project, action: Action) -> dict[str, Any] | None:
    """The plan document that an action of this name had when it was last built."""
    path = project.store.path / "names" / Digest.of(action.name.encode()).hex
    try:
        found = project.store.action(Digest(path.read_text()))
    except FileNotFoundError:
        return None
    if found is None:
        return None
    document: dict[str, Any] = found["document"]
    return document
