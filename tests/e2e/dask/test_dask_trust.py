"""Who takes part in a cluster, and whom its clients believe."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.signing import Signer
from tests.e2e.dask.cluster import (
    cluster,
    configured,
    elsewhere,
    joined,
    secured,
    with_scripts,
)
from tests.e2e.project import Site
from tests.e2e.services import Registry
from tests.loopback import certificates


@pytest.mark.catalogue  # Who has no certificate asks for ten seconds.
def test_certificates_decide_who_takes_part(site: Site, tmp_path: Path) -> None:
    """As docs/distributed.md says: a scheduler of Dask's own, whose authority is ours alone."""
    ours, theirs = (configured(tmp_path / name, certificates(tmp_path / f"{name}-tls")) for name in ("ours", "theirs"))
    with secured(tmp_path / "cluster", ours) as found, joined(found, "one", env=ours):
        order = ("build", "laid", *elsewhere(found))
        for stranger in (site.try_(*order), site.try_(*order, env=theirs)):
            assert stranger.code == 1
            assert f"no scheduler answers: {found.address}" in stranger.err
        assert site.run(*order, env=ours).performed


def test_a_scheduler_on_another_machine_is_known_by_its_certificate(site: Site) -> None:
    said = site.try_("build", "laid", "--executor", "dask", "--scheduler", "tcp://192.0.2.1:8786")
    assert said.code == 1
    assert "expected: tls://192.0.2.1:8786" in said.err


def signing(folder: Path, name: str) -> tuple[str, str]:
    """A private key's file, and its public key as the manifest has it."""
    path = folder / f"{name}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True)
    return str(path), Signer(str(path)).public


def test_workers_sign_and_clients_have_no_key(small: Site, registry: Registry, tmp_path: Path) -> None:
    """A worker without the key, or with another one, says so; nothing that it could leave would be believed."""
    key, public = signing(tmp_path, "ours")
    other, stranger = signing(tmp_path, "theirs")
    site = with_scripts(small, registry, tmp_path, f'keys = ["{public}"]')
    with cluster(tmp_path / "cluster", 0) as found:
        with joined(found, "bare"):
            said = site.try_("build", "laid", *elsewhere(found))
            assert said.code == 1
            assert said.err.count("nobody would believe what is written to") == 1
            assert "on the worker bare" in said.err
            assert "expected: a key to sign with in STACKBUILD_CACHE_KEY" in said.err
        with joined(found, "wrong", env={"STACKBUILD_CACHE_KEY": other}):
            said = site.try_("build", "laid", *elsewhere(found))
            assert said.code == 1
            assert "STACKBUILD_CACHE_KEY is not among the keys that are believed" in said.err
            assert "on the worker wrong" in said.err
            assert f"got: {stranger}" in said.err
        with joined(found, "right", env={"STACKBUILD_CACHE_KEY": key}):
            assert site.run("build", "laid", *elsewhere(found)).performed
    reader = site.copy(tmp_path / "reader", store=small.clone(tmp_path / "clone").store_path)
    assert "cache: took" in reader.run("build", "laid", "--no-start", "--require-signature").err
    assert reader.digests("laid") == site.digests("laid")
