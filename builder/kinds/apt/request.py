"""What a manifest may ask of apt: `name`, `name==version`, either with `:arch` after the name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from builder.errors import StackbuildError, raise_all
from builder.kinds.apt.relation import Atom

_REQUEST = re.compile(r"([a-z0-9][a-z0-9+.-]+)(?::([a-z0-9]+))?(?:==([A-Za-z0-9.+:~-]+))?")


def parse(items: Iterable[str], architecture: str = "") -> tuple[Atom, ...]:
    """The requests as atoms without qualifier, sorted by name.

    Args:
        architecture: the target's; a request qualified by another one is refused. Empty: not compared.

    Raises:
        Problems: an item is malformed, or a name is asked for twice with different versions.
    """
    problems: list[StackbuildError] = []
    found: dict[str, Atom] = {}
    for item in sorted(set(items)):
        parts = _REQUEST.fullmatch(item)
        if parts is None:
            problems.append(
                StackbuildError(
                    f"not an apt request: {item}",
                    expected="name or name==version (Debian Policy 5.6.1, 5.6.12)",
                    next_step="correct it in stacks.toml",
                )
            )
            continue
        name, qualifier, version = parts.groups()
        if architecture and qualifier not in (None, architecture, "all", "native"):
            problems.append(
                StackbuildError(
                    f"foreign architecture: {item}",
                    expected=f"{name} for {architecture}",
                    got=f"{qualifier}; an image holds packages of one architecture only",
                    next_step=f"ask for {name} in stacks.toml",
                )
            )
            continue
        atom = Atom(name=name, operator="=" if version else "", version=version or "")
        other = found.get(name)
        if other is not None and other.version and atom.version and other.version != atom.version:
            problems.append(
                StackbuildError(
                    f"{name} is asked for twice",
                    got=f"{other.version} and {atom.version}",
                    next_step="keep one of them in stacks.toml",
                )
            )
            continue
        found[name] = atom if other is None or atom.version else other
    raise_all(problems)
    return tuple(found[name] for name in sorted(found))
