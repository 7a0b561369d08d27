"""Kubeflow's form lists what was pushed, each kind of server in its list, by the digest of the whole image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner

from builder.cli import cli
from builder.errors import StackbuildError
from builder.workflow.export import export
from builder.workflow.project import select
from builder.workflow.published import Place
from tests.conftest import Golden
from tests.exports.notebooks import notebooks
from tests.fake_uploads import FakeUploads
from tests.image_family import Site


def spawner(site: Site, *texts: str, said: list[str] | None = None, **place: str) -> str:
    project = site.project()
    chosen = select(project.manifest, texts)
    told = (lambda _: None) if said is None else said.append
    return export(project, chosen, "kubeflow-spawner", place=Place(**place), told=told)


def lists(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    assert list(found) == ["spawnerFormDefaults"]
    defaults: dict[str, Any] = found["spawnerFormDefaults"]
    for one in defaults.values():
        assert list(one) == ["value", "options"]
        assert one["value"] == one["options"][0]
    return {key: one["options"] for key, one in defaults.items()}


def test_every_server_is_in_its_list_by_digest(site: Site, registry: FakeUploads, golden: Golden) -> None:
    notebooks(site).build()
    pushed, _ = site.push()
    text = spawner(site)
    digests = {one.name: one.digest for one in pushed}
    place = f"{registry.host}/notebooks"

    def named(*names: str) -> list[str]:
        return [f"{place}/{name}@{digests[f'{place}/{name}']}" for name in names]

    assert lists(text) == {
        "image": named("jupyter", "jupyter-torch-full", "jupyter-torch-cuda-full"),
        "imageGroupOne": named("code"),
        "imageGroupTwo": named("studio"),
    }
    golden("kubeflow-spawner.yaml", text.replace(registry.host, "registry.example.com"))


def test_the_digest_is_the_indexs(site: Site, registry: FakeUploads) -> None:
    """One of a platform would not start on nodes of the other."""
    notebooks(site).build()
    site.push()
    reference = lists(spawner(site, "jupyter"))["image"][0]
    name, _, digest = reference.partition("@")
    index = json.loads(registry.manifests[name.partition("/")[2], digest])
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]


def test_targets_choose(site: Site) -> None:
    notebooks(site).build()
    site.push()
    assert list(lists(spawner(site, "code", "root"))) == ["imageGroupOne"]
    assert len(lists(spawner(site, "torch:cuda"))["image"]) == 1


def test_what_was_not_pushed_is_left_out_and_told(site: Site, registry: FakeUploads) -> None:
    notebooks(site).build()
    site.push("jupyter@linux/amd64")
    said: list[str] = []
    assert [len(one) for one in lists(spawner(site, said=said)).values()] == [1]
    place = f"{registry.host}/notebooks"
    assert said == [
        f"{place}/jupyter: pushed from here without linux/arm64; --tag TAG asks the registry what it has",
        f"{place}/code: left out, as it was not pushed from here",
        f"{place}/studio: left out, as it was not pushed from here",
        f"{place}/jupyter-torch-full: left out, as it was not pushed from here",
        f"{place}/jupyter-torch-cuda-full: left out, as it was not pushed from here",
    ]


def test_nothing_pushed_says_what_to_do(site: Site) -> None:
    notebooks(site).build()
    with pytest.raises(StackbuildError, match="not pushed from here: jupyter") as error:
        spawner(site, "jupyter")
    assert error.value.next_step == "stackbuild push jupyter; or --tag TAG, for what the registry has under it"


def test_a_tag_is_asked_of_the_registry(site: Site, registry: FakeUploads, tmp_path: Path) -> None:
    """What another machine pushed, which this store knows nothing of; and what a tag names now, not what it did."""
    notebooks(site).build()
    site.push()
    before = spawner(site)
    site.overlay("full", "other")
    site.build("studio")
    site.push("studio", templates=["next"])
    (site.store.path / "pushed.jsonl").unlink()
    assert spawner(site, tag="2026.11") == before
    assert spawner(site, tag="{version}") == before, "as push writes it"
    said: list[str] = []
    moved = spawner(site, tag="next", said=said)
    assert list(lists(moved)) == ["imageGroupTwo"] and lists(moved) != {"imageGroupTwo": lists(before)["imageGroupTwo"]}
    assert f"{registry.host}/notebooks/code: left out, as it has no tag next" in said
    with pytest.raises(StackbuildError, match="no such tag in the registry: gone") as error:
        spawner(site, "code", tag="gone")
    assert error.value.next_step == "stackbuild push code --tag gone"
    for wrong in ("../../x", "{key}"):
        with pytest.raises(StackbuildError, match=r"not (a tag|the name of one tag)"):
            spawner(site, tag=wrong)


def test_a_tag_needs_a_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    notebooks(site).build()
    site.push()
    monkeypatch.setenv("STACKBUILD_OFFLINE", "1")
    assert lists(spawner(site))
    with pytest.raises(StackbuildError, match="offline"):
        spawner(site, tag="2026.11")


def test_another_place_than_the_projects(site: Site, registry: FakeUploads) -> None:
    notebooks(site).build()
    other = registry.host + "/mirror/{image}"
    site.push("code", repository=other)
    assert lists(spawner(site, "code", repository=other))["imageGroupOne"][0].startswith(
        f"{registry.host}/mirror/code@"
    )
    with pytest.raises(StackbuildError, match="not pushed from here"):
        spawner(site, "code")


def test_an_image_that_is_no_server_is_refused(site: Site) -> None:
    with pytest.raises(StackbuildError, match="none of these images is a notebook server for Kubeflow"):
        spawner(site, "root", "lab")


def test_a_label_that_names_no_type_is_refused(site: Site) -> None:
    hostile = '[images.odd]\nfrom = "root"\nlabels."notebooks.kubeflow.org/server-type" = "jupyter\\n  x: y"\n'
    notebooks(site, hostile)
    with pytest.raises(StackbuildError, match=r"no type of server: 'jupyter\\n  x: y'") as error:
        spawner(site, "odd")
    assert error.value.where == "images.odd.labels"


def test_the_command_prints_the_text_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told besides goes to stderr, so that the text can be sent on."""
    notebooks(site).build("code")
    site.push("code")
    monkeypatch.setenv("STACKBUILD_STORE", str(site.store.path))
    done = CliRunner().invoke(cli, ["-C", str(site.folder), "export", "kubeflow-spawner", "--tag", "2026.11"])
    assert done.stdout == spawner(site)
    assert done.stderr.count("left out, as it has no tag 2026.11") == 4
