"""What `from = "oci:…"` names: an image of a registry, or of a folder in the OCI layout.

    quay.io/jupyter/base-notebook:2026-10-26             a tag
    quay.io/jupyter/base-notebook:2026-10-26@sha256:…    the same, and what it must be, as Renovate writes it
    debian:bookworm                                      short for docker.io/library/debian:bookworm
    ./bases/tensorflow:2.19                              a folder of the project in the OCI layout, and a tag in it

Source: the reference grammar of distribution/reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.digest import Digest
from builder.errors import StackbuildError

_DIGEST = re.compile(r"(.*?)@(sha256:[0-9a-f]{64})")
_TAGGED = re.compile(r"(.*?):([A-Za-z0-9_][A-Za-z0-9._-]{0,127})")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
HUB = "docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One image.

    Attributes:
        host: the registry, with a port if it names one; "" for a folder.
        repository: the repository there, `library/debian`; or the folder's path as written.
        tag: "" for none.
        digest: what the tag must name, or, without one, what is meant; "" for none.
    """

    host: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def name(self) -> str:
        """Without tag and digest, as people know it."""
        return f"{self.host}/{self.repository}" if self.host else self.repository

    @property
    def moves(self) -> bool:
        """Whether what it means may change by itself."""
        return not self.digest

    def __str__(self) -> str:
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.name}{tag}{digest}"


def parse(text: str, where: str = "stacks.toml") -> Reference:
    """The reference that a text writes, without its `oci:`.

    Raises:
        StackbuildError: it is none, or names neither tag nor digest: "latest" must be said.
    """
    rest, digest = text, ""
    if found := _DIGEST.fullmatch(text):
        rest, digest = found[1], Digest(found[2])
    tag = ""
    if (found := _TAGGED.fullmatch(rest)) and "/" not in found[2]:
        rest, tag = found[1], found[2]
    if rest.startswith(("./", "../", "/")):
        if not tag and not digest:
            raise _wrong(text, where, "a tag of the layout")
        return Reference(host="", repository=rest, tag=tag, digest=digest)
    first, slash, path = rest.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        host, repository = first, path
    else:
        host, repository = HUB, rest if slash else f"library/{rest}"
    if host in {"index.docker.io", "registry-1.docker.io"}:
        host = HUB
    if not _HOST.fullmatch(host) or not _REPOSITORY.fullmatch(repository):
        raise _wrong(text, where, "HOST/REPOSITORY:TAG, in lower case")
    if not tag and not digest:
        raise _wrong(text, where, "a tag or a digest; `latest` must be written")
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


def _wrong(text: str, where: str, expected: str) -> StackbuildError:
    return StackbuildError(f"not a reference of an image: oci:{text}", where=where, expected=expected)
