"""What contracts came to, as JUnit XML: a suite for each target, contract and runtime, a case for each point.

Source: the schema that Jenkins' xunit plugin publishes (junit-10.xsd), which GitLab and others read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from builder.checks import Checked, Outcome

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write (its production `Char`); containers' output may hold it."""


def render(found: Sequence[Checked]) -> str:
    """The document. A target that is not built is a skipped case of a suite of its own."""
    whole = ElementTree.Element("testsuites", name="stackbuild check")
    for one in found:
        if not one.built:
            name = f"{one.target} on {one.runtime}"
            suite = _suite(whole, name, 1, skipped=1)
            case = ElementTree.SubElement(suite, "testcase", classname=name, name="is built")
            ElementTree.SubElement(case, "skipped", message="not built")
        for contract in dict.fromkeys(name for name, _ in one.outcomes):
            points = [outcome for name, outcome in one.outcomes if name == contract]
            name = f"{one.target} {contract} on {one.runtime}"
            suite = _suite(whole, name, len(points), failures=sum(bool(point.problem) for point in points))
            for point in points:
                _case(suite, name, point)
    ElementTree.indent(whole)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(whole, encoding="unicode") + "\n"


def _suite(
    whole: ElementTree.Element, name: str, tests: int, *, failures: int = 0, skipped: int = 0
) -> ElementTree.Element:
    numbers = {"tests": tests, "failures": failures, "errors": 0, "skipped": skipped}
    attributes = {"name": name, **{key: str(value) for key, value in numbers.items()}}
    return ElementTree.SubElement(whole, "testsuite", attributes)


def _case(suite: ElementTree.Element, name: str, point: Outcome) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=name, name=_text(point.name), time=f"{point.seconds:.3f}"
    )
    if point.problem:
        text = _text(point.problem)
        first = next(iter(text.splitlines()), "")
        ElementTree.SubElement(case, "failure", message=first).text = text


def _text(text: str) -> str:
    """The text with what XML cannot hold as escapes."""
    return _NOT_XML.sub(lambda one: one[0].encode("unicode_escape").decode(), text)
