"""The pushing half of the OCI distribution protocol: blobs, then manifests, then tags.

    HEAD  …/blobs/<digest>                        is it there?
    POST  …/blobs/uploads/?from=<other>&mount=…   201: it is now, without a byte sent; 202: it has to be uploaded
    POST  …/blobs/uploads/                        202: where to upload to
    PUT   <there>&digest=<digest>                 a small blob at once
    PATCH <there>, then PUT                       a large one; where the connection breaks, `GET <there>` tells how far
                                                  it came, and the rest follows. A session that is forgotten starts anew
    PUT   …/manifests/<digest or tag>             a manifest, an index

A well-kept client library for this in Python would be `oras`; it neither mounts nor resumes, and reads a blob into
memory to send it. So this is ours, on the HTTP client.

Source: OCI distribution-spec v1.1, "Push".
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.net import Answer
from builder.requester import ATTEMPTS, PASSING, Rest, retry_after
from builder.transports.registry import Registry

_AT_ONCE = 1 << 20
"""A blob of so many bytes or fewer goes with one request for the session and one for the rest."""
_ROUNDS = 100
"""A blob that is not there after so many requests never will be."""
_STREAM = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


class _Forgotten(Exception):
    """The registry knows nothing of a session any more."""


class Upload:
    """One repository of a registry, written to; used by many threads."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        registry.pushing()
        self._ask = registry.client.exchange

    def has(self, digest: Digest) -> bool:
        """Whether the repository has a blob.

        Raises:
            Unreachable: no answer.
            StackbuildError: the registry refuses.
        """
        answer = self._ask("HEAD", self.registry.url(digest))
        if answer.status not in {200, 404}:
            raise self.registry.refused(digest, answer)
        return answer.status == 200

    def mount(self, digest: Digest, source: str) -> str:
        """Have a blob of another repository of the same host; "" if that worked, else where it may be uploaded to.

        Raises:
            Unreachable: no answer.
            StackbuildError: the registry refuses.
        """
        answer = self._ask("POST", self.registry.mounting(source) + digest, body=b"")
        if answer.status == 201:
            return ""
        return self._session(digest, answer) if answer.status == 202 else self._begun(digest)

    def blob(self, digest: Digest, path: Path, size: int, session: str = "") -> None:
        """Upload a blob that the repository does not have.

        Args:
            path: where its bytes lie; the caller vouches for their digest no more than the registry does.
            session: an upload that was begun by `mount`.

        Raises:
            Unreachable: the registry fails again and again.
            StackbuildError: it refuses, or got other bytes.
        """
        problem: StackbuildError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.2 * 2**attempt)
            try:
                self._fill(session or self._begun(digest), digest, path, size)
                return
            except _Forgotten:
                problem = Unreachable(f"the registry forgot an upload to {self.registry.name}", where=digest)
            except Unreachable as error:
                problem = error
            session = ""
            if self.has(digest):
                return  # The answer alone was lost, or somebody else has pushed it.
        raise problem or Unreachable(f"cannot upload to {self.registry.name}")

    def data(self, digest: Digest, data: bytes) -> None:
        """Upload a small blob that lies in memory; errors as `blob`."""
        if not self.has(digest):
            try:
                self._close(self._begun(digest), digest, data)
            except _Forgotten:
                raise Unreachable(f"the registry forgot an upload to {self.registry.name}", where=digest) from None

    def manifest(self, name: str, media_type: str, body: bytes) -> bool:
        """Write a manifest or an index, under its digest or a tag; whether the registry notes what it is attached to.

        Raises:
            Unreachable: no answer.
            StackbuildError: the registry refuses.
            HostileInput: it says that it has another digest.
        """
        url = f"{self.registry.base}/manifests/{name}"
        answer = self._ask("PUT", url, headers={"Content-Type": media_type}, body=body)
        if answer.status != 201:
            raise self.registry.refused(name, answer)
        self._judge(Digest.of(body), answer)
        return "oci-subject" in answer.headers

    # One upload ----------------------------------------------------------------------------------------------

    def _begun(self, digest: Digest) -> str:
        return self._session(digest, self._ask("POST", f"{self.registry.base}/blobs/uploads/", body=b""))

    def _session(self, digest: Digest, answer: Answer) -> str:
        if answer.status != 202:
            raise self.registry.refused(digest, answer)
        return self._location(answer)

    def _location(self, answer: Answer) -> str:
        """Where an answer says that the upload goes on; never from https to plain HTTP."""
        said = answer.headers.get("location", "")
        schemes = {"https", urlsplit(self.registry.base).scheme}
        try:
            found = urljoin(answer.url, said)
            scheme = urlsplit(found).scheme if said else ""
        except ValueError:
            scheme = ""
        if scheme not in schemes:
            raise HostileInput(
                f"the registry sends an upload of {self.registry.name} elsewhere",
                expected=f"a URL with {' or '.join(sorted(schemes))}",
                got=scheme or "none",
            )
        self.registry.vouch(found)
        return found

    def _fill(self, session: str, digest: Digest, path: Path, size: int) -> None:
        if size <= _AT_ONCE:
            self._close(session, digest, path.read_bytes())
            return
        done, most, idle = 0, 0, 0
        for _ in range(_ROUNDS):
            if done >= size:
                self._close(session, digest, b"")
                return
            try:
                session, done = self._sent(session, path, done, size)
            except Unreachable:
                if idle == ATTEMPTS - 1:
                    raise
                session, done = self._status(session)
            idle = 0 if done > most else idle + 1
            most = max(most, done)
            if idle == ATTEMPTS:
                break
            if idle:
                time.sleep(0.2 * 2**idle)
        raise Unreachable(f"the registry takes nothing more of an upload to {self.registry.name}")

    def _sent(self, session: str, path: Path, done: int, size: int) -> tuple[str, int]:
        """Send the rest of a blob; where to go on, and how many bytes the registry has."""
        headers = {**_STREAM, "Content-Range": f"{done}-{size - 1}"}
        answer = self._ask("PATCH", session, headers=headers, body=Rest(path, done), once=True)
        if answer.status == 416 or answer.status in PASSING:
            time.sleep(retry_after(answer.headers.get("retry-after", ""), 0))
            return self._status(session)
        if answer.status == 404:
            raise _Forgotten
        if answer.status not in {201, 202, 204}:
            raise self.registry.refused("an upload", answer)
        return self._location(answer), self._have(answer, size)

    def _status(self, session: str) -> tuple[str, int]:
        answer = self._ask("GET", session)
        if answer.status == 404:
            raise _Forgotten
        if answer.status not in {200, 202, 204}:
            raise self.registry.refused("an upload", answer)
        return self._location(answer), self._have(answer, 0)

    def _have(self, answer: Answer, otherwise: int) -> int:
        """How many bytes the registry has, of its Range; nothing comes as `0-0`, as one byte does."""
        found = _RANGE.fullmatch(answer.headers.get("range", ""))
        return (int(found[1]) + 1 if found[1] != "0" else 0) if found else otherwise

    def _close(self, session: str, digest: Digest, body: bytes) -> None:
        url = f"{session}{'&' if urlsplit(session).query else '?'}digest={digest}"
        answer = self._ask("PUT", url, headers=_STREAM, body=body)
        if answer.status == 404:
            raise _Forgotten
        if answer.status not in {201, 204}:
            raise self.registry.refused(digest, answer)
        self._judge(digest, answer)

    def _judge(self, digest: Digest, answer: Answer) -> None:
        told = answer.headers.get("docker-content-digest", digest)
        if told != digest:
            raise HostileInput(f"wrong digest: what was pushed to {self.registry.name}", expected=digest, got=told)
