"""One URL into a temporary file, and nothing that was not checked: resumed where a connection breaks, then compared."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

import requests
from urllib3.exceptions import HTTPError

from builder import file_urls
from builder.digest import Digest
from builder.errors import HostileInput, Unreachable
from builder.incoming import Incoming
from builder.redaction import redact
from builder.requester import ATTEMPTS, Requester

Progress = Callable[[int], None]
"""Called with the number of bytes that just arrived."""

_CHUNK = 1 << 18
_RESTART = b""
"""Yielded by `_stream` when a server ignored our Range: what follows begins at byte 0."""


def fill(
    requester: Requester, url: str, *, digest: Digest, size: int, into: Incoming, progress: Progress | None
) -> None:
    """One URL into the temporary file; what a broken connection left is resumed with a Range request.

    Raises:
        Unreachable: no answer, or not all of the file.
        HostileInput: other bytes than the pin names.
    """
    into.truncate()
    hasher, done = hashlib.sha256(), 0
    for attempt in range(ATTEMPTS):
        headers = {"Accept-Encoding": "identity"}
        if done:
            headers["Range"] = f"bytes={done}-"
        try:
            for chunk in _stream(requester, url, headers, resume=done):
                if chunk is _RESTART:
                    into.truncate()
                    hasher, done = hashlib.sha256(), 0
                    continue
                done += len(chunk)
                if done > size:
                    raise HostileInput(f"wrong size: {redact(url)}", expected=f"{size} bytes", got="more than that")
                hasher.update(chunk)
                into.write(chunk)
                if progress:
                    progress(len(chunk))
        except (requests.RequestException, HTTPError):
            pass
        except Unreachable:
            if not done:
                raise
            break  # There is no more of it (HTTP 416), or the server went away for good.
        if done == size:
            break
        if attempt + 1 < ATTEMPTS:
            time.sleep(0.2 * 2**attempt)
    if done != size:
        raise Unreachable(
            f"truncated download: {redact(url)}",
            expected=f"{size} bytes",
            got=f"{done} bytes after {attempt + 1} attempts; nothing was kept",
            next_step="run the same command again",
        )
    got = "sha256:" + hasher.hexdigest()
    if got != digest:
        raise HostileInput(
            f"wrong digest: {redact(url)}",
            expected=digest,
            got=f"{got}; nothing was kept",
            next_step="find out who changed the file; a lock never moves by itself",
        )


def learn(requester: Requester, url: str, into: Incoming) -> tuple[Digest, int]:
    """Stream a file of unknown digest into `into`, commit it under what it has; digest and size in bytes.

    Raises:
        Unreachable: no answer, or a broken one.
    """
    hasher, size = hashlib.sha256(), 0
    try:
        for chunk in _stream(requester, url, {"Accept-Encoding": "identity"}, resume=0):
            hasher.update(chunk)
            size += len(chunk)
            into.write(chunk)
    except (HTTPError, OSError) as error:  # raw streams raise urllib3's own errors
        raise Unreachable(f"truncated download: {redact(url)}", got=type(error).__name__) from None
    digest = Digest("sha256:" + hasher.hexdigest())
    into.commit(digest)
    return digest, size


def _stream(requester: Requester, url: str, headers: dict[str, str], *, resume: int) -> Iterator[bytes]:
    if (path := file_urls.path_of(url)) is not None:
        with file_urls.opened(path) as stream:
            stream.seek(resume)
            while chunk := stream.read(_CHUNK):
                yield chunk
        return
    with requester.ask("GET", url, headers, stream=True) as answer:
        if resume and answer.status_code != 206:
            yield _RESTART
        elif resume and not answer.headers.get("Content-Range", "").startswith(f"bytes {resume}-"):
            raise Unreachable(f"wrong range of {redact(url)}", expected=f"bytes {resume}-")
        yield from answer.raw.stream(_CHUNK, decode_content=False)
