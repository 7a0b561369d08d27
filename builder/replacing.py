"""Files that somebody else reads: under their names they are whole, the old ones or the new ones.

Each is written beside its place under a name that nobody has, synced, and renamed (rename(2)); what already had the
name gives its mode. A link is replaced, never followed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream; what was written to it has the name once the block has ended without an error.

    Raises:
        OSError: it cannot be written; then what was there is there.
    """
    scratch = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        with scratch.open("xb") as stream:
            if path.exists():
                shutil.copymode(path, scratch)
            yield stream
            _sync(stream)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def replace(texts: Mapping[Path, str | None]) -> None:
    """Let these files hold these texts (UTF-8), or be gone for None; folders are made.

    All are written before the first one gets its name: a full disk leaves everything as it was.

    Raises:
        OSError: one cannot be written.
    """
    with ExitStack() as stack:
        for path, text in texts.items():
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                stream = stack.enter_context(replacing(path))
                stream.write(text.encode())
                _sync(stream)  # Else short texts are in no file yet when the first one gets its name.
    for path, text in texts.items():
        if text is None:
            path.unlink(missing_ok=True)


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
