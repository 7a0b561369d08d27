"""An address for a container's own name, where a container of a check has a loopback and nothing more.

Programs that talk to others look for one when they are imported: Enterprise Gateway, Gateway Provisioners.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from builder.checks import Subject

ADDRESS: Final = "192.0.2.1"
"""Of RFC 5737, where nobody is."""
_HOSTS: Final = f"127.0.0.1 localhost\n{ADDRESS} notebook\n"
"""`builder.runtimes` calls every container `notebook`."""


@contextmanager
def named(subject: Subject) -> Iterator[Path]:
    """A file to be mounted at /etc/hosts, as a container of a network has it."""
    with subject.image.store.workspace() as folder:
        path = folder / "hosts"
        path.write_text(_HOSTS)
        path.chmod(0o644)
        yield path
