"""`build --since`: what differs is built; an image's tag stays one of all its platforms."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from builder.digest import Digest
from builder.platforms import NATIVE, runs
from tests.e2e.project import Site as Commands
from tests.image_family import Site
from tests.tools import absent

OTHER = "linux/arm64" if NATIVE == "linux/amd64" else "linux/amd64"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments], cwd=folder, check=True)


def platforms(site: Site, tag: str) -> set[str]:
    """Of the index that a tag names."""
    found = json.loads(site.store.blob(Digest(site.store.images.tags()[tag])).read_bytes())
    return {f"{one['platform']['os']}/{one['platform']['architecture']}" for one in found["manifests"]}


def test_a_tag_is_of_all_platforms_though_one_differs(tmp_path: Path) -> None:
    if not runs(OTHER):
        absent(f"programs of {OTHER} do not run here")
    site = Site(tmp_path, "registry.example.com")
    site.build()
    git(site.folder, "init", "--quiet")
    git(site.folder, "add", ".")
    git(site.folder, "commit", "--quiet", "--message", "x")
    manifest = site.folder / "stacks.toml"
    manifest.write_text(manifest.read_text() + f'[images.full.on."@{OTHER}"]\nenv = {{ NEW = "1" }}\n')
    said = Commands(site.folder, site.store.path).run(
        "build", f"full@{NATIVE}", f"full@{OTHER}", "--since", "HEAD", "--no-start", "--json"
    )
    assert json.loads(said.out)["built"] == [f"full:cpu@{OTHER}"]
    assert platforms(site, "full") == {NATIVE, OTHER}
