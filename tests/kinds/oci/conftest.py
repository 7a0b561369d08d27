"""A small foreign image with a Debian, a conda and a virtual environment in it, and a registry that has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_image import Image, Member, file, folder, link, member, tagged
from tests.fake_registry import FakeRegistry

STATUS = """\
Package: libc6
Status: install ok installed
Maintainer: Somebody <somebody@example.com>
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u10
Provides: libc6-2.36
Description: a library
 of many lines

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Depends: libc6 (>= 2.36)
Essential: yes
"""
PYTHON = {
    "name": "python", "version": "3.12.8", "build": "h9e4cc4f_1_cpython", "build_number": 1, "subdir": "linux-64",
    "channel": "https://user:secret@conda.example.com/t/tk-1234/conda-forge/linux-64", "fn": "python-3.12.8.conda",
    "sha256": "ab" * 32, "depends": ["libzlib >=1.3.1,<2.0a0"], "size": 3,
}  # fmt: skip
USER = (1000, 100)


def base_layers() -> list[list[Member]]:
    """Three layers: a system, what a user installed, and something taken away."""
    metadata = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n\nWords.\n"
    site = "opt/conda/lib/python3.12/site-packages"
    return [
        [
            folder("etc"), file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"), file("etc/group", "root:x:0:\n"),
            file("usr/lib/os-release", 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'),
            link("etc/os-release", "../usr/lib/os-release"),
            link("bin", "usr/bin"), link("lib", "usr/lib"),
            folder("usr"), folder("usr/bin"), folder("usr/lib"), folder("tmp", mode=0o1777), folder("root", mode=0o700),
            file("usr/lib/x86_64-linux-gnu/libc.so.6", "\0GNU C Library (Debian) stable release version 2.36.\n"),
            file("var/lib/dpkg/status", STATUS),
            file("usr/lib/python3/dist-packages/six-1.16.0.egg-info", metadata.format("six", "1.16.0")),
        ],
        [
            file(
                "etc/passwd",
                "root:$6$secret:0:0:root:/root:/bin/bash\nuser:x:1000:100::/home/user:/bin/bash\n",
            ),
            file("etc/group", "root:x:0:\nusers:x:100:\n"),
            folder("home/user", mode=0o750, ids=USER), file("home/user/.profile", "hello\n", mode=0o600, ids=USER),
            folder("opt/conda", mode=0o2775, ids=USER), folder("opt/conda/bin", mode=0o2775, ids=USER),
            file("opt/conda/bin/python3.12", "#!", mode=0o755, ids=USER), link("opt/conda/bin/python", "python3.12"),
            member("opt/conda/bin/python3", b"1", link="opt/conda/bin/python3.12"),
            folder("opt/conda/conda-meta", mode=0o2775, ids=USER),
            file("opt/conda/conda-meta/python-3.12.8.json", json.dumps(PYTHON), ids=USER),
            folder(site, mode=0o2775, ids=USER),
            file(f"{site}/numpy-2.1.0.dist-info/METADATA", metadata.format("NumPy", "2.1.0"), ids=USER),
            file(f"{site}/old-1.0.dist-info/METADATA", metadata.format("old", "1.0"), ids=USER),
            file("opt/conda/pkgs/x-1/lib/python3.12/site-packages/x-1.dist-info/METADATA", metadata.format("x", "1")),
            file("opt/venv/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.2\n"),
            link("opt/venv/bin/python3.11", "/usr/bin/x"), file("srv/old/one", "1"),
        ],
        [
            file(f"{site}/.wh.old-1.0.dist-info"), file("srv/old/.wh..wh..opq"), file("srv/old/two", "2"),
        ],
    ]  # fmt: skip


def base_image(**changes: object) -> Image:
    config = {
        "User": "user", "Env": ["PATH=/opt/conda/bin:/usr/bin", "CONDA_DIR=/opt/conda"], "Cmd": ["start.sh"],
        "Entrypoint": ["tini", "--"], "ExposedPorts": {"8888/tcp": {}}, "Labels": {"maintainer": "somebody"},
        "WorkingDir": "/home/user", "OnBuild": ["RUN never"], "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
    }  # fmt: skip
    history = [
        {"created": "2025-01-01T00:00:00Z", "created_by": "ADD rootfs"},
        {"created_by": "ENV A=B", "empty_layer": True},
        {"created_by": "RUN conda"},
        {"created_by": "RUN rm"},
    ]
    fields = {"layers": base_layers(), "config": config, "history": history, "platform": "linux/amd64", **changes}
    return Image(**fields)  # type: ignore[arg-type]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout with the image under the tag `1.0`."""
    tagged(tmp_path / "layout", "1.0", base_image(), Image([[file("a")]], platform="linux/arm64"))
    return tmp_path / "layout"


@pytest.fixture
def registry(layout: Path) -> Iterator[FakeRegistry]:
    """A registry that has it as `team/base`."""
    found = FakeRegistry()
    found.repositories["team/base"] = layout
    try:
        yield found
    finally:
        found.close()
