"""A notebook server that `stackbuild run` started, as its user would, below a prefix as the platform would."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.project import Site
from tests.e2e.services import until

PREFIX = "/notebook/team/example"


@dataclass(frozen=True)
class Notebook:
    """A running server.

    Attributes:
        url: with the prefix, without a slash at the end.
        home: the volume at the user's home.
        log: what the container said.
    """

    url: str
    home: Path
    log: Path

    @property
    def origin(self) -> str:
        return self.url.removesuffix(PREFIX)


def _heard() -> None:
    """Let ^C count, which a shell has its background jobs ignore, tests among them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def notebook(
    site: Site, image: str, folder: Path, *, ready: str, env: Mapping[str, str] | None = None
) -> Iterator[Notebook]:
    """Start an image of a project on a fresh volume and any free port; `ready` is what its server says at last."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    given = [f"-e{name}={value}" for name, value in {"NB_PREFIX": PREFIX, **(env or {})}.items()]
    argv = site.argv("run", image, "--port", "0", "--home", str(folder / "home"), *given)
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            env=site.environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_heard,
        )
    try:
        until(log, ready, process)
        said = until(log, "(^C stops it)", process)
        url = next(line.split()[0] for line in said.splitlines() if "(^C stops it)" in line)
        yield Notebook(url, folder / "home", log)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
