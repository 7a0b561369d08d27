"""How a project reaches registries: this machine's settings, and what its manifest says about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from builder.errors import StackbuildError
from builder.user_config import environment
from builder.workflow.project import Project

_PLAIN = "STACKBUILD_PLAIN_HTTP"


def environ_of(project: Project) -> dict[str, str]:
    """The environment with the user's configuration, and the registries that speak plain HTTP for the manifest."""
    return environ_with(project.manifest.project.plain_http)


def environ_with(plain_http: Iterable[str]) -> dict[str, str]:
    """The environment with the user's configuration, and these registries that speak plain HTTP."""
    environ = environment(os.environ)
    return {**environ, _PLAIN: " ".join([environ.get(_PLAIN, ""), *plain_http])}


def databases_of(environ: Mapping[str, str], places: Sequence[str] = ()) -> tuple[str, ...]:
    """Databases of advisories: those that are named, else those of this machine's settings."""
    return tuple(places) or tuple(environ.get("STACKBUILD_ADVISORIES", "").split())


def parted(name: str) -> tuple[str, str]:
    """Host and repository of what an image is called.

    Raises:
        StackbuildError: it names no registry.
    """
    host, _, repository = name.partition("/")
    if not repository or not (host == "localhost" or "." in host or ":" in host):
        raise StackbuildError(
            f"no registry to push to: {name}",
            expected="a host first: registry.example.com/notebooks/{image}",
            next_step="set repository in [project] of stacks.toml, or: --to HOST/PATH/{image}",
        )
    return host, repository
