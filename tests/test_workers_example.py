"""examples/workers: the image has what a worker of this checkout needs, and the cluster starts it as it wants."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import tomli
import yaml  # type: ignore[import-untyped]

from builder import __version__, program
from builder.commands import workers

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "examples/workers"


@pytest.fixture
def manifest() -> dict[str, Any]:
    return tomli.loads((FOLDER / "stacks.toml").read_text())


@pytest.fixture
def cluster() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "cluster.yaml").read_text())
    return found


def container(cluster: dict[str, Any], side: str) -> dict[str, Any]:
    (found,) = cluster["spec"][side]["spec"]["containers"]
    return dict(found)


def test_the_image_has_this_version(manifest: dict[str, Any]) -> None:
    assert manifest["sets"]["stackbuild"]["pip"] == [f"stackbuild[dask]=={__version__}"]


def test_what_writes_layers_is_what_a_checkout_runs_on(manifest: dict[str, Any]) -> None:
    """Else the workers are another stackbuild than whoever orders."""
    pins = dict(re.findall(r"^([a-z]+)==(\S+)", (ROOT / "scripts/requirements/dask.txt").read_text(), re.MULTILINE))
    wanted = [f"{name}=={pins[name]}" for name in program.WRITERS]
    assert manifest["images"]["stackbuild-dask"]["constraints"] == wanted


@pytest.mark.parametrize("side", ["scheduler", "worker"])
def test_the_cluster_runs_the_image(side: str, manifest: dict[str, Any], cluster: dict[str, Any]) -> None:
    (image,) = manifest["images"]
    assert container(cluster, side)["image"] == manifest["project"]["repository"].format(image=image)


def test_workers_are_started_with_words_that_there_are(cluster: dict[str, Any]) -> None:
    name, command, *words = container(cluster, "worker")["args"]
    assert (name, command) == ("stackbuild", "workers")
    found = workers.command.make_context("workers", words).params
    host, port = str(found["scheduler"]).removeprefix("tls://").split(":")
    assert host == f"{cluster['metadata']['name']}-scheduler"  # As the operator calls its service.
    assert int(port) in {row["port"] for row in cluster["spec"]["scheduler"]["service"]["ports"]}


def test_ports_and_volumes_are_there(cluster: dict[str, Any]) -> None:
    ports = {row["name"]: row["containerPort"] for row in container(cluster, "scheduler")["ports"]}
    assert {row["targetPort"] for row in cluster["spec"]["scheduler"]["service"]["ports"]} == ports.keys()
    for side in ("scheduler", "worker"):
        one = container(cluster, side)
        mounted = {row["name"]: row["mountPath"] for row in one["volumeMounts"]}
        assert mounted.keys() == {row["name"] for row in cluster["spec"][side]["spec"]["volumes"]}
        env = {row["name"]: row["value"] for row in one["env"]}
        assert env["DASK_CONFIG"] == mounted["tls"]
        if side == "worker":
            assert env["STACKBUILD_STORE"] == mounted["store"]
            assert Path(env["STACKBUILD_CACHE_KEY"]).parent == Path(mounted["cache-key"])


def test_the_configuration_of_the_docs_names_files_of_the_secret(cluster: dict[str, Any]) -> None:
    page = (ROOT / "docs/distributed.md").read_text()
    block = re.search(r"^    distributed:\n(    .*\n)+", page, re.MULTILINE)
    assert block is not None
    comm = yaml.safe_load(re.sub("^    ", "", block.group(), flags=re.MULTILINE))["distributed"]["comm"]
    assert comm["require-encryption"] is True
    tls = comm["tls"]
    sides = [tls[side] for side in ("scheduler", "worker", "client")]
    files = {tls["ca-file"], *(side[kind] for side in sides for kind in ("cert", "key"))}
    secret = set(re.findall(r"--from-file=(\S+\.pem)", page)) - {"cache.pem"}
    mounted = {row["name"]: row["mountPath"] for row in container(cluster, "worker")["volumeMounts"]}
    assert files == {f"{mounted['tls']}/{name}" for name in secret}
