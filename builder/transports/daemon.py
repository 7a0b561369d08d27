"""A Docker daemon, through Docker's own SDK: loading images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from builder.errors import StackbuildError
from builder.offline import refuse

if TYPE_CHECKING:
    from docker import DockerClient


_SOCKET = "unix://"


def load(archive: Iterator[bytes]) -> None:
    """Stream an archive of `archive.stream` into the daemon that the environment names (`DOCKER_HOST`, or its socket).

    Raises:
        StackbuildError: no daemon answers, or it refuses; offline, it is not on this machine.
    """
    if not os.environ.get("DOCKER_HOST", _SOCKET).startswith(_SOCKET):
        refuse(os.environ, "images are loaded into another machine's Docker daemon")
    import docker
    from docker.errors import DockerException

    try:
        client: DockerClient = docker.from_env(timeout=600)
        for answer in client.api.load_image(archive):  # type: ignore[no-untyped-call]
            if "error" in answer:
                raise StackbuildError("the Docker daemon refuses an image", got=str(answer["error"])[:500])
    except (DockerException, OSError) as error:
        raise StackbuildError(
            "no Docker daemon takes an image",
            got=" ".join(str(error).split())[:300],
            next_step="start it, or set DOCKER_HOST; without one: stackbuild save --format docker",
        ) from None
