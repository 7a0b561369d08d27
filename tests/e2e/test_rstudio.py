"""RStudio's images on real R, with a stand-in for the server's deb, which is served by the test.

So what is proven is the image around the server: start scripts, configuration, users, environment, R itself. That the
real server takes all of it for the same, only a build where its deb is reached can show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.built import Image, User
from builder.checks._servers import PORT
from builder.platforms import NATIVE
from builder.runtimes import Container, Start, volume
from builder.runtimes.native import container
from tests.e2e.conftest import keep, need_network
from tests.e2e.project import ROOT, Site, share_sources
from tests.e2e.rstudio_stand_in import served
from tests.tools import need_root

pytestmark = pytest.mark.catalogue
IMAGES = ("rstudio", "rstudio-tidyverse")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """The project with RStudio's images, locked and built."""
    need_root()
    folder = tmp_path_factory.mktemp("rstudio")
    site = Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")
    share_sources(downloads, site.store_path)
    with served(site, folder / "served"):
        for command in (("lock", "--awaited"), ("build", "--no-start")):
            said = site.try_(*command, *(f"{image}@{NATIVE}" for image in IMAGES))
            if said.code:
                need_network(said.err)
                pytest.fail(said.err)
    keep(site, downloads, {path.name for path in (site.store_path / "sources/sha256").iterdir()})
    return site


@contextmanager
def running(site: Site, user: User | None = None, **env: str) -> Iterator[tuple[Container, Path]]:
    """A started server with an empty home."""
    image = Image(site.store, site.result("rstudio"))
    with volume(site.store, user or image.user()) as home:
        start = Start(user=user, env=env, volumes=((home, "/home/jovyan"),))
        with container(image, start) as found:
            found.wait_for(PORT, "/", 60, 302)
            yield found, home


def session(found: Container, code: str) -> list[str]:
    """What R says in a session of the server."""
    status, _, said = found.ask(PORT, "/stand-in/session", method="POST", body=code.encode())
    assert status == 200, said.decode()
    return said.decode().splitlines()


@pytest.mark.parametrize("image", IMAGES)
def test_it_keeps_its_contracts(site: Site, image: str) -> None:
    rows = json.loads(site.run("check", image, "--json").out)
    assert {row["contract"] for row in rows} == {"contents", "kubeflow"}
    assert [row for row in rows if row["problem"]] == []


def test_the_deb_is_laid_as_far_as_it_is_asked_for(site: Site) -> None:
    code, said = site.inside("rstudio", "cd /usr && ls -l lib/rstudio-server/bin; ls -d share/doc/rstudio-server")
    assert code != 0
    assert [line.split()[0] for line in said.splitlines() if line.endswith(("rserver", "rsession"))] == [
        "-rwxr-xr-x"
    ] * 2


def test_r_cells(site: Site) -> None:
    """R, png, reticulate and shiny are there, BLAS works; the tidyverse is 2.0.0."""
    script = "stopifnot(all(solve(diag(2)) == diag(2))); for (p in c('png', 'reticulate', 'shiny')) loadNamespace(p)"
    code, said = site.inside("rstudio", f"Rscript -e \"{script}; cat(reticulate::py_eval('6 * 7'))\"")
    assert (code, said.splitlines()[-1]) == (0, "42"), said
    script = "library(tidyverse); cat(format(packageVersion('tidyverse')), nrow(filter(mtcars, cyl == 4)))"
    code, said = site.inside("rstudio-tidyverse", f'Rscript -e "{script}"')
    assert (code, said.splitlines()[-1]) == (0, "2.0.0 11"), said


def test_a_session_has_the_environment_of_the_container(site: Site) -> None:
    """The server hands over next to nothing; what it does hand over is not replaced."""
    several = 'two words\nand "a $HOME line"'
    with running(site, KUBERNETES_PORT="tcp://10.0.0.1:443", NOTE=several, RS_SESSION="no") as (found, _):
        said = session(found, 'cat(Sys.getenv(c("KUBERNETES_PORT", "NOTE", "TZ", "USER", "RS_SESSION")), sep = "\\n")')
        assert "\n".join(said) == f"tcp://10.0.0.1:443\n{several}\nEtc/UTC\njovyan\n1"


def test_every_r_knows_where_the_cluster_is(site: Site) -> None:
    """Also one that was started without the environment; what R would expand is left out, and nothing else gets in."""
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_ODD": "$HOME 'x'", "SECRET": "secret"}
    with running(site, None, **env) as (found, _):
        text = (found.root / "run/Renviron.site").read_text()
        assert text == "KUBERNETES_SERVICE_HOST=10.0.0.1\n"
    r = "Rscript -e 'cat(Sys.getenv(\"KUBERNETES_SERVICE_HOST\"))'"
    code, said = site.inside(
        "rstudio", f"echo KUBERNETES_SERVICE_HOST=10.0.0.1 >/run/Renviron.site; env -i /usr/bin/{r}"
    )
    assert (code, said) == (0, "10.0.0.1")


def test_a_random_uid_has_a_name_and_writes_for_its_group(site: Site) -> None:
    """No file of the image is writable for it: not even /etc/passwd, with which it could become root."""
    with running(site, User(uid=54321, gid=0)) as (found, home):
        said = session(found, 'writeLines("x", "~/new.txt"); cat(Sys.info()[["user"]], file.access("/etc/passwd", 2))')
        assert said == ["u54321 -1"]
        assert (home / "new.txt").stat().st_mode & 0o777 == 0o664
        assert (home / "new.txt").stat().st_uid == 54321


def test_packages_of_users_go_to_their_home(site: Site) -> None:
    with running(site) as (found, home):
        said = session(found, 'cat(.libPaths()[[1]], getOption("repos"), sep = "\\n")')
        assert said[0].startswith("/home/jovyan/R/")
        assert (home / said[0].removeprefix("/home/jovyan/")).is_dir()
        assert said[1].startswith("https://")
