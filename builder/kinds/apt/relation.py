"""The text of relations between packages (Debian Policy 7.1): `a (>= 1) | b:any, c`.

A *clause* is what lies between two commas: alternatives, of which one is enough. Parsing is cached, because a
package list repeats the same few thousand clauses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from builder.errors import HostileInput
from builder.kinds.apt import version

_ATOM = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::(?P<arch>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<op><<|<=|=|>=|>>|<|>)\s*(?P<version>[A-Za-z0-9][^\s()]*)\s*\))?",
)
_OLD = {"<": "<=", ">": ">="}
"""`<` and `>` are the obsolete spellings of `<=` and `>=` (Debian Policy 7.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """One alternative: a name, perhaps with a qualifier (`any`, `amd64`) and a version it must have."""

    name: str
    arch: str = ""
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        qualified = f"{self.name}:{self.arch}" if self.arch else self.name
        return f"{qualified} ({self.operator} {self.version})" if self.operator else qualified


Clause: TypeAlias = tuple[Atom, ...]


@lru_cache(maxsize=1 << 16)
def clauses(text: str) -> tuple[Clause, ...]:
    """The clauses of one field, in its order.

    Raises:
        HostileInput: the text is no relation of binary packages.
    """
    return tuple(_clause(one) for one in text.split(",") if one.strip())


@lru_cache(maxsize=1 << 16)
def _clause(text: str) -> Clause:
    return tuple(_atom(one.strip()) for one in text.split("|"))


@lru_cache(maxsize=1 << 16)
def _atom(text: str) -> Atom:
    found = _ATOM.fullmatch(text)
    if found is None:
        raise HostileInput("not a relation of Debian packages", expected="name[:arch] [(>= version)]", got=text[:100])
    operator = found["op"] or ""
    return Atom(
        name=found["name"],
        arch=found["arch"] or "",
        operator=_OLD.get(operator, operator),
        version=found["version"] or "",
    )


def names(*relations: str) -> list[str]:
    """The names in fields of relations, of all alternatives, without versions and qualifiers; of what an archive or a
    lock of ours holds, as nothing is judged."""
    words = [word.strip() for text in relations for word in re.split(r"[,|]", text)]
    return [re.split(r"[\s:(\[<]", word, maxsplit=1)[0] for word in words if word]


def show(clause: Clause) -> str:
    """The clause as an archive writes it."""
    return " | ".join(map(str, clause))


def admits(atom: Atom, provided: str) -> bool:
    """Whether a package or a versioned Provides of version `provided` meets the atom's version.

    An unversioned Provides (`provided` is empty) meets only an unversioned atom (Debian Policy 7.5).
    """
    if not atom.operator:
        return True
    return bool(provided) and version.holds(provided, atom.operator, atom.version)
