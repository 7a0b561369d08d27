"""A registry, asked for images: the pulling half of the OCI distribution protocol (`upload.py` has the other).

    HEAD /v2/<repository>/manifests/<tag>      the digest that a tag names now
    GET  /v2/<repository>/manifests/<name>     a manifest or an index; its digest is taken of what came
    GET  /v2/<repository>/blobs/<digest>       a blob; large ones come by `net.Client.download`

HTTPS, unless the registry is on this machine's loopback interface or named in `$STACKBUILD_PLAIN_HTTP`. Whoever asks
is anonymous until the registry refuses that; then a token is fetched where the refusal says (bearer), or user and
password are sent (basic).

Sources: OCI distribution-spec v1.1; Docker's token authentication specification; RFC 9110 §11, RFC 6750.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from threading import Lock as Mutex
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from builder.credentials import refuse_in_clear
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.net import Answer, Client
from builder.proxies import loopback
from builder.redaction import redact
from builder.transports import docker_config
from builder.transports.docker_config import Credentials
from builder.transports.document import INDEX_TYPES, MANIFEST_TYPES, Document

_LIMIT = 4 << 20
"""Bytes of a manifest or a config: what the distribution spec asks registries to take at least."""
_HUB = ("docker.io", "registry-1.docker.io")
_PLAIN = "STACKBUILD_PLAIN_HTTP"
_PARAMETER = re.compile(r'([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


class Registry:
    """One repository of a registry; used by many threads."""

    def __init__(self, client: Client, host: str, repository: str, environ: Mapping[str, str]) -> None:
        plain = _plain(host, environ)
        address = _HUB[1] if host == _HUB[0] else host
        self.host = host
        self.repository = repository
        self.name = f"{host}/{repository}"
        self.base = f"{'http' if plain else 'https'}://{address}/v2/{repository}"
        self.client = client
        self._tokens = _Tokens(client, host, environ, plain=plain)
        client.trust(f"{self.base}/", self._tokens)

    def url(self, digest: Digest) -> str:
        """Where a blob is."""
        return f"{self.base}/blobs/{digest}"

    def head(self, tag: str) -> Digest | None:
        """The digest that a tag names now, None where the registry has no such tag.

        Raises:
            Unreachable: no answer.
            StackbuildError: the registry refuses.
        """
        answer = self.client.exchange("HEAD", f"{self.base}/manifests/{tag}", headers=_ACCEPT)
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise self.refused(tag, answer)
        told = answer.headers.get("docker-content-digest", "")
        return Digest.parse(told) if told else self.document(tag).digest

    def document(self, name: str) -> Document:
        """The manifest or index of a tag or a digest.

        Raises:
            Unreachable: no answer.
            StackbuildError: the registry has none, or refuses.
            HostileInput: it has another digest than was asked for, or than the registry claims.
        """
        answer = self._got(f"{self.base}/manifests/{name}")
        if answer.status >= 400:
            raise self.refused(name, answer)
        return self._document(name, answer)

    def found(self, url: str) -> Document | None:
        """A document of this repository, None where there is none; errors otherwise as `document`."""
        answer = self._got(url)
        name = url.rpartition("/")[2].partition("?")[0]
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise self.refused(name, answer)
        return self._document(name if url == f"{self.base}/manifests/{name}" else "", answer)

    def _got(self, url: str) -> Answer:
        return self.client.exchange("GET", url, headers=_ACCEPT, limit=_LIMIT)

    def _document(self, name: str, answer: Answer) -> Document:
        digest = Digest.of(answer.body)
        told = answer.headers.get("docker-content-digest", "")
        asked = name if name.startswith("sha256:") else ""
        for expected in (asked, told if told.startswith("sha256:") else ""):
            if expected and expected != digest:
                raise HostileInput(f"wrong digest: manifest of {self.name}", expected=expected, got=digest)
        return Document(media_type=answer.headers.get("content-type", ""), digest=digest, body=answer.body)

    def blob(self, digest: Digest, size: int) -> bytes:
        """A small blob, such as a config.

        Raises:
            Unreachable: no answer.
            StackbuildError: the registry has none, or refuses.
            HostileInput: it has another digest or size.
        """
        answer = self.client.exchange("GET", self.url(digest), limit=min(size, _LIMIT))
        if answer.status >= 400:
            raise self.refused(digest, answer)
        if Digest.of(answer.body) != digest or len(answer.body) != size:
            raise HostileInput(
                f"wrong digest: blob of {self.name}",
                expected=f"{digest}, {size} bytes",
                got=f"{Digest.of(answer.body)}, {len(answer.body)} bytes",
            )
        return answer.body

    def pushing(self) -> None:
        """Ask for tokens that may push from now on: some registries do not say that it is what they lack."""
        self._tokens.want(f"repository:{self.repository}:pull,push")

    def deleting(self) -> None:
        """Ask for tokens that may delete from now on."""
        self._tokens.want(f"repository:{self.repository}:pull,delete")

    def vouch(self, url: str) -> None:
        """Let an upload that the registry sent to `url` have its login if that is the registry itself, else none."""
        here, there = urlsplit(self.base), urlsplit(url)
        if not url.startswith(f"{self.base}/"):
            same = (here.scheme, here.netloc) == (there.scheme, there.netloc)
            self.client.trust(url, self._tokens if same else _Nobody())

    def mounting(self, source: str) -> str:
        """The URL that mounts a blob of another repository of the host; its digest is to be added.

        A token for it names both repositories: registries refuse no request for want of the second one's, they only
        decline to mount.
        """
        url = f"{self.base}/blobs/uploads/?from={quote(source, safe='')}&mount="
        self.client.trust(url, self._tokens.also(f"repository:{source}:pull"))
        return url

    def refused(self, name: str, answer: Answer) -> StackbuildError:
        """A refusal in words."""
        got = f"HTTP {answer.status}{_words(answer.body)}"
        whole = f"{self.name}{'@' if name.startswith('sha256:') else ':'}{name}"
        if answer.status == 404:
            return StackbuildError(
                f"no such image: {whole}", got=got, next_step="correct it in stacks.toml, or look for another tag"
            )
        host = self.name.partition("/")[0]
        return StackbuildError(
            f"the registry refuses: {whole}",
            got=got,
            next_step=f"docker login {host}" if answer.status in {401, 403} else "",
        )


_ACCEPT: Mapping[str, str] = {"Accept": ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))}


def _plain(host: str, environ: Mapping[str, str]) -> bool:
    """Whether the registry speaks plain HTTP: on the loopback interface, or because the user says so."""
    if host in environ.get(_PLAIN, "").replace(",", " ").split():
        return True
    return loopback(_hostname(host))


def _hostname(host: str) -> str:
    return host.rpartition(":")[0].strip("[]") if re.search(r":[0-9]+$", host) else host.strip("[]")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _words(body: bytes) -> str:
    """The registry's own words for a refusal, cut short: `: MANIFEST_UNKNOWN (…)` (distribution-spec, error codes)."""
    try:
        first = json.loads(body)["errors"][0]
        said = f"{first['code']} ({first.get('message', '')})"
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    return ": " + "".join(one for one in said if one.isprintable())[:200]


class _Nobody:
    """Says that nobody asks. A `requester.Authority`."""

    def header(self) -> str:
        return ""

    def refused(self, challenge: str, sent: str) -> bool:
        return False


class _Tokens:
    """Says who asks in one repository: nobody, until that is refused. A `requester.Authority`."""

    def __init__(
        self, client: Client, host: str, environ: Mapping[str, str], *, plain: bool, scopes: Sequence[str] = ()
    ) -> None:
        self._scopes = dict.fromkeys(scopes)
        self._client = client
        self._host = host
        self._environ = environ
        self._plain = plain
        self._private = not plain or loopback(_hostname(host))
        """Whether nobody on the way can pretend to be the registry, and have a login sent to where he likes."""
        self._mutex = Mutex()
        self._header = ""

    def also(self, scope: str) -> _Tokens:
        """The same for requests that need one more scope."""
        return _Tokens(self._client, self._host, self._environ, plain=self._plain, scopes=(scope,))

    def want(self, scope: str) -> None:
        """Ask for that scope too, whatever the registry names."""
        with self._mutex:
            self._scopes[scope] = None

    def header(self) -> str:
        return self._header

    def refused(self, challenge: str, sent: str) -> bool:
        """Answer a challenge, or see that another thread did.

        Raises:
            StackbuildError: the token service refuses, or lies where no secret may be sent.
        """
        with self._mutex:
            if self._header != sent:
                return True
            scheme, _, rest = challenge.strip().partition(" ")
            known = docker_config.find(self._host, self._environ) if self._private else None
            if scheme.lower() == "basic":
                self._header = known.basic() if known and known.user else ""
            elif scheme.lower() == "bearer":
                parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
                self._header = "Bearer " + self._token(parameters, known)
            return self._header not in {"", sent}

    def _token(self, parameters: Mapping[str, str], known: Credentials | None) -> str:
        realm = parameters.get("realm", "")
        if _scheme(realm) != "https" and not (self._plain and _scheme(realm) == "http"):
            raise HostileInput(
                f"the registry {self._host} wants a password over plain HTTP", expected="https", got=redact(realm)
            )
        if known is not None:
            refuse_in_clear(realm)
        # What was asked for stays asked for: a token that may pull only is of no use to threads that push.
        self._scopes.update(dict.fromkeys(parameters.get("scope", "").split()))
        asked = [("service", parameters["service"])] if "service" in parameters else []
        headers = {"Authorization": known.basic()} if known and known.user else {}
        if known and known.token:
            form = {"grant_type": "refresh_token", "client_id": "stackbuild", "refresh_token": known.token}
            asked += [("scope", " ".join(self._scopes))] if self._scopes else []
            answer = self._client.exchange(
                "POST",
                realm,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                unsigned=True,
                body=urlencode([*asked, *form.items()]).encode(),
            )
        else:
            query = urlencode([*asked, *(("scope", scope) for scope in self._scopes)])
            url = f"{realm}{'&' if '?' in realm else '?'}{query}"
            answer = self._client.exchange("GET", url, headers=headers, unsigned=True)
        if answer.status >= 400:
            raise StackbuildError(
                f"the registry {self._host} gives no token",
                where=redact(realm),
                got=f"HTTP {answer.status}, {'with' if known else 'without'} credentials of this machine",
                next_step=f"docker login {self._host}",
            )
        try:
            said: Mapping[str, Any] = json.loads(answer.body)
            token = said.get("token") or said["access_token"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            token = ""
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise Unreachable(f"no token from the registry {self._host}", where=redact(realm), got="another answer")
        return token
