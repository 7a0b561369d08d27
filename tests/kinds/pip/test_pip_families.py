"""A child never moves its parent's pin: small random indexes and families, solved by the real uv from files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import StackbuildError
from builder.kinds.pip.check import problems
from builder.kinds.pip.lockfile import PipLock
from builder.kinds.pip.question import PipQuestion
from builder.kinds.pip.requirement import satisfies
from builder.kinds.pip.resolve import resolve
from builder.lock import Lock
from builder.net import Client
from builder.store import Store
from tests.kinds.pip.conftest import wheel_bytes
from tests.pip_family import conda_pin

NAMES = ("a", "b", "c", "d")
VERSIONS = ("1", "2", "3")
CLAUSES = ("", ">=2", "<3", "==1", "==2", "!=2")

requirement = st.builds("".join, st.tuples(st.sampled_from(NAMES), st.sampled_from(CLAUSES)))
requirements = st.lists(requirement, max_size=2, unique_by=lambda one: re.split("[<>=!]", one)[0])
Index = dict[str, dict[str, list[str]]]
"""Name → version → requirements."""

universe = st.fixed_dictionaries({
    name: st.dictionaries(st.sampled_from(VERSIONS), requirements, min_size=1) for name in NAMES
})  # fmt: skip
request = st.lists(requirement, min_size=1, max_size=3, unique_by=lambda one: re.split("[<>=!]", one)[0])

conda = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VERSIONS), max_size=1)


def publish(folder: Path, found: Index) -> str:
    """An index of files; its URL."""
    for name, versions in found.items():
        (folder / name).mkdir(parents=True)
        for version, requires in versions.items():
            (folder / name / f"{name}-{version}-py3-none-any.whl").write_bytes(wheel_bytes(name, version, requires))
        links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in sorted((folder / name).iterdir()))
        (folder / name / "index.html").write_text(f"<!DOCTYPE html><body>{links}")
    return folder.as_uri()


def solvable(index: Index, asked: list[str], fixed: Mapping[str, str]) -> bool:
    """Whether versions of the other names can be chosen so that the request is met; every choice is tried."""
    free = sorted(index.keys() - fixed.keys())
    for versions in product(*([None, *index[name]] for name in free)):
        chosen = {name: one for name, one in zip(free, versions, strict=True) if one is not None}
        needs = [*asked, *(one for name, version in chosen.items() for one in index[name][version])]
        have = {**chosen, **fixed}
        if all(one[0] in have and satisfies(have[one[0]], one) for one in needs):
            return True
    return False


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(index=universe, parent=request, child=request, conda=conda)
def test_a_child_never_moves_a_pin_of_its_parent(
    index: Index, parent: list[str], child: list[str], conda: dict[str, str]
) -> None:
    """Nor does pip one of conda, whose versions the index may not even have; and where it can be locked, it is."""
    with TemporaryDirectory() as folder:
        url = publish(Path(folder) / "index", index)
        store = Store.open(Path(folder) / "store")

        def lock(asked: list[str], *inherited: tuple[str, Lock]) -> PipLock | None:
            question = PipQuestion(
                request=tuple(asked), python="3.11.2", platform="linux/amd64", glibc="2.36", inherited=inherited
            )
            try:
                return resolve(question, Client(), store, environ={"PIP_INDEX_URL": url})[0]
            except StackbuildError:
                return None

        pins = tuple(conda_pin(name, version) for name, version in sorted(conda.items()))
        base = ("conda of base", Lock(request=(), pins=pins))
        above = lock(parent, base)
        assert (above is not None) == solvable(index, parent, conda)
        if above is None:
            return
        fixed = {pin.name: pin.version for pin in above.pins} | conda
        assert not {pin.name for pin in above.pins} & conda.keys()
        below = lock(child, base, ("parent", above))
        assert (below is not None) == solvable(index, child, fixed)
        if below is None:
            return
        assert not {pin.name for pin in below.pins} & fixed.keys()
        assert problems(below, [base, ("parent", above)], tuple(child), "x") == []
