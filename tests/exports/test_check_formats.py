"""What contracts came to, as a table and as JUnit XML, whatever a container wrote."""

from __future__ import annotations

from xml.etree import ElementTree

from builder.checks import Checked, Outcome
from builder.exports import renderer
from builder.manifest.model import Target

HOSTILE = "]]></failure><x a='\"&\x1b[31m\0\ud800\ufffe"
FOUND = (
    Checked(
        target=Target("base", "cpu", "linux/amd64"), runtime="native", outcomes=(("contents", Outcome(name="one")),)
    ),
    Checked(
        target=Target("lab", "cpu", "linux/amd64"),
        runtime="docker",
        outcomes=(
            ("kubeflow", Outcome(name="answers", seconds=1.25)),
            ("contents", Outcome(name="one", problem=f"first <line>\n{HOSTILE}")),
            ("contents", Outcome(name="two")),
        ),
    ),
    Checked(target=Target("lab", "cuda", "linux/amd64"), runtime="native", built=False),
)


def test_table() -> None:
    assert renderer("check", "table")(FOUND) == (
        "target                runtime  contents       kubeflow\n"
        "base:cpu@linux/amd64  native   kept           -\n"
        "lab:cpu@linux/amd64   docker   1 of 2 broken  kept\n"
        "lab:cuda@linux/amd64  native   not built      not built\n"
        "\n"
        "lab:cpu@linux/amd64: contents on docker: one\n"
        "    first <line>\n"
        "    ]]></failure><x a='\"&\\x1b[31m\\x00\\ud800\\ufffe\n"
    )


def test_table_of_nothing_built() -> None:
    assert renderer("check", "table")(FOUND[2:]) == (
        "target                runtime  contracts\nlab:cuda@linux/amd64  native   not built\n"
    )


def test_junit_is_well_formed() -> None:
    text = renderer("check", "junit")(FOUND)
    suites = ElementTree.fromstring(text.encode()).findall("testsuite")
    numbers = ("name", "tests", "failures", "errors", "skipped")
    assert [tuple(suite.get(key) for key in numbers) for suite in suites] == [
        ("base:cpu@linux/amd64 contents on native", "1", "0", "0", "0"),
        ("lab:cpu@linux/amd64 kubeflow on docker", "1", "0", "0", "0"),
        ("lab:cpu@linux/amd64 contents on docker", "2", "1", "0", "0"),
        ("lab:cuda@linux/amd64 on native", "1", "0", "0", "1"),
    ]
    assert suites[1][0].attrib == {
        "classname": "lab:cpu@linux/amd64 kubeflow on docker",
        "name": "answers",
        "time": "1.250",
    }
    (failure,) = suites[2][0]
    assert failure.get("message") == "first <line>"
    assert failure.text == "first <line>\n]]></failure><x a='\"&\\x1b[31m\\x00\\ud800\\ufffe"
    assert [child.tag for child in suites[3][0]] == ["skipped"]
