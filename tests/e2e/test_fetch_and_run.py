"""Fetched files and a script on a real root: locked from a server, built, started, proven, bumped."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from builder.digest import Digest
from builder.platforms import NATIVE
from tests.e2e.project import Site
from tests.fake_deb import build as deb
from tests.fake_deb import member, tar

KIT = f"kit:cpu@{NATIVE}"
STEP = f"run facts of {KIT}"
_IMAGE = """
[[images.kit.fetch]]
name = "greet"
version = "1"
url = "{url}/{{arch}}/greet-{{version}}"
sha256-url = "{{url}}.sha256"
to = "/bin/greet"
mode = "0755"

[[images.kit.fetch]]
name = "pack"
version = "1"
url = "{url}/pack-{{version}}.tgz"
strip = 1
exclude = ["doc"]
to = "/opt/pack/"

[[images.kit.fetch]]
name = "real"
version = "1"
url = "{url}/real.deb"
to = "/"

[images.kit]
from = "base"
run = [{{ name = "facts", script = "scripts/facts.sh", env = {{ WHO = "kit" }} }}]
"""
_SCRIPT = """#!/bin/bash
set -eu
greet "$WHO" > /opt/pack/facts
/opt/pack/bin/run >> /opt/pack/facts
python3 -m compileall -q /opt/pack
rm /etc/issue
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def _greet(folder: Path, version: str, word: str) -> None:
    path = folder / NATIVE.split("/")[1] / f"greet-{version}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {word}, $1\n")
    path.with_name(f"{path.name}.sha256").write_text(f"{Digest.of_file(path).hex}  dist/{path.name}\n")


def _project(small: Site, folder: Path, url: str, files: Path) -> Site:
    _greet(files, "1", "hello")
    run, module = b"#!/bin/sh\necho packed\n", b"WORDS = 1\n"
    plain = member("pack-1/words.py", data=module)
    plain.mode = 0o644
    packed = tar([(member("pack-1/bin/run", data=run), run), (plain, module), (member("pack-1/doc", data=b"d"), b"d")])
    (files / "pack-1.tgz").write_bytes(gzip.compress(packed))
    os.replace(deb(folder, "real", {"usr/share/real/words": "real\n"}), files / "real.deb")
    site = small.copy(folder / "project")
    (site.folder / "scripts").mkdir()
    (site.folder / "scripts/facts.sh").write_text(_SCRIPT)
    with (site.folder / "stacks.toml").open("a") as manifest:
        manifest.write(_IMAGE.format(url=url))
    return site


def test_from_urls_to_a_proven_image(small: Site, tmp_path: Path, web: tuple[str, Path]) -> None:
    url, files = web
    site = _project(small, tmp_path, url, files)
    assert "lock is missing: kit" in site.try_("lock", "--check").err
    site.run("lock")
    assert site.run("lock", "--check").code == 0

    said = site.run("build", "kit")
    assert f"{STEP} is not proven to be reproducible: stackbuild verify {KIT}" in said.err
    look = "greet you; cat /opt/pack/facts /usr/share/real/words; ls -l /bin/greet; ls /etc/issue /opt/pack/doc"
    code, out = site.inside("kit", look)
    assert out.splitlines()[:4] == ["hello, you", "hello, kit", "packed", "real"]
    assert code and "-rwxr-xr-x 1 root root" in out and out.count("No such file") == 2
    assert STEP in _state(site)["unproven"]

    assert "unchanged" in site.run("build", "kit").out
    (row,) = json.loads(site.run("verify", "kit", "--json").out)
    assert row["differences"] == []
    assert _state(site)["unproven"] == []

    _greet(files, "2", "welcome")
    site.edit('name = "greet"\nversion = "1"', 'name = "greet"\nversion = "2"')
    (moved,) = json.loads(site.run("lock", "--json").out)
    assert moved["moved"] == [{"name": "greet", "old": "1", "new": "2"}]
    because = {one["action"]: one["because"] for one in json.loads(site.run("explain", "kit", "--json").out)[KIT]}
    assert ["fetch greet 1 → 2"] in because.values() and STEP in because
    performed = site.run("build", "kit").performed
    assert STEP in performed and not any("pack" in one for one in performed)
    assert site.inside("kit", "cat /opt/pack/facts")[1].splitlines()[0] == "welcome, kit"


def _state(site: Site) -> dict[str, list[str]]:
    (state,) = [one for one in json.loads(site.run("status", "--json").out) if one["target"] == KIT]
    assert (state["locked"], state["built"]) == ("yes", "yes")
    return dict(state)


def test_scripts_count_and_fail_as_they_should(small: Site, tmp_path: Path, web: tuple[str, Path]) -> None:
    site = _project(small, tmp_path, *web)
    site.run("lock")
    site.run("build", "kit")
    script = site.folder / "scripts/facts.sh"

    script.write_text(_SCRIPT + "date +%N > /opt/pack/time; head -c 8 /dev/urandom > /opt/pack/random\n")
    assert STEP in site.run("build", "kit").performed, "a changed script is noticed by the hot path too"
    said = site.try_("verify", "kit")
    assert said.code == 1 and "/opt/pack/random" in said.out
    assert STEP in _state(site)["unproven"]

    script.write_text(_SCRIPT + "echo left > /left; exit 7\n")
    said = site.try_("build", "kit")
    assert said.code == 1 and f"step failed: {STEP} (exit 7)" in said.err
    name = said.err.partition("stackbuild shell --at ")[2].split()[0]
    assert site.run("shell", "--at", name, "--", "cat", "/left").out == "left\n"

    script.unlink()
    said = site.try_("build", "kit")
    assert said.code == 1 and "script is missing: scripts/facts.sh" in said.err


def test_what_a_target_no_longer_fetches_leaves_no_lock(small: Site, tmp_path: Path, web: tuple[str, Path]) -> None:
    """A child that asked for nothing any more kept its lock, which `lock --check` then called stale for ever."""
    site = _project(small, tmp_path, *web)
    site.run("lock")
    path = site.folder / f"locks/kit/{NATIVE.replace('/', '-')}.sources.toml"
    assert path.is_file()
    text = (site.folder / "stacks.toml").read_text()
    (site.folder / "stacks.toml").write_text(text.partition("[[images.kit")[0] + '[images.kit]\nfrom = "base"\n')
    assert site.try_("lock", "--check").code == 1
    site.run("lock")
    assert not path.exists() and site.run("lock", "--check").code == 0
