"""apt's own logins: auth.conf and auth.conf.d (apt_auth.conf(5)), a netrc whose machines may have more than a host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from builder.credentials import Login, joined, split


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One entry: `[protocol://]host[:port][/path]`, and the login for whatever begins so."""

    name: str
    login: Login

    def matches(self, url: str) -> bool:
        """Whether the entry is for a URL; without a protocol it is for https only."""
        parts = urlsplit(url)
        protocol, named, rest = self.name.rpartition("://")
        if parts.scheme != (protocol if named else "https"):
            return False
        host, slash, path = rest.partition("/")
        if host not in {parts.hostname, parts.netloc}:
            return False
        return parts.path.startswith(slash + path)


def read(folder: Path) -> tuple[Machine, ...]:
    """The entries below `/etc/apt`, in the order in which apt looks at them; none of a file that we may not read."""
    parts = sorted(one for one in folder.glob("auth.conf.d/*") if one.suffix in {"", ".conf"})
    found: list[Machine] = []
    for path in (*parts, folder / "auth.conf"):
        try:
            found += parse(path.read_text())
        except (OSError, UnicodeDecodeError):
            continue  # Such a file is for root alone; without it, the mirror itself says that it wants a login.
    return tuple(found)


def parse(text: str) -> Iterator[Machine]:
    """The entries of one file. Unknown words are passed over, as apt does."""
    name, user, password = "", "", ""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = iter(" ".join(lines).split())
    for word in words:
        if word == "machine":
            if name and (user or password):
                yield Machine(name=name, login=Login(user, password))
            name, user, password = next(words, ""), "", ""
        elif word == "login":
            user = next(words, "")
        elif word == "password":
            password = next(words, "")
    if name and (user or password):
        yield Machine(name=name, login=Login(user, password))


def with_login(url: str, machines: Sequence[Machine]) -> str:
    """The URL with the login of the first entry for it, unless it has one of its own."""
    try:
        if split(url)[1] is not None:
            return url
        return joined(url, next((one.login for one in machines if one.matches(url)), None))
    except ValueError:
        return url  # The client says that it is none.
