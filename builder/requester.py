"""One request: who asks, tried again on what passes by itself, and in words what to do where it fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock as Mutex
from typing import IO, Protocol, TypeAlias

import requests

from builder.credentials import Logins
from builder.errors import Unreachable
from builder.offline import refuse
from builder.redaction import redact
from builder.session import Connections, Session
from builder.user_config import environment

ATTEMPTS = 4
_TIMEOUT = (15, 60)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = {
    401: "give a login for that host: STACKBUILD_CREDENTIAL_<NAME>, or a netrc",
    407: "put a login into the proxy's URL",
}


@dataclass(frozen=True, slots=True)
class Rest:
    """A file from byte `start` to its end, read while it is sent."""

    path: Path
    start: int = 0

    def open(self) -> IO[bytes]:
        stream = self.path.open("rb")
        stream.seek(self.start)
        return stream


Body: TypeAlias = bytes | Rest


class Authority(Protocol):
    """Says who asks, for everything below one URL; used by many threads (RFC 9110 §11)."""

    def header(self) -> str:
        """The Authorization header, "" for none."""
        ...

    def refused(self, challenge: str, sent: str) -> bool:
        """Learn from an answer 401: its WWW-Authenticate, and the header that it refused. Whether to ask again."""
        ...


class Requester:
    """Sends requests from many threads, over connections that they share. The arguments are those of `net.Client`."""

    def __init__(self, *, environ: Mapping[str, str] | None) -> None:
        self._environ = environ
        self._logins: Logins | None = None
        self._connections: Connections | None = None
        self._idle: list[Session] = []
        self._mutex = Mutex()
        self._authorities: dict[str, Authority] = {}

    def trust(self, prefix: str, authority: Authority) -> None:
        """Let `authority` say who asks for URLs that begin so; of several prefixes, the longest counts."""
        self._authorities.setdefault(prefix, authority)

    def ask(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        stream: bool = False,
        body: Body | None = None,
        refusals: bool = False,
        attempts: int = ATTEMPTS,
        unsigned: bool = False,
    ) -> requests.Response:
        """One request, tried again on what passes by itself (RFC 9110 §15.6; Retry-After is honoured).

        Args:
            refusals: whether an answer 4xx is one too.
            attempts: how often it is sent at most; with 1 and `refusals`, any status is an answer.
            unsigned: without an authority.

        Raises:
            Unreachable: no answer, or a refusal; or this run may use no network.
            StackbuildError: a login would travel in clear, or the user's configuration is wrong.
        """
        refuse(os.environ if self._environ is None else self._environ, f"{redact(url)} is needed")
        reason, hint = "", ""
        for attempt in range(attempts):
            try:
                answer = self._signed(method, url, headers, stream, body, unsigned=unsigned)
            except requests.RequestException as error:
                reason = f"{type(error).__name__}"
                wait = 0.2 * 2**attempt
                if isinstance(error, requests.exceptions.ProxyError):
                    hint = "check the proxy: https_proxy, or [proxy] in the user's configuration"
                elif "CERTIFICATE_VERIFY_FAILED" in str(error):
                    reason = "a certificate that nobody trusted here has signed"
                    hint = "give the CA that signs that host: SSL_CERT_FILE, or [tls] in the user's configuration"
                    break  # Asking again does not make it better.
            else:
                if answer.status_code < 400:
                    return answer
                if refusals and (attempts == 1 or (answer.status_code < 500 and answer.status_code not in PASSING)):
                    return answer
                reason, hint = f"HTTP {answer.status_code}", _REFUSED.get(answer.status_code, "")
                answer.close()
                if answer.status_code not in PASSING:
                    break
                wait = retry_after(answer.headers.get("Retry-After", ""), 0.2 * 2**attempt)
            if attempt + 1 < attempts:
                time.sleep(wait)
        raise Unreachable(f"cannot {method} {redact(url)}", got=reason, next_step=hint)

    def _signed(
        self, method: str, url: str, headers: dict[str, str], stream: bool, body: Body | None, *, unsigned: bool
    ) -> requests.Response:
        """One request as whoever the URL's authority says; again when it learns from a refusal.

        Twice at most: another thread may just have learnt enough for its own request, and not for this one.
        """
        known = () if unsigned else tuple(self._authorities)  # Other threads may add to them.
        prefix = max((one for one in known if url.startswith(one)), key=len, default=None)
        authority = self._authorities[prefix] if prefix is not None else None
        again = 2 if authority is not None else 0
        while True:
            sent = authority.header() if authority else ""
            with self._session() as session:
                signer = _signer(sent, authority)
                with _opened(body) as data:
                    answer = session.request(
                        method,
                        url,
                        headers=headers,
                        stream=stream,
                        timeout=_TIMEOUT,
                        data=data,
                        auth=signer,
                        allow_redirects=body is None,  # What is sent goes where it was told to, and no further.
                    )
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status_code != 401 or not again or authority is None or not authority.refused(challenge, sent):
                return answer
            answer.close()
            again -= 1

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session that no other thread uses meanwhile; the body of an answer may be read later."""
        with self._mutex:
            session = self._idle.pop() if self._idle else self._another()
        try:
            yield session
        finally:
            self._idle.append(session)

    def _another(self) -> Session:
        if self._environ is None:
            self._environ = environment(os.environ)
        if self._logins is None:
            self._logins = Logins(self._environ)
        if self._connections is None:
            self._connections = Connections(self._environ)
        return Session(self._environ, self._logins, self._connections)


@contextmanager
def _opened(body: Body | None) -> Iterator[bytes | IO[bytes] | None]:
    if isinstance(body, Rest):
        with body.open() as stream:
            yield stream
    else:
        yield body


def _signer(
    header: str, authority: Authority | None
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
    """What sets the header. Given as `auth`, because the session has no login of its own to add then."""
    if authority is None:
        return None

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if header:
            request.headers["Authorization"] = header
        return request

    return sign


def retry_after(text: str, default: float) -> float:
    """Seconds to wait, of a Retry-After header (RFC 9110 §10.2.3; its form with a date is not looked at)."""
    return min(float(text), 30.0) if text.isascii() and text.isdigit() else default
