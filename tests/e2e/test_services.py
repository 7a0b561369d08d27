"""Services of root's beside services of the user: an image with both, in real containers of both runtimes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.project import Site

CLOCK = "#!/command/with-contenv sh\nexec sleep infinity\n"
WEB = '#!/command/with-contenv sh\n[ "$(id -u)" -ne 0 ] || exec s6-setuidgid "$NB_USER" "$0"\nexec sleep infinity\n'
UP = "every service comes up and stays up"
WHOSE = "services are root's as the image declares, all others the user's"
END = "TERM ends all of them"


@pytest.fixture(scope="module")
def both(catalogue: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A child of base with a service of root's and one of the user's."""
    site = catalogue.copy(tmp_path_factory.mktemp("both") / "project")
    with (site.folder / "stacks.toml").open("a") as manifest:
        manifest.write('\n[images.both]\nfrom = "base"\noverlays = ["both"]\ncheck = ["services"]\n')
    for name, text in (("clock/run", CLOCK), ("clock/as-root", ""), ("web/run", WEB)):
        path = site.folder / "overlays/both/etc/services.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text else 0o644)
    site.run("build", "both", "--no-start")
    return site


def points(site: Site, *arguments: str, daemon: str = "") -> dict[tuple[str, str], str]:
    """(runtime, point) → problem."""
    env = {"DOCKER_HOST": daemon} if daemon else {}
    said = site.try_("check", "both", "--contract", "services", "--json", *arguments, env=env)
    assert said.out, said.err
    return {(row["runtime"], row["name"]): row["problem"] for row in json.loads(said.out)}


def test_both_runtimes_keep_it(both: Site, daemon: str) -> None:
    found = points(both, "--runtime", "native", "--runtime", "docker", daemon=daemon)
    assert found == {(runtime, name): "" for runtime in ("native", "docker") for name in (UP, WHOSE, END)}


@pytest.mark.parametrize(
    ("path", "text", "point", "problem"),
    [
        ("web/run", CLOCK, WHOSE, "web: sleep is 0:0, not 1000:0"),
        ("clock/run", WEB, WHOSE, "clock: sleep is 1000:0, not 0:0"),
    ],
    ids=["the user's is root's", "root's is the user's"],
)
def test_what_is_broken(both: Site, tmp_path: Path, path: str, text: str, point: str, problem: str) -> None:
    site = both.copy(tmp_path / "project")
    (site.folder / "overlays/both/etc/services.d" / path).write_text(text)
    site.run("build", "both", "--no-start")
    assert problem in points(site)["native", point]
