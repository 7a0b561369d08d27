"""Which remote cache a build uses: what the command, the environment or the manifest names."""

from __future__ import annotations

from collections.abc import Mapping

from builder.cache import Cache, Told
from builder.entry import Trust
from builder.errors import StackbuildError
from builder.net import Client
from builder.offline import offline, refuse
from builder.signing import Signer
from builder.transports.registry import Registry
from builder.workflow.network import environ_of
from builder.workflow.project import Project
from builder.workflow.releases import now

KEY = "STACKBUILD_CACHE_KEY"
_SCHEME = "oci://"


def opened(project: Project, place: str, *, share: bool, told: Told, require_signature: bool = False) -> Cache | None:
    """The cache at a place, or at the manifest's; None where neither is, and for a build without a network.

    Args:
        share: whether it will be written to, so that a key to sign with is needed unless the registry is trusted.
        require_signature: no entry counts that no key of the manifest has signed, though the registry be trusted.

    Raises:
        StackbuildError: the place is none; there is no key.
        Unreachable: it is to be written to, and there may be no network.
    """
    said = project.manifest.cache
    trusted = said.trusted and not require_signature
    registry = located(project, place)
    if registry is None:
        if share:
            raise StackbuildError(
                "no cache to write to", next_step="--cache oci://HOST/REPOSITORY, or place in [cache] of stacks.toml"
            )
        return None
    environ = environ_of(project)
    if share:
        refuse(environ, "what is built is left in a registry")
    if offline(environ):
        told("cache: not asked, as this run is offline")
        return None
    signer = Signer(environ[KEY]) if share and environ.get(KEY) else None
    if share and signer is None and not trusted:
        raise StackbuildError(
            f"nobody would believe what is written to {registry.name}",
            expected=f"a key to sign with in {KEY}"
            + ("" if require_signature else ", or trusted = true in [cache] of stacks.toml"),
        )
    if signer is not None and not trusted and signer.public not in said.keys:
        raise StackbuildError(
            f"{KEY} is not among the keys that are believed",
            expected=" or ".join(said.keys),
            got=signer.public,
            next_step="add it to keys in [cache] of stacks.toml",
        )
    if not (trusted or said.keys):
        told("cache: only files that it has are taken; for results, say in [cache] of stacks.toml whom you trust")
    trust = Trust(registry=trusted, keys=said.keys)
    return Cache(registry, project.store, trust, told, signer, now())


def located(project: Project, place: str) -> Registry | None:
    """The repository of a place `oci://HOST/REPOSITORY`, or of the manifest's; None where neither is.

    Raises:
        StackbuildError: the place is none.
    """
    place = place or project.manifest.cache.place
    return at(place, environ_of(project)) if place else None


def at(place: str, environ: Mapping[str, str]) -> Registry:
    """The repository of a place `oci://HOST/REPOSITORY`. Raises: StackbuildError: it is none."""
    host, slash, repository = place.removeprefix(_SCHEME).partition("/")
    if not place.startswith(_SCHEME) or not slash or not repository or not host:
        raise StackbuildError(f"not a place of a cache: {place}", expected="oci://HOST/REPOSITORY")
    return Registry(Client(environ=environ), host, repository, environ)
