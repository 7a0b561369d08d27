"""Versions and ranges, judged by node-semver itself."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.kinds.npm.semver import Version, is_range, satisfies
from tests.tools import absent

NUMBER = st.sampled_from(["0", "1", "2", "3", "10"])
PRE = st.sampled_from(["", "", "-alpha", "-0", "-alpha.1", "-rc.2", "-beta.x-1", "+build"])
FULL = st.builds(lambda a, b, c, pre: f"{a}.{b}.{c}{pre}", NUMBER, NUMBER, NUMBER, PRE)
PARTIAL = st.one_of(
    FULL, NUMBER, st.builds("{}.{}".format, NUMBER, NUMBER), st.builds("{}.{}.x".format, NUMBER, NUMBER),
    st.builds("{}.x".format, NUMBER), st.sampled_from(["*", "x", "1.x.x", "v1.2.3", "=1.2"]),
)  # fmt: skip
SIMPLE = st.builds(
    "{}{}".format, st.sampled_from(["", "^", "~", ">", "<", ">=", "<=", "=", "~>", "^ ", ">= "]), PARTIAL
)
RANGE = st.one_of(st.lists(SIMPLE, min_size=1, max_size=2).map(" ".join), st.builds("{} - {}".format, PARTIAL, PARTIAL))
SET = st.lists(RANGE, min_size=1, max_size=2).map(" || ".join)
JUDGE = """
const semver = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0));
const loose = { loose: true };
const judged = cases.map(([v, r]) => [semver.satisfies(v, r, loose), semver.validRange(r, loose) !== null]);
console.log(JSON.stringify(judged));
"""


@pytest.fixture(scope="module")
def library(npm_program: str) -> Path:
    root = Path(npm_program).resolve().parent.parent
    places = (root / "node_modules/semver", Path("/usr/share/nodejs/semver"))
    found = next((path for path in places if path.is_dir()), None)
    if found is None:
        absent("node-semver is not where npm is")
    return found


def test_ranges_hold_what_node_semver_says(library: Path) -> None:
    """One process for all examples: they are collected first. Two spellings differ knowingly: node-semver drops a
    `>=0.0.0`, prereleases of 0.0.0 included, and takes two signs in a row."""
    cases: list[tuple[str, str]] = []

    @given(FULL, SET)
    def collect(version: str, range_: str) -> None:
        cases.append((version, range_))

    for _ in range(20):
        collect()
    cases = [(version, range_) for version, range_ in cases if not version.startswith("0.0.0-")]
    cases += [
        ("1.2.3", text) for text in ("", "latest", "git+ssh://x", "~", "1.2.3.4", "^1.2 || foo", "=>1", " 1 - 2 ")
    ]
    done = subprocess.run(
        ["node", "-e", JUDGE, str(library)], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    judged = json.loads(done.stdout)
    ours = [[satisfies(*case), is_range(case[1])] for case in cases]
    assert [(case, a) for case, a, b in zip(cases, ours, judged, strict=True) if a != b and "= =" not in case[1]] == []


@pytest.mark.parametrize(
    ("version", "range_", "held"),
    [
        ("18.20.4", ">=18", True), ("18.20.4", "20", False), ("18.20.4", "^16 || >=18", True),
        ("20.0.0-rc.1", ">=18", False), ("0.2.3", "^0.2.1", True), ("0.3.0", "^0.2.1", False),
        ("1.9.9", "1 - 1.9", True), ("2.0.0-0", "<2", False), ("1.0.0", "latest", False), ("nonsense", "*", False),
    ],
)  # fmt: skip
def test_ranges(version: str, range_: str, held: bool) -> None:
    assert satisfies(version, range_) is held


def test_precedence() -> None:
    """The example of SemVer 2.0.0, 11."""
    order = ("-alpha", "-alpha.1", "-alpha.beta", "-beta", "-beta.2", "-beta.11", "-rc.1", "")
    versions = [one for end in order if (one := Version.parse(f"1.0.0{end}")) is not None]
    assert all(low < high for low, high in pairwise(versions))
    assert len(versions) == len(order)
