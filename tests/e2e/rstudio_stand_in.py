"""A stand-in for rstudio-server's deb, since the real one's place is not reached everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.platforms import NATIVE
from tests import fake_deb, loopback
from tests.e2e.project import Site

_PROGRAMS = Path(__file__).parent / "rstudio"
_URL = re.compile(r'^url = "https://[^"]*/(rstudio-server-\{version\}-\{arch\}\.deb)"$', re.MULTILINE)


def deb() -> bytes:
    """The package: the paths of the real one's server and session, and a file that the image has no use for."""
    files = {f"usr/lib/rstudio-server/bin/{one.name}": one.read_bytes() for one in sorted(_PROGRAMS.iterdir())}
    files["usr/share/doc/rstudio-server/copyright"] = b"A stand-in.\n"
    return fake_deb.forge([(fake_deb.member(f"./{path}", data=data), data) for path, data in files.items()])


@contextmanager
def served(site: Site, folder: Path) -> Iterator[None]:
    """Let a copy of the project fetch the stand-in from a server on the loopback interface, for as long as it runs."""
    path = site.folder / "stacks.toml"
    text = path.read_text()
    version = re.search(r'name = "rstudio-server"\nversion = "([^"]+)"', text)
    assert version is not None
    with loopback.serve(folder) as service:
        service.write(f"rstudio-server-{version[1]}-{NATIVE.partition('/')[2]}.deb", deb())
        replaced, count = _URL.subn(lambda found: f'url = "{service.url}/{found[1]}"', text)
        assert count > 0, "no URL of rstudio-server's deb"
        path.write_text(replaced)
        yield
