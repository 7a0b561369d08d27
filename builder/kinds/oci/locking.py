"""Lock and check the base image of one target."""

from __future__ import annotations

import os

from builder.errors import Problems, StackbuildError, Unreachable
from builder.fetching import gigabytes
from builder.kinds.oci import inherited_file, lockfile, signed
from builder.kinds.oci.inherited_file import InheritedLock
from builder.kinds.oci.lockfile import BaseLock
from builder.kinds.oci.reference import Reference, parse
from builder.kinds.oci.resolve import gone, look_through, resolve
from builder.kinds.oci.source import Source, of
from builder.lock import Lock
from builder.locking import Making, relative
from builder.locks import Locks
from builder.manifest.model import Manifest, Target

KIND, HOLDS = "oci", "inherited"


def prepare(making: Making) -> None:
    """Nothing is shared but the store."""


def make(making: Making, target: Target, _: object) -> dict[str, tuple[Lock, str]]:
    """The target's base and what it holds, with their texts, or nothing where it has none.

    A lock stays while the manifest writes the same reference, wherever the tag has moved to since: until it is to be
    upgraded, or the registry has dropped what it names.

    Raises:
        StackbuildError: there is no such image, or it may not be built on.
    """
    text = making.manifest.image(target).base
    if not text:
        return {}
    reference = parse(text, _where(making.manifest, target))
    old, holds = making.locks.read(target, KIND), making.locks.read(target, HOLDS)
    source = of(reference, making.client, making.manifest.folder, os.environ)
    kept = _kept(making, text, reference, source, old)
    found = _signed(making, target, kept or resolve(text, reference, source, target.platform), source, kept)
    if kept is not None and isinstance(holds, InheritedLock) and holds.base == kept.manifest:
        lock, held = found, holds
    else:
        lock, held = _read(making, target, found)
    return {KIND: (lock, lockfile.dumps(lock)), HOLDS: (held, inherited_file.dumps(held))}


def _kept(making: Making, text: str, reference: Reference, source: Source, old: Lock | None) -> BaseLock | None:
    """The old lock where it stays."""
    if not isinstance(old, BaseLock) or old.request != (text,):
        return None
    names = {reference.name, reference.repository, reference.repository.rpartition("/")[2]}
    if not making.keep or making.upgrade & names:
        now = source.head(reference.tag) if reference.tag else None
        if reference.digest and now not in {None, reference.digest}:
            making.told(f"{reference.name}:{reference.tag} is {now} by now; stacks.toml has {reference.digest}")
        if reference.moves and now != old.index:
            return None
    if making.refresh_missing and making.vanished(Lock(request=(), pins=old.blobs)):
        return None
    return old


def _signed(making: Making, target: Target, lock: BaseLock, source: Source, kept: BaseLock | None) -> BaseLock:
    """The lock with who has signed the image, before anything of it is fetched; of one that stays, as it says."""
    if making.require_signature and (error := signed.unasked(making.manifest, target)) is not None:
        raise error
    keys = signed.keys(making.manifest, target)
    if kept is not None and signed.stands(kept, keys) and not making.require_signature:
        return kept
    return signed.vouched(lock, source, keys, _where(making.manifest, target))


def _read(making: Making, target: Target, lock: BaseLock) -> tuple[BaseLock, InheritedLock]:
    size = sum(layer.pin.size for layer in lock.layers)
    making.told(f"reading {lock.name} for {target.platform}, {gigabytes(size)}")
    try:
        return look_through(lock, target.platform, making.store, making.fetch)
    except Problems as error:
        if all(isinstance(one, Unreachable) for one in error.problems):
            raise gone(lock, error.problems[0], target.image) from None
        raise


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's locks from answering the manifest."""
    text = manifest.image(target).base
    lock, holds = locks.read(target, KIND), locks.read(target, HOLDS)
    found: list[StackbuildError] = []
    for kind, one in ((KIND, lock), (HOLDS, holds)):
        if text and one is None:
            found.append(_wrong(manifest, target, locks, kind, "missing"))
        if not text and one is not None:
            found.append(_wrong(manifest, target, locks, kind, "stale", got="the image has no base of a registry"))
    if text and isinstance(lock, BaseLock):
        parse(text, _where(manifest, target))
        if lock.request != (text,):
            asked, answered = f"stacks.toml asks for {text}", f"the lock answers {lock.request[0]}"
            found.append(_wrong(manifest, target, locks, KIND, "stale", expected=asked, got=answered))
        elif not signed.stands(lock, keys := signed.keys(manifest, target)):
            expected = f"signed by {' or '.join(one.name for one in keys)}" if keys else "nothing about a signature"
            got = f"signed by {lock.signed_by[0]}, {lock.signed_by[1]}" if lock.signed_by else "no signature"
            found.append(_wrong(manifest, target, locks, KIND, "stale", expected=expected, got=got))
        elif isinstance(holds, InheritedLock) and holds.base != lock.manifest:
            read = f"what {lock.manifest} holds"
            found.append(_wrong(manifest, target, locks, HOLDS, "stale", expected=read, got=f"that of {holds.base}"))
    return found


def _wrong(
    manifest: Manifest, target: Target, locks: Locks, kind: str, how: str, *, expected: str = "", got: str = ""
) -> StackbuildError:
    return StackbuildError(
        f"lock is {how}: {target}, {kind}",
        where=relative(manifest, locks.path(target, kind)),
        expected=expected,
        got=got,
        next_step=f"stackbuild lock {target.image}",
    )


def _where(manifest: Manifest, target: Target) -> str:
    return manifest.place(target.image)
