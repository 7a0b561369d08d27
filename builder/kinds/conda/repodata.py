"""Repodata of channels as files on disk: fetched by our own client, so that no solver ever sees a credential.

    <store>/repodata/<channel>             the ETag of what was fetched last, and the name of the file
    <store>/repodata/<channel>-<…>.json    the repodata, unpacked; appears whole, before it is named

`<channel>` is the sha256 of the URL. A server is always asked whether its repodata changed; one that gives no ETag
(RFC 9110 §8.8.3) sends all of it each time. The compressed form is taken where there is one.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock as Mutex
from urllib.parse import unquote, urlsplit

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.frames import BadFrame, Frames
from builder.incoming import Incoming
from builder.kinds.conda.places import Channels
from builder.net import Client
from builder.redaction import redact
from builder.store import Store
from builder.user_config import variable

_PACKED = 1 << 30
_UNPACKED = 4 << 30
_FORMS = ("repodata.json.zst", "repodata.json")
_ZSTD = b"\x28\xb5\x2f\xfd"
"""How every zstd frame begins (RFC 8878 §3.1.1). Some servers have it unpacked on the way, by a Content-Encoding."""


class Repodata:
    """The repodata of one run, each file fetched once. Safe with many threads."""

    def __init__(self, channels: Channels, client: Client, store: Store) -> None:
        self._channels = channels
        self._client = client
        self._store = store
        self._found: dict[tuple[str, str], Path] = {}
        self._busy: dict[tuple[str, str], Mutex] = {}
        self._mutex = Mutex()

    def path(self, channel: str, subdir: str) -> Path:
        """The channel's `repodata.json` for one subdir.

        Raises:
            StackbuildError: the channel lacks the subdir, which solvers would pass over in silence.
            Unreachable: the channel does not answer.
            HostileInput: what it sends is longer than any repodata, or broken.
        """
        key = (channel, subdir)
        with self._mutex:
            busy = self._busy.setdefault(key, Mutex())
        with busy:
            if key not in self._found:
                self._found[key] = self._first(channel, subdir)
            return self._found[key]

    def _first(self, channel: str, subdir: str) -> Path:
        """From the first place that has it."""
        lacking: list[str] = []
        silent: list[Unreachable] = []
        for base in self._channels.urls(channel):
            url = f"{base}/{subdir}"
            try:
                found = self._local(url) if url.startswith("file:") else self._fetched(url)
            except Unreachable as error:
                silent.append(error)
                continue
            if found is not None:
                return found
            lacking.append(redact(url))
        if silent:
            raise Unreachable(
                f"channel {channel} does not answer: {subdir}",
                where="\n".join(error.what for error in silent),
                got=", ".join(dict.fromkeys(error.got for error in silent if error.got)),
                next_step=f"try again later, or name a mirror in {variable('CHANNEL', channel)}",
            )
        raise StackbuildError(
            f"channel {channel} has no {subdir}",
            where="\n".join(f"{one}/repodata.json" for one in lacking),
            expected=f"repodata.json for {subdir}; a channel that has no packages for it has an empty one",
            next_step="drop the platform or the channel, or ask the channel's owner",
        )

    def _local(self, url: str) -> Path | None:
        folder = Path(unquote(urlsplit(url).path))
        for form in reversed(_FORMS):
            path = folder / form
            if path.is_file():
                return path if form.endswith(".json") else self._kept(url, path.read_bytes(), "")
        if not folder.parent.is_dir():
            raise Unreachable(f"cannot read {folder.parent}", got="no such folder")
        return None

    def _fetched(self, url: str) -> Path | None:
        mark = self._mark(url)
        form, etag, name = _read_mark(mark)
        forms = [form] if form else list(_FORMS)
        for one in forms:
            headers = {"If-None-Match": etag} if etag else {}
            answer = self._client.exchange("GET", f"{url}/{one}", headers=headers, limit=_PACKED)
            if answer.status == 304 and name:
                return mark.with_name(name)
            if answer.status == 200:
                return self._kept(url, answer.body, answer.headers.get("etag", ""), one)
            if answer.status not in (403, 404, 410):  # Stores of objects answer 403 for what is not there.
                raise Unreachable(f"cannot GET {redact(url)}/{one}", got=f"HTTP {answer.status}")
            if answer.status == 403 and one == _FORMS[-1]:
                raise Unreachable(f"cannot GET {redact(url)}/{one}", got="HTTP 403")
        if form:
            mark.unlink(missing_ok=True)  # The form that was there is gone; perhaps another is there now.
            return self._fetched(url)
        return None

    def _mark(self, url: str) -> Path:
        folder = self._store.path / "repodata"
        folder.mkdir(exist_ok=True)
        return folder / hashlib.sha256(url.encode()).hexdigest()

    def _kept(self, url: str, body: bytes, etag: str, form: str = "") -> Path:
        mark = self._mark(url)
        name = f"{mark.name}-{Digest.of(body).hex}.json"
        path = mark.with_name(name)
        if not path.exists():
            with Incoming(mark.parent, self._store.scratch) as incoming:
                _unpack(body, incoming.write, redact(url))
                incoming.publish(name)
        self._store.write(f"repodata/{mark.name}", json.dumps([form, etag, name]).encode())
        for old in mark.parent.glob(f"{mark.name}-*.json"):
            if old.name != name:
                old.unlink(missing_ok=True)
        return path


def _read_mark(mark: Path) -> tuple[str, str, str]:
    """Form, ETag and file name of what was fetched last; empty where nothing of use was."""
    with suppress(OSError, ValueError):
        form, etag, name = json.loads(mark.read_text())
        if etag and form in _FORMS and mark.with_name(name).is_file():
            return form, etag, name
    return "", "", ""


def _unpack(body: bytes, write: Callable[[bytes], None], where: str) -> None:
    """Write repodata unpacked.

    Raises:
        HostileInput: it is no zstd, or longer than any repodata.
    """
    if not body.startswith(_ZSTD):
        write(body)
        return
    written = 0
    reader = io.BufferedReader(Frames(io.BytesIO(body)), 1 << 20)
    try:
        while chunk := reader.read(1 << 20):
            written += len(chunk)
            if written > _UNPACKED:
                raise HostileInput(f"repodata is too long: {where}", expected=f"at most {_UNPACKED} bytes")
            write(chunk)
    except BadFrame as error:
        raise HostileInput(f"repodata is broken: {where}", got=str(error)) from None
