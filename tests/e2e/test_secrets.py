"""A family is locked and built from places that want a login; then all that was left is searched, layers included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from builder.kinds.apt import keyring, release
from builder.kinds.apt.places import places, read_host
from builder.net import Client
from builder.platforms import NATIVE
from tests.e2e.conftest import need_network
from tests.e2e.project import Site
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
    assert leaks(SECRETS, (site.folder, site.store_path), [one.out + one.err for one in said]) == []
