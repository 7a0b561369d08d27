"""Files of an image, by way of links."""

from __future__ import annotations

import re

import pytest

from builder.bill import Files

DOC = "usr/share/doc"
FILES = Files(
    contents={f"{DOC}/libfoo1/copyright": b"foo", f"{DOC}/copied": b"\xff"},
    links={
        f"{DOC}/libfoo-dev": "libfoo1",
        f"{DOC}/foo/copyright": "../libfoo1/copyright",
        f"{DOC}/absolute": f"/{DOC}/libfoo1",
        f"{DOC}/out": "../../../../../../etc",
        f"{DOC}/loop": "pool",
        f"{DOC}/pool": "loop",
        f"{DOC}/dead": "nowhere",
    },
)


@pytest.mark.parametrize("package", ["libfoo1", "libfoo-dev", "foo", "absolute"])
def test_a_file_is_found_by_way_of_links(package: str) -> None:
    assert FILES.text(f"{DOC}/{package}/copyright") == "foo"


@pytest.mark.parametrize("package", ["out", "loop", "dead", "none"])
def test_a_link_that_leads_nowhere_is_no_file(package: str) -> None:
    assert FILES.text(f"{DOC}/{package}/copyright") is None


def test_files_by_their_whole_path() -> None:
    found = [(match[1], text) for match, text in FILES.matching(re.compile(rf"{DOC}/([^/]+)/copyright"))]
    assert found == [("libfoo1", "foo")]
    assert FILES.text(f"{DOC}/copied") == "\ufffd"
