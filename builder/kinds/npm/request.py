"""What a manifest may ask of npm: `name`, `name==1.2.3`, `@scope/name>=1,<2`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from builder.errors import StackbuildError, raise_all
from builder.kinds.npm.semver import satisfies

_REQUEST = re.compile(r"((?:@[^/@<>=, ]+/)?[^/@<>=, ]+?) ?((?:==|<=|>=|<|>).*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One package and the versions of it that will do.

    Attributes:
        text: normalised, as the lock records it: `@scope/name>=1,<2`.
        spec: the versions as npm's package.json writes them: `>=1 <2`, `1.2.3`, `*`.
    """

    name: str
    text: str
    spec: str

    def accepts(self, version: str) -> bool:
        return satisfies(version, self.spec)


def parse(items: Iterable[str]) -> tuple[Request, ...]:
    """The requests, sorted by text.

    Raises:
        Problems: an item is malformed, or a name is asked for twice.
    """
    found: dict[str, Request] = {}
    problems: list[StackbuildError] = []
    for item in sorted(set(items)):
        parts = _REQUEST.fullmatch(item)
        if parts is None:
            problems.append(StackbuildError(f"not an npm request: {item}", expected="name, or name==version"))
            continue
        clauses = [clause.replace(" ", "") for clause in (parts[2] or "").split(",") if clause.strip()]
        spec = " ".join(clause.removeprefix("==") for clause in clauses) or "*"
        one = Request(name=parts[1], text=parts[1] + ",".join(clauses), spec=spec)
        if one.name in found and found[one.name] != one:
            problems.append(
                StackbuildError(
                    f"{one.name} is asked for twice",
                    got=f"{found[one.name].text} and {one.text}",
                    next_step="keep one of them in stacks.toml",
                )
            )
        found[one.name] = one
    raise_all(problems)
    return tuple(sorted(found.values(), key=lambda one: one.text))
