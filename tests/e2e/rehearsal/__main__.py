"""Rehearse in an empty folder, which is kept, and print the report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.e2e.rehearsal.report import report
from tests.e2e.rehearsal.year import year

folder = Path(sys.argv[1]).resolve()
cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackbuild-tests" / "e2e"
text = report(year(folder, cache, lambda line: print(line, file=sys.stderr, flush=True)))
(folder / "report.md").write_text(text, "utf-8")
print(text, end="")
