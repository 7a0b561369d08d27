"""What is fetched for s6-overlay is what docs/init.md tells to write."""

from __future__ import annotations

import textwrap
from pathlib import Path

from .s6_overlay import TABLES, VERSION

RELEASES = "https://github.com/just-containers/s6-overlay/releases/download"


def test_docs_have_the_tables_that_are_tested() -> None:
    words = TABLES.format(version=VERSION, releases=RELEASES).strip()
    assert textwrap.indent(words, "    ") in (Path(__file__).parents[2] / "docs/init.md").read_text(encoding="utf-8")
