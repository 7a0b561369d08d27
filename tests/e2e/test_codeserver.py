"""Kubeflow's code-server images, from the committed locks to a workbench that answers.

`codeserver-python` waits for open-vsx.org and conda-forge; here two extensions of a few bytes stand in for those that
lie there, and Debian's Python for conda's.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.built import Image
from builder.platforms import NATIVE
from builder.runtimes import Container, Start, volume
from builder.runtimes.native import container
from tests.e2e.conftest import build, keep, need_network
from tests.e2e.project import ROOT, Site, share_sources
from tests.loopback import serve
from tests.tools import need_root

pytestmark = pytest.mark.catalogue

APP = "/opt/npm/lib/node_modules/code-server"
PORT = 8888
CONDA = """use = ["conda-python", "kubeflow"]
python = { from = "conda" }
pip = ["ipykernel==7.2.0"]
"""
DEBIAN = """use = ["kubeflow"]
python = { from = "apt", prefix = "/opt/venv" }
pip = ["ipykernel==7.2.0", "pip==26.1.1"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    """The project with `codeserver`, built from its committed locks."""
    need_root()
    folder = tmp_path_factory.mktemp("codeserver")
    found = Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")
    for image in ("base-trixie", "codeserver"):
        build(found, downloads, image)
    return found


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[Container]:
    """A started server, on an empty volume."""
    image = Image(site.store, site.result("codeserver"))
    with volume(site.store, image.user()) as home, container(image, Start(volumes=((home, "/home/jovyan"),))) as found:
        found.wait_for(PORT, "/healthz", 90)
        yield found


def test_it_keeps_its_contracts(site: Site) -> None:
    site.run("check", "codeserver")


def test_native_modules_are_there(site: Site) -> None:
    modules = ["@vscode/spdlog", "kerberos", "native-watchdog", "node-pty", "@parcel/watcher"]
    paths = [*(f"{APP}/lib/vscode/node_modules/{name}" for name in modules), f"{APP}/node_modules/argon2"]
    script = f"for (const path of {json.dumps(paths)}) console.log(Object.keys(require(path)).length > 0)"
    assert site.inside("codeserver", f"node -e '{script}'") == (0, "true\n" * 6)


def test_a_terminal_opens(site: Site) -> None:
    script = f'require("{APP}/lib/vscode/node_modules/node-pty").spawn("/bin/echo", ["a terminal"]).onData(console.log)'
    assert "a terminal" in site.inside("codeserver", f"node -e '{script}'")[1]


def test_ripgrep_is_debians(site: Site) -> None:
    code, said = site.inside("codeserver", f"{APP}/lib/vscode/node_modules/@vscode/ripgrep/bin/rg --version")
    assert code == 0 and said.startswith("ripgrep "), said


def test_the_page_names_no_absolute_path_and_asks_for_no_updates(running: Container) -> None:
    """Kubeflow takes the prefix off on the way in, and nothing puts it back into pages."""
    status, headers, _ = running.ask(PORT, "/")
    assert (status, headers["location"]) == (302, "./?folder=/home/jovyan")
    _, _, page = running.ask(PORT, "/?folder=/home/jovyan")
    text = page.decode()
    assert "&quot;rootEndpoint&quot;:&quot;.&quot;" in text
    assert 'src="/' not in text and 'href="/' not in text
    assert "updateEndpoint" not in text


@pytest.mark.parametrize(("origin", "answer"), [("notebooks.example", b" 101 "), ("evil.example", b" 403 ")])
def test_sockets_open_for_the_server_s_own_pages_alone(origin: str, answer: bytes, running: Container) -> None:
    commit = json.loads(Path(f"/proc/{running.pid}/root{APP}/package.json").read_text())["commit"]
    lines = (
        f"GET /stable-{commit}?reconnectionToken=1&skipWebSocketFrames=false HTTP/1.1",
        "Host: notebooks.example",
        f"Origin: https://{origin}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    )
    with running.connect(PORT) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        assert answer in connection.recv(4096).partition(b"\r\n")[0]


def test_telemetry_is_off_for_who_begins(site: Site) -> None:
    path = "/tmp_home/jovyan/.local/share/code-server/User/settings.json"
    assert '"telemetry.telemetryLevel": "off"' in site.inside("codeserver", f"cat {path}")[1]


def _extension(folder: Path, publisher: str, name: str, version: str) -> None:
    path = folder / f"api/{publisher}/{name}/{version}/file/{publisher}.{name}-{version}.vsix"
    path.parent.mkdir(parents=True)
    manifest = {"name": name, "publisher": publisher, "version": version, "engines": {"vscode": "^1.90.0"}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("extension.vsixmanifest", "<PackageManifest/>")
        archive.writestr("extension/package.json", json.dumps(manifest))


def test_python_and_its_extensions(site: Site, downloads: Path, tmp_path: Path) -> None:
    _extension(tmp_path, "ms-python", "python", "2025.0.0")
    _extension(tmp_path, "ms-toolsai", "jupyter", "2024.11.0")
    with serve(tmp_path) as service:
        other = site.copy(tmp_path / "project")
        path = other.folder / "stacks.toml"
        text = path.read_text().replace("https://open-vsx.org/", f"{service.url}/")
        assert CONDA in text
        path.write_text(text.replace(CONDA, DEBIAN))
        share_sources(downloads, other.store_path)
        said = other.try_("lock", "--awaited", f"codeserver-python@{NATIVE}")
        if said.code:
            need_network(said.err)
        assert said.code == 0, said.err
        keep(other, downloads, {path.name for path in (other.store_path / "sources/sha256").iterdir()})
        other.run("build", "--no-start", "codeserver-python")
    other.run("check", "codeserver-python")
    script = f"cat {APP}/lib/vscode/extensions/ms-*/package.json; /opt/venv/bin/pip list"
    code, found = other.inside("codeserver-python", script)
    assert code == 0, found
    assert '"ms-python"' in found and '"ms-toolsai"' in found and "ipykernel" in found
