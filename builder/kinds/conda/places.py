"""Where channels are: by their names, on this machine.

A lock names a channel only by its name in the stacks manifest and its public URL there. Where it is on this machine:
`STACKBUILD_CHANNEL_<NAME>` (one or more URLs, separated by spaces), else the manifest's URL, else, for a well-known
name, the public one. A value without a scheme is a folder, relative to the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from builder import credentials
from builder.errors import StackbuildError
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.redaction import redact
from builder.user_config import variable

if TYPE_CHECKING:
    from builder.net import Client

WELL_KNOWN: Final[Mapping[str, str]] = {"conda-forge": "https://conda.anaconda.org/conda-forge"}
"""Channels that need no URL in the manifest."""

_UNKNOWN: Final = "https://channel.invalid"
"""What a lock says of a channel whose URL only this machine knows: the format wants a URL, and `.invalid` leads
nowhere, whoever reads it (RFC 2606 §2)."""


class Channels:
    """The channels of one manifest on this machine.

    Args:
        named: URLs by name, as the stacks manifest has them.
        folder: what a value without a scheme is relative to.
        environ: the process's environment.
    """

    def __init__(self, named: Mapping[str, str], folder: Path, environ: Mapping[str, str]) -> None:
        self._named = named
        self._folder = folder
        self._environ = environ

    def urls(self, name: str) -> tuple[str, ...]:
        """Where the channel is, best first, without a slash at the end; perhaps with user info or a token.

        Raises:
            StackbuildError: nothing says where.
        """
        name_here = variable("CHANNEL", name)
        found = self._environ.get(name_here, "").split() or [self._named.get(name) or WELL_KNOWN.get(name, "")]
        if not found[0]:
            raise StackbuildError(
                f"no such channel: {name}",
                expected=f"one of {', '.join(sorted({*self._named, *WELL_KNOWN}))}",
                next_step=f"add {name} to [channels] in stacks.toml, or set {name_here}",
            )
        return tuple(self._url(name, one).rstrip("/") for one in found)

    def _url(self, name: str, text: str) -> str:
        scheme = urlsplit(text).scheme
        if not scheme:
            return (self._folder / text).resolve().as_uri()
        if scheme not in ("http", "https", "file"):
            raise StackbuildError(f"channel {name} is no http, https or file URL", got=redact(text))
        return credentials.placed(text, credentials.named(name, self._environ))

    def public(self, name: str) -> str:
        """What a lock says of the channel: the manifest's URL or the well-known one; never this machine's own."""
        found = self._named.get(name) or WELL_KNOWN.get(name, "")
        return found.rstrip("/") if urlsplit(found).scheme in ("http", "https") else f"{_UNKNOWN}/{name}"

    def shown(self, name: str) -> str:
        """A URL that another tool on this machine can use: the public one, else this machine's without credentials."""
        found = self.public(name)
        return redact(self.urls(name)[0]) if found.startswith(_UNKNOWN) else found

    def files(self, pin: Pin) -> list[str]:
        """Where a pin's file may be."""
        return [f"{url}/{pin.filename}" for url in self.urls(pin.source)]


def channels_of(manifest: Manifest, environ: Mapping[str, str]) -> Channels:
    """The channels that a manifest's names mean here."""
    return Channels(manifest.channels, manifest.folder, environ)


def finder(manifest: Manifest, _: Client, environ: Mapping[str, str]) -> Callable[[Pin], Sequence[str]]:
    """URLs of any pin, best first."""
    return channels_of(manifest, environ).files
