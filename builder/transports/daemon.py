"""A Docker daemon, through Docker's own SDK: finding it, loading images into it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.offline import refuse
from builder.transports import inflated
from builder.transports.archive import stream

if TYPE_CHECKING:
    from docker import DockerClient

_SOCKET = "unix://"
_SECONDS = 600
"""How long a daemon may be silent: unpacking a large layer takes its time."""


def client() -> DockerClient:
    """The daemon that the environment names (`DOCKER_HOST`, or its socket).

    Raises:
        StackbuildError: none answers; offline, it is not on this machine.
    """
    if not is_local():
        refuse(os.environ, "another machine's Docker daemon is used")
    import docker

    with asked(
        "no Docker daemon answers", "start it, or set DOCKER_HOST; without one: stackbuild save --format docker"
    ):
        return docker.from_env(timeout=_SECONDS)


def is_local() -> bool:
    """Whether the daemon is asked through a socket of this machine."""
    return os.environ.get("DOCKER_HOST", _SOCKET).startswith(_SOCKET)


@contextmanager
def asked(what: str, next_step: str = "") -> Iterator[None]:
    """Errors of the SDK, and of the connection below it, as ours."""
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, OSError) as error:
        raise StackbuildError(what, got=" ".join(str(error).split())[:500], next_step=next_step) from None


def load(archive: Iterator[bytes]) -> None:
    """Stream an archive of `archive.stream` into the daemon.

    Raises:
        StackbuildError: no daemon answers, or it refuses; offline, it is not on this machine.
    """
    _load(client(), archive)


@contextmanager
def loaded(result: Mapping[str, Any], name: str, path_of: Callable[[Digest], Path]) -> Iterator[str]:
    """What a built image is called in the daemon, which is given the layers of it that it lacks.

    At the end of the block the daemon has the images again that it had before.

    Args:
        result: of the image's action.
        name: with a tag; nobody else may be using it.
        path_of: where a blob lies, checked.

    Raises:
        StackbuildError: no daemon answers, or it refuses.
    """
    daemon = client()
    wanted = [str(layer["diff_id"]) for layer in result["layers"]]
    try:
        with asked("the Docker daemon does not say what it has"):
            there = [image.attrs for image in daemon.images.list()]
        chains = [list(one.get("RootFS", {}).get("Layers") or ()) for one in there]
        same = next((one for one in there if one["Id"] in {result["config"], result["manifest"]["digest"]}), None)
        if same is not None:
            with asked("the Docker daemon gives an image no name"):
                repository, _, tag = name.rpartition(":")
                daemon.api.tag(same["Id"], repository, tag)
        else:
            common = max((_common(chain, wanted) for chain in chains), default=0)
            _bring(daemon, result, name, path_of, common)
        yield name
    finally:
        from docker.errors import DockerException

        with suppress(DockerException, OSError):
            daemon.images.remove(name)
        daemon.close()


def _bring(
    daemon: DockerClient, result: Mapping[str, Any], name: str, path_of: Callable[[Digest], Path], known: int
) -> None:
    """Load an image, the lowest layers left out, as many as the daemon has in an image of its own.

    The classic image store reads no layer that it has. containerd's asks for every blob, so it gets all.
    """
    whole = inflated.archived(result, (name,), path_of, inflate=True)
    left_out = set(whole.layers[:known])
    blobs = {digest: opened for digest, opened in whole.blobs.items() if digest not in left_out}
    if left_out:
        with suppress(StackbuildError):
            return _load(daemon, stream([replace(whole, blobs=blobs)], "docker"))
    return _load(daemon, stream([whole], "docker"))


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """How many layers two images share, from the lowest up."""
    number = 0
    while number < min(len(ours), len(theirs)) and ours[number] == theirs[number]:
        number += 1
    return number


def _load(daemon: DockerClient, archive: Iterator[bytes]) -> None:
    without = "start it, or set DOCKER_HOST; without one: stackbuild save --format docker"
    with asked("the Docker daemon does not take an image", without):
        for answer in daemon.api.load_image(archive):  # type: ignore[no-untyped-call]
            if "error" in answer:
                raise StackbuildError("the Docker daemon refuses an image", got=str(answer["error"])[:500])
