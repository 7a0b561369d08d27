"""The gateway images with real peers: kernels of the kernel images, in containers of a real Docker, named by digest.

    this machine's network: the test, the registry, dockerd ◀── docker.sock ── enterprise-gateway or gp-lab
           │ bridge, of whose address on this side is all that the gateway listens on               ▲
           └── containers of kernel-py and kernel-r, which dockerd starts, and which report there ──┘

The gateway's container shares this machine's network. On the bridge it would not be reached where the firewall drops
what is forwarded, as it does wherever another Docker has been started (FORWARD's policy, and bridge-nf-call-iptables).

All is pushed to a registry and pulled by the digests in the kernelspecs: an image that was only loaded has none.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import services
from tests.e2e.conftest import build
from tests.e2e.gateway_client import Server
from tests.e2e.project import ROOT, Site
from tests.e2e.services import docker
from tests.tools import need_root

pytestmark = pytest.mark.catalogue
IMAGES = ("kernel-py", "kernel-r", "enterprise-gateway", "gp-lab")
TOKEN = "of-the-test"
BUSY = {
    "python": "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.1)",
    "R": "cat('begun\\n'); flush(stdout()); repeat Sys.sleep(0.1)",
}


@dataclass(frozen=True)
class Docker:
    """A daemon that has the images, by their names in its registry; `address` is this machine's on its bridge."""

    host: str
    address: str
    images: dict[str, str]

    def kernels(self) -> list[str]:
        """The containers of kernels that are there, in whatever state."""
        return docker(self.host, "ps", "--all", "--quiet", "--filter", "label=component=kernel").split()

    def images_of_kernels(self) -> list[str]:
        return docker(self.host, "inspect", "--format", "{{.Config.Image}}", *self.kernels()).split()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Docker]:
    """The images, built, pushed, and pulled by digest into a daemon with a bridge."""
    need_root()
    folder = tmp_path_factory.mktemp("gateways")
    number = os.getpid() % 200 + 20
    address = f"10.213.{number}.1"
    with (
        services.registry(folder / "registry") as registry,
        services.bridge(f"sb-test-{number}", f"{address}/24") as bridge,
        services.daemon(folder / "docker", bridge=bridge) as host,
    ):
        site = Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")
        site.edit("registry.example.com/notebook-servers/{image}", f"{registry.host}/gateways/{{image}}")
        for image in IMAGES:
            build(site, downloads, image)
        yield pulled(site, host, address)


def pulled(site: Site, host: str, address: str) -> Docker:
    """Push the images, and pull them into a daemon; kernel images by the digests that the kernelspecs have."""
    names = references(site)
    kernels = [name.partition("@")[0].rpartition("/")[2] for name in names]
    said = json.loads(site.run("push", *dict.fromkeys((*IMAGES, *kernels)), "--partial", "--json").out)
    found = {name.rpartition("/")[2]: one["reference"] for name, one in said["images"].items()}
    started = [name for name in names if name.partition("@")[0].endswith(("/kernel-py", "/kernel-r"))]
    for reference in (found["enterprise-gateway"], found["gp-lab"], *started):
        docker(host, "pull", "--quiet", reference)
    return Docker(host, address, found)


def references(site: Site) -> list[str]:
    """What the kernelspecs of the gateways name."""
    found: dict[str, None] = {}
    for image in ("enterprise-gateway", "gp-lab"):
        for action in site.planned(image).actions:
            known = site.store.action(action.plan_key)
            found |= dict.fromkeys(known["result"].get("names", ()) if known is not None else ())
    return list(found)


@contextmanager
def serving(daemon: Docker, image: str, *arguments: str, port: int = 8888) -> Iterator[Server]:
    """A gateway in a container that may talk to the daemon; nothing of it or of its kernels stays."""
    path = daemon.host.removeprefix("unix://")
    group = str(os.stat(path).st_gid)
    started = docker(
        daemon.host, "run", "--detach", "--network", "host", "--group-add", group,
        "--volume", f"{path}:/var/run/docker.sock", *_listens(daemon.address), *arguments, daemon.images[image],
    ).strip()  # fmt: skip
    try:
        server = Server(daemon.address, port, token=TOKEN)
        server.wait()
        yield server
    except BaseException:
        print(docker(daemon.host, "logs", started))
        raise
    finally:
        docker(daemon.host, "rm", "--force", "--volumes", started, *daemon.kernels())


def _listens(address: str) -> list[str]:
    """Options that let each of the gateways serve and hear kernels at this address alone."""
    env = dict.fromkeys(("EG_IP", "EG_RESPONSE_IP", "GP_RESPONSE_IP", "JUPYTER_IP"), address)
    env |= {"EG_RESPONSE_ADDR_ANY": "false", "GP_RESPONSE_ADDR_ANY": "false"}
    return [word for name, value in env.items() for word in ("--env", f"{name}={value}")]


@pytest.fixture(scope="module")
def enterprise(published: Docker) -> Iterator[Server]:
    with serving(published, "enterprise-gateway", "--env", f"EG_AUTH_TOKEN={TOKEN}") as found:
        yield found


@pytest.fixture(scope="module")
def lab(published: Docker) -> Iterator[Server]:
    with serving(published, "gp-lab", "--env", f"JUPYTER_TOKEN={TOKEN}") as found:
        yield found


def gone(daemon: Docker, seconds: float = 30) -> bool:
    """Whether no container of a kernel is left, or will be soon."""
    ends = time.monotonic() + seconds
    while daemon.kernels():
        if time.monotonic() > ends:
            return False
        time.sleep(0.2)
    return True


CELLS = {
    "python": (
        "import os, sys, numpy\nprint(sys.version_info[:2], os.getuid(), os.getgid())\n6 * 7",
        "(3, 11) 1000 100",
        "42",
    ),
    "R": ("cat(R.version$major, '\\n'); 6 * 7", "4", "42"),
}


def lives(daemon: Docker, server: Server, spec: str, language: str) -> None:
    """A kernel from its start to its end: a cell's result, an interrupt, a restart, a shutdown."""
    code, said, value = CELLS[language]
    kernel = server.start(spec)
    image = "kernel-py" if language == "python" else "kernel-r"
    (used,) = daemon.images_of_kernels()
    assert f"/{image}@sha256:" in used
    assert kernel in server.kernels()
    with server.channels(kernel) as channels:
        found = channels.run(code)
        assert said in found and value in found
        channels.run("remembered = 1" if language == "python" else "remembered <- 1")
        busy = channels.send(BUSY[language])
        channels.begun(busy)
        status, answer = server.ask("POST", f"/api/kernels/{kernel}/interrupt")
        assert status == 204, answer
        ended = channels.ended(busy, seconds=60)
        assert "KeyboardInterrupt" in ended or language == "R", ended
        assert "1" in channels.run("remembered")
    status, answer = server.ask("POST", f"/api/kernels/{kernel}/restart")
    assert status == 200, answer
    with server.channels(kernel) as channels:
        found = channels.run("remembered")
        assert "NameError" in found or "not found" in found, found
        assert value in channels.run(code)
    status, _ = server.ask("DELETE", f"/api/kernels/{kernel}")
    assert status == 204
    assert server.kernels() == []
    assert gone(daemon), "a container is left"


@pytest.mark.parametrize(("spec", "language"), [("python_docker", "python"), ("r_docker", "R")])
def test_enterprise_gateway_runs_a_kernel(published: Docker, enterprise: Server, spec: str, language: str) -> None:
    lives(published, enterprise, spec, language)


@pytest.mark.parametrize(("spec", "language"), [("python_docker", "python"), ("r_docker", "R")])
def test_jupyterlab_with_gateway_provisioners_runs_a_kernel(
    published: Docker, lab: Server, spec: str, language: str
) -> None:
    lives(published, lab, spec, language)


def test_two_kernels_are_two_containers(published: Docker, enterprise: Server) -> None:
    """Each hears its own cells; one that is shut down leaves the other."""
    first, second = (enterprise.start("python_docker", KERNEL_USERNAME=name) for name in ("alice", "bob"))
    assert len(published.kernels()) == 2
    with enterprise.channels(first) as one, enterprise.channels(second) as other:
        one.run("whose = 'first'")
        other.run("whose = 'second'")
        assert "first" in one.run("whose")
        assert enterprise.ask("DELETE", f"/api/kernels/{first}")[0] == 204
        assert "second" in other.run("whose")
    assert enterprise.ask("DELETE", f"/api/kernels/{second}")[0] == 204
    assert gone(published)


def test_a_kernel_may_not_be_root(published: Docker, enterprise: Server) -> None:
    status, _ = enterprise.ask(
        "POST", "/api/kernels", {"name": "python_docker", "env": {"KERNEL_USERNAME": "alice", "KERNEL_UID": "0"}}
    )
    assert status == 403
    assert gone(published)


def test_an_allow_list_is_kept(published: Docker) -> None:
    env = {"EG_AUTH_TOKEN": TOKEN, "EG_ALLOWED_KERNELS": "r_docker", "EG_PORT": "8889", "EG_RESPONSE_PORT": "8879"}
    options = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    with serving(published, "enterprise-gateway", *options, port=8889) as server:  # Beside the one of the tests before.
        status, found = server.ask("GET", "/api/kernelspecs")
        assert (status, list(found["kernelspecs"])) == (200, ["r_docker"])
        status, _ = server.ask("POST", "/api/kernels", {"name": "python_docker", "env": {"KERNEL_USERNAME": "alice"}})
        assert status >= 400
        assert published.kernels() == []
