"""The contract of kernel images: kept by a small one as by the catalogue's, broken by each fault in its own point."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from builder.platforms import NATIVE
from tests.e2e.conftest import build, keep, need_network
from tests.e2e.project import ROOT, Site, share_sources
from tests.tools import need_root

pytestmark = pytest.mark.catalogue
RUNS = "starts, tells the gateway once where it is, and runs a cell"
INTERRUPT = "is interrupted by signum 2, and goes on"
ENDS = "stops to listen on shutdown, and ends"
NAMES = "knows Enterprise Gateway's names, and its language in any case"
REFUSES = "ends with 1 without a language, and without an id"
PORTS = "keeps to its range of ports, and refuses one narrower than 1000"
IDENTITY = "runs as user 1000 of group 100"
SPARK = "runs a Spark job in local mode"
ALL = [RUNS, INTERRUPT, ENDS, NAMES, REFUSES, PORTS, IDENTITY]

MANIFEST = f"""
[project]
name = "kernels"
platforms = ["{NATIVE}"]
exclude-newer = 2026-11-01T00:00:00Z

[archives.bookworm]
suites = ["bookworm"]

[layouts.kernel]
user = "jovyan"
uid = 1000
gid = 100
home = "/home/jovyan"

[images.mini]
from = "archive:bookworm"
layout = "kernel"
apt = ["bash", "libstdc++6", "python3"]
python = {{ from = "apt", prefix = "/opt/venv" }}
pip = ["gateway-provisioners==0.5.0", "ipykernel==6.31.0", "jupyter-client==8.10.0"]
run = [{{ name = "kernel-launchers", script = "overlays/kernel-launchers/install" }}]
cmd = ["/usr/local/bin/bootstrap-kernel.sh"]
workdir = "/home/jovyan"
check = ["kernel"]
env = {{ KERNEL_LANGUAGE = "python" }}
"""
LISTENER = "python/scripts/server_listener.py"
LAUNCHER = "python/scripts/launch_ipykernel.py"
FAULTS = {
    # name: (point, what is done to the launchers or the environment, a part of what is said)
    "version": (RUNS, f"sed -i 's/^LAUNCHER_VERSION = 1/LAUNCHER_VERSION = 2/' {LISTENER}", "version 2"),
    "clear": (RUNS, f"sed -i 's/s.send(payload)/s.send(json_content)/' {LISTENER}", "cannot be read"),
    "twice": (
        RUNS,
        "sed -i 's/^            s.send(payload)/&; socket.create_connection((response_ip, response_port))/' "
        + LISTENER,
        "twice",
    ),
    "stranger": (RUNS, "KERNEL_ID=another", "kernel_id in the message"),
    "silent": (RUNS, "KERNEL_LANGUAGE=r", "no message to the gateway"),
    "names": (NAMES, "unset EG_RESPONSE_ADDRESS", "no message to the gateway"),
    "case": (NAMES, '[ "$KERNEL_LANGUAGE" = python ] || exit 1', "no message to the gateway"),
    "narrow": (PORTS, f"sed -i 's/port_range_size < min_port_range_size/False/' {LAUNCHER}", "40000..40999"),
    "astray": (PORTS, "PORT_RANGE=0..0", "ports outside of 40000..41000"),
}
SLOW_FAULTS = {
    "careless": (REFUSES, "KERNEL_ID=${KERNEL_ID:-1}", "did not end"),
    "deaf": (INTERRUPT, f"sed -i 's/os.kill(self.parent_pid, signum)/pass/' {LISTENER}", "no answer to a cell"),
    "stubborn": (ENDS, f"sed -i 's/shutdown = bool.*/pass/' {LISTENER}", "listens still"),
}


def faulty(site: Site, faults: dict[str, tuple[str, str, str]]) -> None:
    """Images whose command does something to a copy of the launchers before it goes on as the small one's does."""
    for name, (_, fault, _) in faults.items():
        script = site.folder / f"overlays/{name}/usr/local/bin/{name}"
        script.parent.mkdir(parents=True)
        script.write_text(
            "#!/bin/bash\nset -a\ncp -r /usr/local/bin/kernel-launchers /tmp/copy\ncd /tmp/copy\n"
            f"{fault}\nKERNEL_LAUNCHERS_DIR=/tmp/copy\nexec /usr/local/bin/bootstrap-kernel.sh\n"
        )
        script.chmod(0o755)
        with (site.folder / "stacks.toml").open("a") as manifest:
            manifest.write(
                f'\n[images.{name}]\nfrom = "mini"\noverlays = ["{name}"]\ncmd = ["/usr/local/bin/{name}"]\n'
            )


def points(site: Site, image: str) -> dict[str, str]:
    """Point of the contract → what is wrong with it."""
    said = site.try_("check", image, "--contract", "kernel", "--json")
    rows = json.loads(said.out)
    assert said.code == any(row["problem"] for row in rows), said.err
    return {row["name"]: row["problem"] for row in rows}


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """A kernel image without any package that a kernel does not need, and one for each fault."""
    need_root()
    folder = tmp_path_factory.mktemp("kernels")
    site = Site(folder / "project", folder / "store")
    shutil.copytree(ROOT / "overlays/kernel-launchers", site.folder / "overlays/kernel-launchers")
    (site.folder / "stacks.toml").write_text(MANIFEST)
    faulty(site, FAULTS | SLOW_FAULTS)
    share_sources(downloads, site.store_path)
    said = site.try_("lock")
    if said.code:
        need_network(said.err)
        pytest.fail(said.err)
    keep(site, downloads, {path.name for path in (site.store_path / "sources/sha256").iterdir()})
    build(site, downloads, "mini")
    return site


def test_a_kernel_image_keeps_it(mini: Site) -> None:
    assert points(mini, "mini") == dict.fromkeys(ALL, "")


@pytest.mark.parametrize("fault", ["version", "astray"])
def test_a_fault_breaks_its_point(fault: str, mini: Site) -> None:
    breaks(mini, fault, FAULTS)


@pytest.mark.parametrize("fault", [*(FAULTS.keys() - {"version", "astray"}), *SLOW_FAULTS])
def test_every_other_fault_breaks_its_point(fault: str, mini: Site) -> None:
    breaks(mini, fault, FAULTS | SLOW_FAULTS)


def breaks(mini: Site, name: str, faults: dict[str, tuple[str, str, str]]) -> None:
    point, _, said = faults[name]
    mini.run("build", name, "--no-start")
    found = points(mini, name)
    assert said in found[point], found
    if point != RUNS:
        assert [other for other, problem in found.items() if problem] == [point]


@pytest.mark.parametrize("image", ["kernel-py", "kernel-tf-py", "kernel-r", "kernel-spark-py", "kernel-scala"])
def test_the_catalogue_keeps_it(image: str, tmp_path: Path, downloads: Path) -> None:
    """Gateway Provisioners' images have the same content; those that await a source are not built."""
    need_root()
    site = Site(ROOT, tmp_path / "store").copy(tmp_path / "project", store=tmp_path / "store")
    build(site, downloads, image)
    spark = [SPARK] if image in {"kernel-spark-py", "kernel-scala"} else []
    assert points(site, image) == dict.fromkeys([*ALL, *spark], "")


def test_a_layout_of_group_0_is_refused(mini: Site, tmp_path: Path) -> None:
    """Gateways start nothing as uid or gid 0, so an image that runs so by itself is none for them."""
    site = mini.clone(tmp_path / "clone")
    site.edit("gid = 100", "gid = 0")
    site.run("lock")
    site.run("build", "mini", "--no-start")
    found = points(site, "mini")
    assert [name for name, problem in found.items() if problem] == [IDENTITY]
    assert "{(1000, 0)}" in found[IDENTITY]
