"""Images whose locks wait for a source: what is told of them, what leaves them out, how they are locked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.awaited import awaited, ready, sources
from builder.checked import Score, note
from builder.manifest.model import Target
from builder.platforms import NATIVE
from builder.workflow import build
from tests.e2e.project import Said
from tests.e2e.project import Site as Commands
from tests.image_family import Site
from tests.loopback import Service, serve

AWAITING = """
[sets.tool]
fetch = [{{ name = "tool", version = "1.0", url = "{url}/tool-{{version}}", to = "/opt/tool" }}]
awaits = "{url}"

[images.tool]
from = "lab"
use = ["tool"]

[images.child]
from = "tool"
overlays = ["full"]

[images.half]
from = "lab"
on."@linux/arm64" = {{ awaits = "a machine for arm64", fetch = [
    {{ name = "half", version = "1.0", url = "{url}/half", to = "/opt/half" }}] }}
"""


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Service]:
    """The source; nothing is there yet."""
    with serve(tmp_path / "far") as found:
        yield found


@pytest.fixture
def site(site: Site, far: Service) -> Site:
    path = site.folder / "stacks.toml"
    path.write_text(path.read_text() + AWAITING.format(url=far.url))
    return site


def run(site: Site, *words: str) -> Said:
    return Commands(site.folder, site.store.path).try_(*words)


def test_who_waits_for_what(site: Site, far: Service) -> None:
    """Children wait as their parent does; a target waits only where its own selector says so."""
    project = site.project()
    targets = tuple(project.manifest.targets())
    waiting = {str(one): why for one, why in awaited(project.manifest, project.locks, *targets).items()}
    url = (far.url,)
    assert waiting == {
        "tool:cpu@linux/amd64": url,
        "tool:cpu@linux/arm64": url,
        "child:cpu@linux/amd64": url,
        "child:cpu@linux/arm64": url,
        "half:cpu@linux/arm64": ("a machine for arm64",),
    }
    assert {str(one) for one in ready(project.manifest, project.locks)} == set(map(str, targets)) - waiting.keys()


def test_lock_leaves_them_out_and_says_so(site: Site, far: Service) -> None:
    said = run(site, "lock")
    assert said.code == 0, said.err
    assert f"child:cpu@linux/amd64: left out, awaits {far.url}; --awaited locks it" in said.err
    assert not far.seen
    assert not (site.folder / "locks/tool").exists()
    said = run(site, "lock", "--check")
    assert (said.code, said.out) == (0, "7 targets are locked, 5 await a source\n")


def test_the_rest_is_locked_where_the_source_is_reached(site: Site, far: Service) -> None:
    far.write("tool-1.0", "a tool")
    far.write("half", "the half of it")
    assert run(site, "lock", "--awaited").code == 0
    project = site.project()
    child = Target("child", "cpu", "linux/amd64")
    assert sources(project.manifest, child) == (far.url,)
    assert awaited(project.manifest, project.locks, child) == {}
    assert run(site, "lock", "--check").out == "12 targets are locked\n"
    asked = len(far.seen)
    (site.folder / "stacks.toml").write_text(
        (site.folder / "stacks.toml").read_text().replace('"1.0", url', '"1.1", url')
    )
    assert run(site, "lock").code == 0, "what waits is let alone where the source may not be reached"
    assert len(far.seen) == asked
    said = run(site, "lock", "--check")
    assert said.code == 1 and "tool" in said.err, "a lock that is there must answer"


def test_commands_go_on_without_them(site: Site) -> None:
    """What a maintainer's CI does with the whole family still works."""
    assert run(site, "lock").code == 0
    said = run(site, "build", "--no-start", "--dry-run")
    assert said.code == 0, said.err
    assert "image lab:cpu@" in said.out and "tool" not in said.out
    assert "not locked here, so not built: 5 targets await a source: stackbuild status" in said.err
    matrix = json.loads(run(site, "export", "github-matrix").out)
    assert {one["image"] for one in matrix["include"]} == {"root", "lab", "full", "half"}
    assert run(site, "gc", "--dry-run").code == 0


def test_by_name_they_are_an_error(site: Site, far: Service) -> None:
    said = run(site, "build", "child")
    assert said.code == 1
    assert "not locked: child:cpu@linux/amd64, child:cpu@linux/arm64" in said.err
    assert far.url in said.err
    assert "there: stackbuild lock --awaited child" in said.err


def test_status_tells(site: Site, far: Service) -> None:
    run(site, "lock")
    rows = {one["target"]: one for one in json.loads(run(site, "status", "--json").out)}
    assert rows["child:cpu@linux/amd64"]["awaits"] == [far.url]
    assert rows["lab:cpu@linux/amd64"]["awaits"] == []
    table = run(site, "status", "--markdown").out.splitlines()
    assert table[:2] == ["| image | variant | linux/amd64 | linux/arm64 |", "| --- | --- | --- | --- |"]
    assert f"| `child` | cpu | awaits `{far.url}` | awaits `{far.url}` |" in table
    assert "| `half` | cpu | locked | awaits `a machine for arm64` |" in table


def test_status_tells_what_was_built_and_checked(site: Site) -> None:
    assert run(site, "lock").code == 0
    assert run(site, "build", "--no-start", f"lab@{NATIVE}").code == 0
    table = run(site, "status", "--markdown", f"lab@{NATIVE}").out.splitlines()
    assert re.fullmatch(r"\| `lab` \| cpu \| [0-9.]+ k?B \|", table[2])
    project = site.project()
    (target,) = [one for one in project.manifest.targets() if (one.image, one.platform) == ("lab", NATIVE)]
    end = build.plan(project, [target])[target].image
    assert end is not None
    note(site.store, end.plan_key, "native", {"contents": Score(kept=3, tried=3), "kubeflow": Score(kept=4, tried=6)})
    table = run(site, "status", "--markdown", f"lab@{NATIVE}").out.splitlines()
    assert table[2].endswith("B, kubeflow broken on native: 2 points |")
    note(site.store, end.plan_key, "native", {"kubeflow": Score(kept=6, tried=6)})
    note(site.store, end.plan_key, "docker", {"contents": Score(kept=3, tried=3)})
    table = run(site, "status", "--markdown", f"lab@{NATIVE}").out.splitlines()
    assert table[2].endswith("B, contents kept on docker and native, kubeflow kept on native |")
