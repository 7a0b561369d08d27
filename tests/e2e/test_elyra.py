"""The image with Elyra: its server extension answers under NB_PREFIX, and its runtimes are on the volume."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.built import Image
from builder.platforms import NATIVE
from builder.runtimes import Container, Start, volume
from builder.runtimes.native import container
from tests.e2e.conftest import build
from tests.e2e.project import ROOT, Site
from tests.tools import absent, need_root

pytestmark = pytest.mark.catalogue
PREFIX = "/notebook/team/example"
RUNTIMES = ".local/share/jupyter/metadata/runtimes"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Site:
    need_root()
    if NATIVE != "linux/amd64":
        absent("Elyra's image is for linux/amd64 only")
    folder = tmp_path_factory.mktemp("elyra")
    site = Site(ROOT, folder / "store").copy(folder / "project", store=folder / "store")
    build(site, downloads, "jupyter-elyra")
    return site


@contextmanager
def running(site: Site, home: Path) -> Iterator[Container]:
    start = Start(env={"NB_PREFIX": PREFIX}, volumes=((home, "/home/jovyan"),))
    with container(Image(site.store, site.result("jupyter-elyra")), start) as found:
        found.wait_for(8888, f"{PREFIX}/api/status", 90)
        yield found


def runtimes(found: Container) -> dict[str, str]:
    """Name → the API's address, as Elyra's own API tells them."""
    status, _, body = found.ask(8888, f"{PREFIX}/elyra/metadata/runtimes")
    assert status == 200, body
    return {one["name"]: one["metadata"]["api_endpoint"] for one in json.loads(body)["runtimes"]}


def test_it_keeps_its_contracts(site: Site) -> None:
    rows = json.loads(site.run("check", "jupyter-elyra", "--json").out)
    assert {row["contract"] for row in rows} == {"contents", "kubeflow"}
    assert [row for row in rows if row["problem"]] == []


def test_runtimes_come_with_an_empty_volume_and_stay_with_it(site: Site) -> None:
    """Kubeflow's own is there; what the user adds is on the volume, not in a folder that ends with the container."""
    image = Image(site.store, site.result("jupyter-elyra"))
    with volume(site.store, image.user()) as home:
        with running(site, home) as found:
            assert (home / RUNTIMES / "kubeflow-pipelines.json").is_file()
            assert runtimes(found) == {"kubeflow-pipelines": "http://ml-pipeline.kubeflow.svc.cluster.local:8888"}
        own = json.loads((home / RUNTIMES / "kubeflow-pipelines.json").read_text())
        own["display_name"], own["metadata"]["api_endpoint"] = "Mine", "https://pipelines.example.com/pipeline"
        own["metadata"] |= {"cos_username": "somebody", "cos_password": "something"}
        with running(site, home) as found:
            _, headers, _ = found.ask(8888, f"{PREFIX}/lab")
            token = headers["set-cookie"].partition("_xsrf=")[2].partition(";")[0]
            status, _, body = found.ask(
                8888,
                f"{PREFIX}/elyra/metadata/runtimes",
                method="POST",
                body=json.dumps({"name": "mine", **own}).encode(),
                headers={"Cookie": f"_xsrf={token}", "X-XSRFToken": token, "Content-Type": "application/json"},
            )
            assert status == 201, body
        assert (home / RUNTIMES / "mine.json").is_file()
        with running(site, home) as found:
            assert runtimes(found)["mine"] == "https://pipelines.example.com/pipeline"


def test_pipelines_can_be_made_of_its_components(site: Site) -> None:
    """The catalogue of components is read by a process of its own."""
    image = Image(site.store, site.result("jupyter-elyra"))
    with volume(site.store, image.user()) as home, running(site, home) as found:
        status, _, body = found.ask(8888, f"{PREFIX}/elyra/pipeline/components/local")
        assert status == 200, body
        labels = {node["label"] for one in json.loads(body)["categories"] for node in one["node_types"]}
        assert labels == {"Notebook", "Python Script", "R Script"}
