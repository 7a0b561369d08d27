"""docs/differences.md shows exactly the lists that the comparisons use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.trees import Documented

PAGE = Path(__file__).parents[2] / "docs/differences.md"


def _table(name: str) -> str:
    """The rows of a list, as Markdown."""
    head = "| path | how it differs | why |\n|---|---|---|\n"
    found = []
    for pattern, reason in Documented(Path(__file__).with_name(f"differences-{name}.txt")).rows.items():
        path, _, how = pattern.partition(": ")
        found.append(f"| `{path}` | {how.replace('*', '…')} | {reason} |\n")
    return head + "".join(found)


@pytest.mark.parametrize("name", ["apt", "pip"])
def test_the_page_is_up_to_date(request: pytest.FixtureRequest, name: str) -> None:
    """`pytest --update-golden` writes it."""
    begin, end = f"<!-- {name}: tests/e2e/differences-{name}.txt -->\n\n", f"\n<!-- end of {name} -->"
    text = PAGE.read_text()
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    wanted = head + begin + _table(name) + end + tail
    if request.config.getoption("--update-golden"):
        PAGE.write_text(wanted)
    assert PAGE.read_text() == wanted, "run pytest --update-golden tests/e2e/test_differences.py"
