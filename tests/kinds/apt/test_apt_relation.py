from __future__ import annotations

import pytest

from builder.errors import HostileInput
from builder.kinds.apt import relation
from builder.kinds.apt.relation import Atom


def test_alternatives_versions_and_qualifiers() -> None:
    found = relation.clauses("libc6 (>= 2.34), python3:any (<< 3.12) | python3.11 , awk")
    assert found == (
        (Atom(name="libc6", operator=">=", version="2.34"),),
        (Atom(name="python3", arch="any", operator="<<", version="3.12"), Atom(name="python3.11")),
        (Atom(name="awk"),),
    )
    assert ", ".join(map(relation.show, found)) == "libc6 (>= 2.34), python3:any (<< 3.12) | python3.11, awk"


def test_obsolete_operators_mean_or_equal() -> None:
    assert relation.clauses("a (< 1), b (> 2)") == (
        (Atom(name="a", operator="<=", version="1"),),
        (Atom(name="b", operator=">=", version="2"),),
    )


def test_trailing_comma_and_nothing() -> None:
    assert relation.clauses("a,") == ((Atom(name="a"),),)
    assert relation.clauses("") == ()


@pytest.mark.parametrize("text", ["a (>= )", "a b", "a (~ 1)", "A-upper", "a | | b", "a (>= 1", "../x"])
def test_malformed(text: str) -> None:
    with pytest.raises(HostileInput, match="not a relation"):
        relation.clauses(text)


def test_unversioned_provides_meets_no_version() -> None:
    assert relation.admits(Atom(name="a"), "")
    assert not relation.admits(Atom(name="a", operator=">=", version="1"), "")
