"""Families are locked and built from places that want a login; then all that was left is searched, layers included."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from builder.kinds.apt import keyring, release
from builder.kinds.apt.places import places, read_host
from builder.net import Client
from builder.platforms import NATIVE
from tests.e2e import test_conda
from tests.e2e.conftest import need_network, on_small
from tests.e2e.project import Said, Site
from tests.fake_registry import FakeRegistry
from tests.leaks import leaks
from tests.loopback import Service, basic, serve
from tests.tools import absent

ARCHIVE, INDEX = "deb:Arch1ve-s3cret", "bob:1ndex-s3cret"
SECRETS = ("Arch1ve-s3cret", "1ndex-s3cret")


def mirror(site: Site, service: Service) -> None:
    """Serve what the site was locked and built from: files by their names in its locks, out of its store."""
    project = site.project()
    archive = project.manifest.archives["bookworm"]
    try:
        base = places(archive, "bookworm", read_host(os.environ))[0]
        signed = Client().get(f"{base}/dists/bookworm/InRelease")
    except Exception as error:
        need_network(str(error))
        absent(f"the archive cannot be reached: {error}")
    service.write("debian/dists/bookworm/InRelease", signed)
    keys = keyring.load(archive.keyring, site.folder)
    listed = release.parse(keyring.signed_text(signed, keys, where="InRelease"), where="InRelease").files
    path = f"main/binary-{NATIVE.partition('/')[2]}/Packages.xz"
    index = site.store.source(listed[path].digest)
    if not index.exists():
        absent("the archive has changed since this session locked from it")
    service.write(f"debian/dists/bookworm/{path}", index.read_bytes())
    for action in (one for image in ("base", "tool") for one in site.planned(image).actions):
        for pin in action.sources.values():
            data = site.store.source(pin.digest).read_bytes()
            if pin.kind == "apt":
                service.write(f"debian/{pin.filename}", data)
            else:
                service.publish(pin.name, pin.filename, data)


def left(secrets: Iterable[str], site: Site, said: Iterable[Said], small: Site) -> list[str]:
    """Where they are in what commands said and left behind; what the small project has too is older than they are."""
    texts = [one.out + one.err for one in said]
    return leaks(secrets, (site.folder, site.store_path), texts, clean=small.store_path)


@pytest.fixture
def served(small: Site, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    with ExitStack() as stack:
        archive = stack.enter_context(serve(tmp_path / "served", login=ARCHIVE))
        index = stack.enter_context(serve(tmp_path / "served", login=INDEX, host="localhost"))
        mirror(small, archive)
        yield archive, index


def test_nothing_is_left_of_a_credential(small: Site, served: tuple[Service, Service], tmp_path: Path) -> None:
    archive, index = served
    site = small.copy(tmp_path / "project", store=tmp_path / "store")
    for path in (site.folder / "locks").rglob("*.*"):
        path.unlink()
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine localhost login bob password {SECRETS[1]}\n")
    environ = {
        "STACKBUILD_MIRROR_BOOKWORM": archive.with_login() + "/debian",
        "PIP_INDEX_URL": f"{index.url}/simple",
        "NETRC": str(netrc),
    }
    said = [site.run("lock", env=environ), site.run("build", env=environ), site.run("build", env=environ)]
    said.append(site.try_("lock", "--upgrade", env={**environ, "NETRC": "/dev/null"}))
    assert said[-1].code == 1
    assert {sent for _, sent in archive.seen} == {basic(ARCHIVE)}
    assert {sent for _, sent in index.seen} == {basic(INDEX), ""}
    assert site.digests("base", "tool") == small.digests("base", "tool")  # Where bytes come from changes none of them.
    assert left(SECRETS, site, said, small) == []


def test_nothing_is_left_of_a_channels_credential(small: Site, tmp_path: Path) -> None:
    login = "carol:Ch4nnel-s3cret"
    manifest = test_conda.MANIFEST.replace("./channel", "https://packages.example.com/main")
    site = on_small(small, tmp_path, manifest)
    test_conda.channel(tmp_path / "served/channel")
    with serve(tmp_path / "served", login=login) as service:
        environ = {"STACKBUILD_CHANNEL_MAIN": service.with_login() + "/channel"}
        said = [site.run("lock", env=environ), site.run("build", "lab", "--no-start", env=environ)]
        assert {sent for _, sent in service.seen} <= {basic(login), ""}
        assert basic(login) in {sent for _, sent in service.seen}
        refused = {"STACKBUILD_CHANNEL_MAIN": service.with_login("carol:Wr0ng-s3cret") + "/channel"}
        said.append(site.try_("lock", "--upgrade-package", "libtiny", env=refused))
    assert said[-1].code == 1
    assert said[-1].err
    secrets = ("Ch4nnel-s3cret", "Wr0ng-s3cret")
    assert left(secrets, site, said, small) == []


@pytest.mark.parametrize(  # Who gives a token has been told the login.
    "bearer", [pytest.param(False, id="basic", marks=pytest.mark.catalogue), pytest.param(True, id="token")]
)
def test_nothing_is_left_of_a_registrys_credential(small: Site, tmp_path: Path, bearer: bool) -> None:
    """Of the login in Docker's configuration, nor of the token that the registry gives for it."""
    registry = FakeRegistry()
    registry.repositories["small/base"] = small.store_path / "images"
    registry.login, registry.bearer = ("dave", "R3gistry-s3cret"), bearer
    auth = basic(":".join(registry.login)).removeprefix("Basic ")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    site = small.copy(tmp_path / "project", store=tmp_path / "store")
    for path in (site.folder / "locks").rglob("*.*"):
        path.unlink()
    manifest = f"""
[project]
name = "foreign"
platforms = ["{NATIVE}"]

[layouts.plain]
user = "somebody"
uid = 1000
gid = 0
home = "/home/somebody"

[images.tool]
from = "oci:{registry.host}/small/base:base"
layout = "plain"
overlays = ["tool"]
"""
    (site.folder / "stacks.toml").write_text(manifest)
    try:
        environ = {"DOCKER_CONFIG": str(tmp_path)}
        said = [site.run("lock", env=environ), site.run("build", "--no-start", env=environ)]
        said.append(site.run("shell", "tool", "--", "cat", "/usr/local/bin/tool", env=environ))
        assert registry.tokens if bearer else basic(":".join(registry.login)) in registry.headers
        said.append(site.try_("lock", "--upgrade", env={"DOCKER_CONFIG": str(tmp_path / "nowhere")}))
    finally:
        registry.close()
    assert said[-1].code == 1
    secrets = ("R3gistry-s3cret", *registry.tokens)
    assert left(secrets, site, said, small) == []
