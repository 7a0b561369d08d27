"""Where a locked tarball may be fetched: below the registry that this machine says, at the path in the lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

from builder import credentials
from builder.kinds.npm import npm
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.net import Client


def finder(manifest: Manifest, client: Client, environ: Mapping[str, str]) -> Callable[[Pin], Sequence[str]]:
    """URLs of any pin; npm is asked for its registry at most once."""
    registry = cache(lambda: reached(npm.registry(environ), client))
    return lambda pin: (url(registry(), pin.filename),)


@dataclass(frozen=True, slots=True, repr=False)
class _Bearer:
    """A token, as registries of npm take it (RFC 6750)."""

    token: str

    def header(self) -> str:
        return f"Bearer {self.token}"

    def refused(self, challenge: str, sent: str) -> bool:
        return False


def reached(registry: str, client: Client) -> str:
    """The registry's URL as the client shall have it: a token alone is handed to the client, and is not in it."""
    bare, login = credentials.split(registry)
    if login is None or login.user not in {"", credentials.TOKEN}:
        return registry
    credentials.refuse_in_clear(bare)
    client.trust(f"{bare}/", _Bearer(login.password or ""))
    return bare


def url(registry: str, path: str) -> str:
    """The URL of a path below a registry."""
    return f"{registry}/{quote(path, safe='/@+~')}"
