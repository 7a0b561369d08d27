"""Who we are to a registry, as Docker's tools keep it: `auths` of config.json, and credential helpers.

Nothing of it is ever written, logged or put into an error; a secret does not even show in a `repr`.
Sources: Docker's `config.json` and the credential helpers' protocol (docker/docker-credential-helpers).
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.errors import StackbuildError

_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
"""What Docker's own registry is called in its tools' files."""
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SECONDS = 60
_TOKEN_USER = "<token>"
"""The user name with which helpers mark an identity token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user and a password, or an identity token that a token service takes instead (RFC 6749 §6)."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(host: str, environ: Mapping[str, str]) -> Credentials | None:
    """What this machine's user has for a registry; None where nothing is kept.

    Looked at: `$REGISTRY_AUTH_FILE`, then `config.json` in `$DOCKER_CONFIG` or `~/.docker`.

    Raises:
        StackbuildError: a file is no JSON, or a helper fails.
    """
    for path in _files(environ):
        settings = _read(path)
        if settings and (found := _of(settings, host, environ, path)):
            return found
    return None


def _files(environ: Mapping[str, str]) -> list[Path]:
    found = [Path(environ["REGISTRY_AUTH_FILE"])] if environ.get("REGISTRY_AUTH_FILE") else []
    if folder := environ.get("DOCKER_CONFIG"):
        found.append(Path(folder) / "config.json")
    elif home := environ.get("HOME"):
        found.append(Path(home) / ".docker/config.json")
    return found


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # A parser's own words may quote the file.
        raise StackbuildError(f"cannot read credentials: {path}", got=type(error).__name__) from None
    return found if isinstance(found, dict) else {}


def _of(settings: Mapping[str, Any], host: str, environ: Mapping[str, str], path: Path) -> Credentials | None:
    keys = (host, f"https://{host}", f"https://{host}/", *((_HUB_KEY, "index.docker.io") if host == _HUB else ()))
    helpers, auths = (_table(settings, name) for name in ("credHelpers", "auths"))
    for key in keys:
        if helper := helpers.get(key):
            return _ask(str(helper), key, environ, path)
    if helper := settings.get("credsStore"):
        for key in (_HUB_KEY,) if host == _HUB else (host,):
            if found := _ask(str(helper), key, environ, path):
                return found
    for key in keys:
        entry = auths.get(key)
        if isinstance(entry, dict) and (found := _entry(entry, path)):
            return found
    return None


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _entry(entry: Mapping[str, Any], path: Path) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return Credentials(token=str(token))
    if auth := entry.get("auth"):
        try:
            user, colon, password = base64.b64decode(str(auth), validate=True).decode().rstrip("\0").partition(":")
        except ValueError:  # Of base64, of UTF-8, of a letter that is neither.
            colon = ""
        if not colon:
            raise StackbuildError(f"cannot read credentials: {path}", expected="auth: base64 of user:password")
        return Credentials(user=user, password=password)
    if name := entry.get("username"):
        return Credentials(user=str(name), password=str(entry.get("password", "")))
    return None


def _ask(helper: str, key: str, environ: Mapping[str, str], path: Path) -> Credentials | None:
    """Ask `docker-credential-<helper> get`; None where it keeps nothing for the registry."""
    if not _HELPER.fullmatch(helper):
        raise StackbuildError("not a credential helper", where=str(path), got=helper[:100])
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=key.encode(), capture_output=True, env=dict(environ), timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackbuildError(
            f"cannot run {program}",
            where=str(path),
            got=type(error).__name__,
            next_step="install it, or take it out of the file",
        ) from None
    if done.returncode:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise StackbuildError(f"{program} failed for {key} (exit {done.returncode})", where=str(path))
    try:
        said = json.loads(done.stdout)
        user, secret = str(said["Username"]), str(said["Secret"])
    except (ValueError, KeyError, TypeError):
        raise StackbuildError(
            f"{program} gave no credentials for {key}", expected="JSON with Username and Secret"
        ) from None
    if not user and not secret:
        return None
    return Credentials(token=secret) if user == _TOKEN_USER else Credentials(user=user, password=secret)
