"""Why would something be rebuilt, and from what? The difference of two plan documents, in words."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.action import Action
from builder.digest import Digest, canonical
from builder.manifest.model import Target
from builder.plan import Plan
from builder.planner import packages
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
        Reason(action=action.name, because=tuple(dict.fromkeys(_because(project, action, stale))))
        for action in whole.order()
        if action.plan_key in stale
    )


def record(project: Project, planned: Mapping[Target, Planned]) -> None:
    """Remember under each action's name which plan key it had last, so that a later `explain` can compare."""
    ends = [one.image for one in planned.values() if one.image is not None]
    for action in dict.fromkeys(action for end in ends for action in end.walk()):
        if project.store.has_action(action.plan_key):
            path = _note(project, action.name)
            if not path.exists() or path.read_text() != action.plan_key:
                project.store.write(f"names/{path.name}", action.plan_key.encode())


def _because(project: Project, action: Action, stale: frozenset[Digest]) -> Iterator[str]:
    before = _last(project, action)
    if before is None:
        known = project.store.has_action(action.plan_key)
        yield "a blob of its result is gone from the store" if known else "it was never built in this store"
        return
    if before == json.loads(canonical(action.document)):
        yield "a blob of its result is gone from the store"
        return
    yield from changes(before, action, stale)


def changes(former: Mapping[str, Any], action: Action, stale: Collection[Digest]) -> Iterator[str]:
    """How an action differs from what it was, a line for each input or option.

    Args:
        former: the plan document that it had.
        stale: plan keys of what is performed anew.
    """
    now = json.loads(canonical(action.document))
    kind, option = action.kind.partition(".")[0], packages(action)
    listed = {option: kind} if option else {}
    moved = list(_options(former.get("options"), now["options"], "", listed))
    yield from moved
    for field in ("kind_version", "platform", "schema"):
        if former.get(field) != now[field]:
            yield f"{field.replace('_', ' ')}: {former.get(field)} → {now[field]}"
    before, after = former["inputs"], now["inputs"]
    told = {line.split(" ")[1] for line in moved if line.startswith(f"{kind} ")}
    for role in sorted(before.keys() | after.keys()):
        if before.get(role) == after.get(role) or role.rpartition(":")[2] in told:
            continue
        if role in action.needs:
            state = "is rebuilt" if action.needs[role].plan_key in stale else "has changed"
            yield f"{action.needs[role].name} {state}"
        elif role not in after:
            yield f"no longer reads {role}"
        elif role not in before:
            yield f"reads {role} too"
        else:
            yield f"{role} has another file under the same version"


def _options(before: Any, now: Any, path: str, listed: Mapping[str, str]) -> Iterator[str]:
    """Lines for what differs; packages are compared by name.

    Args:
        listed: path of the option that says which packages there are → their kind.
    """
    if before == now or path in {"parts", "packages"}:  # They follow from which packages there are.
        return
    if path in listed:
        yield from _moved(listed[path], _versions(before), _versions(now))
    elif path == "config.Env" and before:
        old, new = (dict(one.split("=", 1) for one in rows) for rows in (before, now))
        yield from _options(old, new, "env", listed)
    elif isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted(before.keys() | now.keys()):
            yield from _options(before.get(name), now.get(name), f"{path}.{name}" if path else name, listed)
    elif path.startswith("files."):
        yield f"overlay file {path.removeprefix('files.')} " + _state(before, now)
    else:
        yield f"{path}: {_short(before)} → {_short(now)}"


def _versions(option: Any) -> dict[str, str]:
    """Name → version, of a table or of rows."""
    return dict(option) if isinstance(option, Mapping) else {row[0]: row[-1] for row in option or ()}


def _moved(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{kind} {name} {old.get(name, '(new)')} → {new.get(name, '(gone)')}"


def _state(before: Any, now: Any) -> str:
    return "is new" if before is None else "is gone" if now is None else "has changed"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _note(project: Project, name: str) -> Path:
    """Where the plan key lies that an action of this name, in a project of this name, had last."""
    whole = f"{project.manifest.project.name}\0{name}"
    return project.store.path / "names" / Digest.of(whole.encode()).hex


def last(project: Project, name: str) -> Digest | None:
    """The plan key that an action of this name had when it was last built; None if it never was."""
    try:
        return Digest(_note(project, name).read_text())
    except FileNotFoundError:
        return None


def _last(project: Project, action: Action) -> dict[str, Any] | None:
    """The plan document that an action of this name had when it was last built."""
    key = last(project, action.name)
    found = project.store.action(key) if key is not None else None
    if found is None:
        return None
    document: dict[str, Any] = found["document"]
    return document
