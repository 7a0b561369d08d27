"""How this machine reaches the network: `requests`, told its proxies, CA and logins by us and by nothing else.

`requests` itself would read the environment, send a netrc's password over plain http, and know nothing of the user's
configuration; so its trust in the environment is off, and what it asks for on the way is answered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from builder import __version__
from builder.credentials import Login, Logins, refuse_in_clear, split
from builder.proxies import proxy
from builder.user_config import ca

_PORTS = {"http": 80, "https": 443}
_SHORT = 1 << 16
"""Bytes of an answer that redirects which are read, so that its connection can serve again; nobody needs them."""
_BLOCK = 1 << 18
"""Bytes of a file that are sent at once."""
_HOSTS = 32
_KEPT = 32
"""Connections to one host that stay open for the next request."""


class Connections(HTTPAdapter):
    """The open connections of a run, for all its sessions, in any thread (urllib3's pools are made for that).

    `requests` alone would read the file of certificates for each connection, 20 ms of a core every time.

    Raises:
        StackbuildError: there is no such file of certificates.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = ca(environ) or DEFAULT_CA_BUNDLE_PATH
        folder = Path(found).is_dir()
        self._context = create_urllib3_context()
        self._context.load_verify_locations(None if folder else found, found if folder else None)
        super().__init__(pool_connections=_HOSTS, pool_maxsize=_KEPT)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        more = {"blocksize": _BLOCK, "ssl_context": self._context, **more}
        super().init_poolmanager(connections, maxsize, block, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, proxy_ssl_context=self._context, **more)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context, which every connection has, checks certificates and names (RFC 9110 §4.3.4)."""


class Session(requests.Session):
    """A session of one thread at a time.

    Args:
        environ: as `user_config.environment` gives it.
        logins: shared by the sessions of a run, as are `connections`.
    """

    def __init__(self, environ: Mapping[str, str], logins: Logins, connections: Connections) -> None:
        super().__init__()
        self._environ = environ
        self._logins = logins
        self.trust_env = False
        self.headers["User-Agent"] = f"stackbuild/{__version__}"
        self.hooks["response"].append(_cut)
        self.mount("http://", connections)
        self.mount("https://", connections)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """The request without user info in its URL, and with a login where whoever asks has not given one.

        Raises:
            StackbuildError: a login would travel in clear.
        """
        try:
            bare, _ = split(str(request.url))
            login = None if request.auth else self._logins.of(str(request.url))
        except ValueError:
            raise requests.exceptions.InvalidURL("not a URL") from None
        request.url = bare
        request.auth = request.auth or _basic(login)
        prepared = super().prepare_request(request)
        if "Authorization" in prepared.headers:
            refuse_in_clear(bare)
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """How one request is sent; `requests` would look into the environment here."""
        return {"proxies": self._proxies(str(url)), "stream": stream, "verify": self.verify, "cert": None}

    def rebuild_proxies(self, prepared_request: requests.PreparedRequest, proxies: Any) -> Any:
        """The proxies for where a redirect leads to."""
        found = self._proxies(str(prepared_request.url))
        return super().rebuild_proxies(prepared_request, found)  # type: ignore[no-untyped-call]

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """A redirect keeps the login on the same host; another host gets its own, if a netrc has one, or none."""
        here, there = str(response.request.url), str(prepared_request.url)
        bare, _ = split(there)
        prepared_request.url = bare
        if _origin(here) == _origin(bare):
            return
        prepared_request.headers.pop("Authorization", None)
        if login := self._logins.of(bare):
            prepared_request.prepare_auth(_basic(login), bare)

    def _proxies(self, url: str) -> dict[str, str]:
        found = proxy(url, self._environ)
        return {urlsplit(url).scheme: found} if found else {}


def _cut(response: requests.Response, **_: object) -> None:
    """Read no more than a little of an answer that redirects: `requests` would read, and decompress, all of it."""
    if response.is_redirect:
        response.raw.read(_SHORT, decode_content=False)
        if response.raw.read(1, decode_content=False):
            response.close()


def _basic(login: Login | None) -> Any:
    """RFC 7617 in UTF-8; `requests` would write Latin-1. Typed Any, as its stubs know no bytes here."""
    return tuple(one.encode() for one in login.pair) if login else None


def _origin(url: str) -> tuple[str, str, int | None]:
    """RFC 6454."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
