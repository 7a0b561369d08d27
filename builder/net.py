"""The only HTTP client: verify, retry, resume.

`Client.download` keeps nothing that was not checked: bytes stream into a temporary file, size and digest are
compared, and only then does the file get its name (`downloading.py`). `Client.get` is for small documents whose caller
verifies them (a signed InRelease, an index page at lock time).

A single request is `requester.py`'s business, and how this machine gets there (proxies, CA, logins) is `session.py`'s.
`file:` URLs are read from disk (`file_urls.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import requests

from builder import downloading, file_urls
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable, raise_all
from builder.incoming import Incoming
from builder.redaction import redact
from builder.requester import ATTEMPTS, Authority, Body, Requester

_CHUNK = 1 << 18
_AT_ONCE = 16
_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service said. `headers` by lower-case name; `url` is the one that answered after redirects."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """An HTTP client for many threads, which share its connections.

    Args:
        environ: says how this machine reaches the network, and whether it may (`offline.py`; `file:` URLs always may);
            the process's own, with the user's configuration, if None.
            It is looked at when something is fetched over the network for the first time.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self._requester = Requester(environ=environ)
        self._threads = ThreadPoolExecutor(_AT_ONCE)

    def each(self, ask: Callable[[_Item], _Found], items: Iterable[_Item]) -> list[_Found]:
        """What `ask` finds for each item, in their order; 16 at a time, whoever else of the run has items.

        So few connections are opened, and the next item finds them open: each one costs a question to the name server
        and a handshake, and hundreds at once are what small name servers drop. `ask` must not come back here.

        Raises:
            Problems: of all the items that raised a StackbuildError.
        """

        def one(item: _Item) -> _Found | StackbuildError:
            try:
                return ask(item)
            except StackbuildError as error:
                return error

        found = list(self._threads.map(one, items))
        raise_all([error for error in found if isinstance(error, StackbuildError)])
        return [result for result in found if not isinstance(result, StackbuildError)]

    def trust(self, prefix: str, authority: Authority) -> None:
        """Let `authority` say who asks for URLs that begin so; of several prefixes, the longest counts.

        What it says goes to that host alone: a redirect to another one is followed without it.
        """
        self._requester.trust(prefix, authority)

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        limit: int = 4 << 20,
        once: bool = False,
        unsigned: bool = False,
    ) -> Answer:
        """One request to a service whose refusals mean something: its answer, whatever the status below 500.

        Args:
            once: whether it may not be sent again by itself, as what it does is not the same the second time; any
                status is an answer then.
            unsigned: without whom `trust` names: for an authority's own requests.

        Raises:
            Unreachable: no answer, or a server that fails.
            HostileInput: more than `limit` bytes.
        """
        attempts = 1 if once else ATTEMPTS
        with self._requester.ask(
            method,
            url,
            dict(headers or {}),
            stream=True,
            body=body,
            refusals=True,
            attempts=attempts,
            unsigned=unsigned,
        ) as answer:
            return Answer(
                url=answer.url,
                status=answer.status_code,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=b"".join(_limited(answer, limit)),
            )

    def get(self, url: str, *, limit: int = 256 << 20, headers: Mapping[str, str] | None = None) -> bytes:
        """The body of one small document, at most `limit` bytes.

        Raises:
            Unreachable: no answer, or one that is not 200.
            HostileInput: more than `limit` bytes.
        """
        return b"".join(self._retried(url, limit, dict(headers or {})))

    def page(self, url: str, *, limit: int = 256 << 20, headers: Mapping[str, str] | None = None) -> tuple[str, bytes]:
        """Like `get`, with the URL that answered first: relative links count from there (RFC 3986 §5.1.3).

        Raises:
            Unreachable: no answer, or one that is not 200.
            HostileInput: more than `limit` bytes.
        """
        if file_urls.path_of(url) is not None:
            return url, self.get(url, limit=limit)
        with self._requester.ask("GET", url, dict(headers or {}), stream=True) as answer:
            return answer.url, b"".join(_limited(answer, limit))

    def range(self, url: str, start: int, end: int | None = None) -> tuple[bytes, int]:
        """Bytes `start` to before `end` of a file, and the size in bytes that the server claims for the whole.

        A negative `start` without `end` means the last bytes (RFC 9110 §14.1.2); a shorter file comes whole.

        Raises:
            Unreachable: no answer, or the server does not do ranges.
        """
        if (path := file_urls.path_of(url)) is not None:
            with file_urls.opened(path) as stream:
                whole = path.stat().st_size
                first = max(0, whole + start) if start < 0 else start
                stream.seek(first)
                return stream.read(max(0, (whole if end is None else end) - first)), whole
        wanted = f"bytes={start}" if start < 0 else f"bytes={start}-{'' if end is None else end - 1}"
        with self._requester.ask("GET", url, {"Accept-Encoding": "identity", "Range": wanted}, stream=True) as answer:
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
            if answer.status_code != 206 or found is None:
                raise Unreachable(f"no ranges of {redact(url)}", got=f"HTTP {answer.status_code}")
            first, last, whole = (int(part) for part in found.groups())
            expected = max(0, whole + start) if start < 0 else start
            most = -start if start < 0 else last - first + 1 if end is None else end - start
            body = b"".join(_limited(answer, most))
        if first != expected or len(body) != last - first + 1:
            raise Unreachable(f"wrong range of {redact(url)}", expected=wanted, got=f"bytes {first}-{last}/{whole}")
        return body, whole

    def learn(self, url: str, into: Incoming) -> tuple[Digest, int]:
        """Stream a file of unknown digest into `into`, commit it under what it has; digest and size in bytes.

        Only for locking, where an index names no sha256; a pinned file comes by `download`.

        Raises:
            Unreachable: no answer, or a broken one.
        """
        return downloading.learn(self._requester, url, into)

    def size(self, url: str) -> int:
        """The size in bytes that the server claims for a file.

        Raises:
            Unreachable: no answer, or one without a length.
        """
        if (path := file_urls.path_of(url)) is not None:
            with file_urls.opened(path) as stream:
                return os.fstat(stream.fileno()).st_size
        answer = self._requester.ask("HEAD", url, {"Accept-Encoding": "identity"})
        length = answer.headers.get("Content-Length")
        if length is None:
            raise Unreachable(f"no size for {redact(url)}", got="an answer without Content-Length")
        return int(length)

    def download(
        self,
        urls: Sequence[str],
        *,
        digest: Digest,
        size: int,
        into: Incoming,
        progress: downloading.Progress | None = None,
    ) -> None:
        """Stream the first URL that holds the file into `into`, and commit it once size and digest are right.

        Raises:
            Unreachable: no URL answered.
            HostileInput: every URL that answered sent other bytes than the pin names.
        """
        wrong: HostileInput | None = None
        missing: Unreachable | None = None
        for url in urls:
            try:
                downloading.fill(self._requester, url, digest=digest, size=size, into=into, progress=progress)
                into.commit(digest)
                return
            except Unreachable as error:
                missing = error
            except HostileInput as error:
                wrong = error
        if wrong is not None:
            raise wrong
        raise missing or Unreachable(f"no source for {digest}")

    def _retried(self, url: str, limit: int, headers: dict[str, str]) -> Iterator[bytes]:
        if (path := file_urls.path_of(url)) is not None:
            yield file_urls.read(path, limit)
            return
        with self._requester.ask("GET", url, headers, stream=True) as answer:
            yield from _limited(answer, limit)


def _limited(answer: requests.Response, limit: int) -> Iterator[bytes]:
    total = 0
    try:
        for chunk in answer.iter_content(_CHUNK):
            total += len(chunk)
            if total > limit:
                raise HostileInput(f"too long: {redact(answer.url)}", expected=f"at most {limit} bytes")
            yield chunk
    except requests.RequestException as error:
        raise Unreachable(f"truncated answer: {redact(answer.url)}", got=type(error).__name__) from None
