"""Who we are, to whom: logins by URL. They are handed to whoever sends them, and written nowhere.

    1. STACKBUILD_CREDENTIAL_<NAME>    for the place of that name: archive, index, channel; `NPM`
    2. user info of the URL itself, which came from the environment or a configuration file of this machine
    3. `keyring`, where that user info has a user and no password
    4. a netrc: $NETRC, else ~/.netrc; an entry for the host, never its `default`

1 is written into the URL where a place's name becomes a URL (`placed`); so within the program a login travels with its
URL, and the HTTP client takes it out (`Logins.of`). Nobody gets one over plain http but this machine itself.
"""

from __future__ import annotations

import netrc
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock as Mutex
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from builder.errors import StackbuildError
from builder.proxies import loopback
from builder.redaction import redact
from builder.user_config import variable

TOKEN: Final = "__token__"
"""The user of a credential that is a token alone, as package indexes have it."""
_TOKEN: Final = re.compile(r"://[^\s?#]*?/t/([^\s/?#]+)")
"""Channels may have one in their path."""
_KEYRING_SECONDS: Final = 120
"""Long enough for a person to unlock it."""


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A user and a password; None where only a keyring may know it. Never printed."""

    user: str
    password: str | None = None

    @property
    def pair(self) -> tuple[str, str]:
        return self.user, self.password or ""


def split(url: str) -> tuple[str, Login | None]:
    """The URL without user info, and what that said.

    Raises:
        ValueError: the text is no URL.
    """
    parts = urlsplit(url)
    info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, colon, password = info.partition(":")
    login = Login(unquote(user), unquote(password) if colon else None)
    bare = urlunsplit(parts._replace(netloc=host))
    return bare, login if login.user or login.password else None


def joined(url: str, login: Login | None) -> str:
    """The URL with a login in it, instead of its own."""
    if login is None:
        return url
    parts = urlsplit(split(url)[0])
    info = quote(login.user, safe="") + ("" if login.password is None else ":" + quote(login.password, safe=""))
    return urlunsplit(parts._replace(netloc=f"{info}@{parts.netloc}"))


def refuse_in_clear(url: str) -> None:
    """Raises: StackbuildError: whatever is sent to that URL can be read on the way."""
    if not _private(url):
        raise StackbuildError(
            f"credentials would travel in clear: {redact(url)}",
            expected="https, or a host of this machine",
            next_step="use the https URL of that place, or take the credentials out",
        )


def _private(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"https", "file"} or loopback(parts.hostname or "")


def named(name: str, environ: Mapping[str, str]) -> Login | None:
    """What STACKBUILD_CREDENTIAL_<NAME> says: `user:password`, or a token alone."""
    found = environ.get(variable("CREDENTIAL", name), "")
    user, colon, password = found.partition(":")
    return (Login(user, password) if colon else Login("", found)) if found else None


def placed(url: str, login: Login | None) -> str:
    """The URL of a place with the login that its name has; a token alone is for the URL's user, or `TOKEN`."""
    try:
        own = split(url)[1]
        if login is not None and not login.user:
            login = Login(own.user if own and own.user else TOKEN, login.password)
        return joined(url, login)
    except ValueError:
        return url  # The client says that it is none.


class Logins:
    """The logins that one environment knows. Safe with many threads.

    Args:
        environ: as `user_config.environment` gives it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._mutex = Mutex()
        self._hosts: dict[str, Login] | None = None

    def of(self, url: str) -> Login | None:
        """The login for a URL: its user info, completed by the keyring, else the netrc's for its host.

        Raises:
            ValueError: the text is no URL.
            StackbuildError: it has a login, which would travel in clear; the netrc is none.
        """
        bare, own = split(url)
        parts = urlsplit(bare)
        host = parts.hostname or ""
        if own is None:
            return self._netrc(host, parts.port) if _private(bare) else None
        refuse_in_clear(bare)
        if own.password is None:
            return Login(own.user, self._keyring(bare, host, own.user))
        return own

    def _netrc(self, host: str, port: int | None) -> Login | None:
        with self._mutex:
            if self._hosts is None:
                self._hosts = read_netrc(self._environ)
            return self._hosts.get(f"{host}:{port}") or self._hosts.get(host)

    def _keyring(self, url: str, host: str, user: str) -> str:
        program = shutil.which("keyring", path=self._environ.get("PATH"))
        services = (url, host) if program else ()
        return next(filter(None, (_ask(str(program), one, user) for one in services)), "")


@cache
def _ask(program: str, service: str, user: str) -> str:
    """What the keyring's own program answers, "" for nothing. Asked once in a run, as it may ask a person."""
    try:
        done = subprocess.run(
            [program, "get", service, user],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_KEYRING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").rstrip("\r\n") if done.returncode == 0 else ""


def netrc_path(environ: Mapping[str, str]) -> Path:
    """Where the netrc is, or would be."""
    return Path(environ.get("NETRC") or Path(environ.get("HOME") or Path.home(), ".netrc"))


def read_netrc(environ: Mapping[str, str]) -> dict[str, Login]:
    """The netrc's logins by host, without the one for all others: it would be sent to hosts that nobody meant.

    Raises:
        StackbuildError: the file is no netrc; its words are not shown.
    """
    path = netrc_path(environ)
    try:
        found = netrc.netrc(str(path))
    except (OSError, UnicodeDecodeError):
        return {}
    except netrc.NetrcParseError as error:
        raise StackbuildError("not a netrc", where=f"{path}:{error.lineno}", next_step="correct that line") from None
    return {host: Login(entry[0] or "", entry[2] or "") for host, entry in found.hosts.items() if host != "default"}


def secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every secret that an environment tells, for `redact`; a keyring's are not among them.

    Args:
        environ: as `user_config.environment` gives it.
    """
    found = set(_told(environ))
    with suppress(StackbuildError):  # It is being told already, or nothing needed it.
        found |= {one for login in read_netrc(environ).values() for one in _parts(login)}
    return tuple(sorted(filter(None, found)))


def _told(environ: Mapping[str, str]) -> Iterator[str]:
    for name, said in environ.items():
        if name.startswith("STACKBUILD_CHANNEL_"):
            yield from _TOKEN.findall(said)
        if name.startswith("STACKBUILD_CREDENTIAL_"):
            yield from (said, said.partition(":")[2])
        for word in said.split() if "://" in said and "@" in said else ():
            try:
                login = split(word)[1]
            except ValueError:
                continue
            yield from _parts(login) if login else ()


def _parts(login: Login) -> Iterator[str]:
    """The password; where there is none, the user is a token."""
    user, password = login.pair
    yield password or user
    if password:
        yield f"{user}:{password}"
