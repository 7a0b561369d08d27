"""The files that `init` copies into a user's project, and those that `bundle` puts beside one.

`overlays` beside this file is a link to the repository's own, the only copy in git; a wheel holds the files
themselves, exec bits included, so that a checkout and an installed stackbuild find them alike.
"""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The folder with `overlays/<name>/…` and `bundle/`; read-only."""
    return Path(__file__).parent
