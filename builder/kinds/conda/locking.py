"""Lock and check the conda packages of one target."""

from __future__ import annotations

import os
from typing import Final, cast

from builder.errors import StackbuildError, raise_all
from builder.kinds.apt.locking import missing, unwanted
from builder.kinds.conda.document import CondaLock
from builder.kinds.conda.places import channels_of
from builder.kinds.conda.virtual import virtual
from builder.lock import Lock
from builder.locking import Making, inherited_locks, relative, standing
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.user_config import environment

KIND: Final = "conda"


def prepare(making: Making) -> object:
    """What all targets of one run share: repodata is fetched once."""
    manifest = making.manifest
    if not any(manifest.ask(target, KIND) for target in manifest.targets()):
        return None
    from builder.kinds.conda.distributions import Distributions
    from builder.kinds.conda.repodata import Repodata
    from builder.kinds.conda.resolve import Means

    channels = channels_of(manifest, environment(os.environ))
    return Means(
        channels=channels,
        repodata=Repodata(channels, making.client, making.store),
        distributions=Distributions(making.client, making.store),
        client=making.client,
        store=making.store,
    )


def make(making: Making, target: Target, shared: object) -> dict[str, tuple[Lock, str]]:
    """The target's conda lock and its text, or nothing where it asks for no packages.

    Raises:
        StackbuildError: no solution, a conflict with an ancestor, a channel that lacks something or does not answer.
    """
    manifest, locks = making.manifest, making.locks
    request = manifest.ask(target, KIND)
    if not request:
        return {}
    if (found := standing(making, target, (KIND,), check)) is not None:
        return found
    from builder.kinds.conda import check as checks
    from builder.kinds.conda.lockfile import dumps
    from builder.kinds.conda.question import CondaQuestion
    from builder.kinds.conda.resolve import Means, resolve

    assert isinstance(shared, Means)
    old = locks.read(target, KIND) if making.keep else None
    upgrade = making.upgrade
    if old is not None and making.refresh_missing:
        upgrade = upgrade | making.vanished(old)
    inherited = inherited_locks(manifest, locks, target, KIND)
    question = CondaQuestion(
        target=target,
        request=request,
        channels=_channels(manifest, target),
        virtual=_virtual(manifest, locks, target),
        inherited=inherited,
        existing=old,
        upgrade=upgrade,
        exclude_newer=manifest.project.exclude_newer,
        exempt=manifest.project.exempt,
        where=lambda name: manifest.where(target, KIND, name),
    )
    lock = resolve(question, shared)
    text = dumps(lock)
    subject = checks.Subject(path="the new lock", lock=lock, text=text, inherited=inherited)
    raise_all(checks.problems(subject, request))
    return {KIND: (lock, text)}


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's lock from answering the manifest."""
    request = manifest.ask(target, KIND)
    lock = locks.read(target, KIND)
    if not request:
        return [unwanted(manifest, target, locks, KIND)] if lock is not None else []
    if lock is None:
        return [missing(manifest, target, locks, KIND)]
    from builder.kinds.conda import check as checks

    path = locks.path(target, KIND)
    subject = checks.Subject(
        path=relative(manifest, path),
        lock=cast(CondaLock, lock),
        text=locks.text(target, KIND),
        inherited=inherited_locks(manifest, locks, target, KIND),
    )
    channels = channels_of(manifest, {})
    expected = checks.Circumstances(
        platform=target.platform,
        channels=tuple((name, channels.public(name)) for name in _channels(manifest, target)),
        virtual=_virtual(manifest, locks, target),
    )
    return checks.moved(subject, expected) or checks.problems(subject, request)


def _channels(manifest: Manifest, target: Target) -> tuple[str, ...]:
    """The nearest `channels`, the image's own or an ancestor's."""
    found = manifest.option(target, "channels")
    assert isinstance(found, tuple), found  # The schema wants channels where conda is asked.
    return tuple(str(name) for name in found)


def _virtual(manifest: Manifest, locks: Locks, target: Target) -> tuple[str, ...]:
    own = locks.read(target, "apt")
    apt = [lock for _, lock in inherited_locks(manifest, locks, target, "apt")]
    return virtual(target.platform, [*apt, *([own] if own else [])], manifest.variants[target.variant].virtual)
