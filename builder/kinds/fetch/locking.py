"""Lock and check the fetched files of one target.

There is nothing to solve: a pin is what the URL holds when it is locked. While its request stays, so does the pin, and
nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock as Mutex

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, raise_all
from builder.kinds.fetch import lockfile
from builder.kinds.fetch.checksum import LIMIT, told
from builder.kinds.fetch.request import KIND, Request, requests
from builder.lock import Lock, Pin
from builder.locking import Making, inherited_locks, relative
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.net import Client
from builder.store import Store


class Downloads:
    """The files that one run of `lock` learns, each URL once, for all targets. `told` says a line to the user."""

    def __init__(self, client: Client, store: Store, told: Callable[[str], None] = lambda _: None) -> None:
        self._client = client
        self._store = store
        self._say = told
        self._mutex = Mutex()
        self._known: dict[str, Future[tuple[Digest, int]]] = {}

    def learn(self, request: Request) -> tuple[Digest, int]:
        """Digest and size in bytes of what the URL holds now; the file is in the store then.

        Raises:
            Unreachable: the file or its checksum file cannot be had.
            HostileInput: the checksum file tells another digest, or none.
        """
        expected = self._told(request) if request.checksum else None
        with self._mutex:
            future = self._known.get(request.url)
            mine = future is None
            if future is None:
                future = self._known[request.url] = Future()
        if mine:
            try:
                self._say(f"fetching {request.name} {request.version}")
                with self._store.new_source() as incoming:
                    future.set_result(self._client.learn(request.url, incoming))
            except BaseException as error:
                future.set_exception(error)
        digest, size = future.result()
        if expected is not None and digest != expected:
            raise HostileInput(
                f"the checksum file disagrees: {request.name} {request.version}",
                where=f"{request.url}\n{request.checksum}",
                expected=expected,
                got=f"{digest}; nothing was locked",
                next_step="ask the publisher which of the two is right",
            )
        return digest, size

    def _told(self, request: Request) -> Digest:
        return told(self._client.get(request.checksum, limit=LIMIT), request.filename, request.checksum)


def prepare(making: Making) -> Downloads:
    """What all targets of one run share: each URL is fetched once."""
    return Downloads(making.client, making.store, making.told)


def make(making: Making, target: Target, downloads: Downloads) -> dict[str, tuple[Lock, str]]:
    """The target's lock and its text, or nothing where it fetches nothing.

    Raises:
        Problems: files that cannot be had, or that are not what their publisher tells.
    """
    asked = requests(making.manifest, target)
    if not asked:
        return {}
    raise_all(_inherited(making.manifest, target, making.locks, asked))
    old = making.locks.read(target, KIND) if making.keep else None
    moving = making.upgrade | (making.vanished(old) if old and making.refresh_missing else frozenset())
    pins = making.client.each(lambda one: _pin(one, old, moving, downloads), asked)
    lock = Lock(request=_lines(asked), pins=tuple(pins))
    return {KIND: (lock, lockfile.dumps(lock))}


def _pin(request: Request, old: Lock | None, moving: frozenset[str], downloads: Downloads) -> Pin:
    kept = old.pin(request.name) if old else None
    if kept is not None and request.name not in moving and lockfile.line(kept) == request.line:
        return kept
    return lockfile.pin(request, *downloads.learn(request))


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's lock from answering the manifest; needs no network."""
    asked = requests(manifest, target)
    lock = locks.read(target, KIND)
    path = relative(manifest, locks.path(target, KIND))
    step = f"stackbuild lock {target.image}"
    if lock is None:
        missing = StackbuildError(f"lock is missing: {target}, {KIND}", where=path, next_step=step)
        return [missing] if asked else []
    if not asked:
        got = "the manifest asks for nothing of that kind any more"
        return [StackbuildError(f"lock is stale: {target}, {KIND}", where=path, got=got, next_step=step)]
    found = _inherited(manifest, target, locks, asked)
    wanted = {one.name: one.line for one in asked}
    locked = {one.name: lockfile.line(one) for one in lock.pins}
    for name in sorted(wanted.keys() | locked.keys()):
        if wanted.get(name) != locked.get(name):
            found.append(
                StackbuildError(
                    f"lock is stale: {target}, {KIND} {name}",
                    where=manifest.where(target, KIND, name),
                    expected=f"{wanted.get(name, 'nothing of that name')}, as the manifest asks",
                    got=f"{locked.get(name, 'no such pin')} in {path}",
                    next_step=step,
                )
            )
    return found


def _lines(asked: Sequence[Request]) -> tuple[str, ...]:
    return tuple(sorted(one.line for one in asked))


def _inherited(manifest: Manifest, target: Target, locks: Locks, asked: Sequence[Request]) -> list[StackbuildError]:
    """A name that an ancestor pins is taken: the child would lay its file over the ancestor's."""
    taken = {
        pin.name: (image, pin) for image, lock in inherited_locks(manifest, locks, target, KIND) for pin in lock.pins
    }
    return [
        StackbuildError(
            f"child may not move its parent: {target.image} fetches {one.name} {one.version}, "
            f"{taken[one.name][0]} has {taken[one.name][1].version}",
            where=manifest.where(target, KIND, one.name),
            next_step=f"move it in {taken[one.name][0]}, or leave it out here",
        )
        for one in asked
        if one.name in taken
    ]
