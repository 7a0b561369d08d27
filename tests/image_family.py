"""A family of two platforms on a local image: built without a sandbox, so that what is built can go places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from builder.locks import Locks
from builder.manifest.read import loads
from builder.store import Store
from builder.workflow import build, lock, push, shipment
from builder.workflow.build import _Silent
from builder.workflow.cargo import Traffic
from builder.workflow.lock import Wish
from builder.workflow.project import Project
from builder.workflow.releases import Release
from tests.fake_image import Image, file, tagged

MANIFEST = """
[project]
name = "family"
platforms = ["linux/amd64", "linux/arm64"]
repository = "HOST/notebooks/{image}"
version = "2026.11"
tags = ["{version}", "{key}"]

[images.root]
from = "oci:../layout:1.0"

[images.lab]
from = "root"
overlays = ["lab"]

[images.full]
from = "lab"
overlays = ["full"]
"""


class Site:
    """A family of two platforms on a local image, locked and built."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder / "project"
        self.store = Store.open(folder / "store")
        for name in ("lab", "full"):
            path = self.folder / "overlays" / name / "opt" / name
            path.parent.mkdir(parents=True)
            path.write_text(name)
        both = [Image([[file("etc/a", platform)]], platform=platform) for platform in ("linux/amd64", "linux/arm64")]
        tagged(folder / "layout", "1.0", *both)
        (self.folder / "stacks.toml").write_text(MANIFEST.replace("HOST", host))

    def project(self) -> Project:
        path = self.folder / "stacks.toml"
        manifest = loads(path.read_text(), path)
        return Project(manifest=manifest, locks=Locks(self.folder / "locks"), store=self.store)

    def build(self, *texts: str) -> None:
        project = self.project()
        everything = tuple(project.manifest.targets())
        lock.lock(project, everything, Wish(), lambda _: None)
        wanted = [target for target in everything if not texts or any(target.matches(text) for text in texts)]
        planned = build.plan(project, wanted)
        build.build(project, wanted, jobs=2, watcher=_Silent(), planned=planned)

    def push(self, *texts: str, **options: Any) -> tuple[tuple[Release, ...], Traffic]:
        project = self.project()
        everything = tuple(project.manifest.targets())
        wanted = [target for target in everything if not texts or any(target.matches(text) for text in texts)]
        planned = build.plan(project, wanted)
        chosen, _ = shipment.ready(project, planned, wanted)
        return push.push(project, planned, chosen, **options)

    def overlay(self, name: str, text: str) -> None:
        (self.folder / "overlays" / name / "opt" / name).write_text(text)
