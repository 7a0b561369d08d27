"""Lock and check the apt packages of one target."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from builder.errors import StackbuildError
from builder.kinds.apt import check as checks
from builder.kinds.apt.archive import Means, Universes
from builder.kinds.apt.lockfile import Header, dumps
from builder.kinds.apt.places import STAMP, read_host
from builder.kinds.apt.resolve import AptQuestion, resolve
from builder.lock import Lock
from builder.locking import Making, inherited_locks, relative
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.user_config import environment

KIND = "apt"


def prepare(making: Making) -> Universes:
    """What all targets of one run share: each archive is read once."""
    means = Means(
        client=making.client,
        store=making.store,
        host=read_host(environment(os.environ)),
        folder=making.manifest.folder,
        now=datetime.now(UTC),
    )
    return Universes(means)


def make(making: Making, target: Target, universes: Universes) -> dict[str, tuple[Lock, str]]:
    """The target's apt lock and its text, or nothing where it asks for no packages.

    Raises:
        StackbuildError: no solution, or the archive cannot be read.
    """
    question = _question(making, target)
    if question is None:
        return {}
    lock = _standing(making, target, question)
    if lock is None:
        making.told(f"resolving {KIND} of {target}")
        lock = resolve(question, universes)
    return {KIND: (lock, dumps(lock, question.header))}


def _standing(making: Making, target: Target, question: AptQuestion) -> Lock | None:
    """The lock that is there, if it answers the question and nothing asks to move: then no archive need be read."""
    lock = question.existing
    if lock is None or any(lock.pin(name) for name in question.upgrade) or check(making.manifest, target, making.locks):
        return None
    cutoff = question.exclude_newer
    newest = max((pin.field("X-Release") for pin in lock.pins), default="")
    return lock if cutoff is None or newest <= cutoff.strftime(STAMP) else None


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's lock from answering the manifest."""
    request = manifest.ask(target, "apt")
    lock = locks.read(target, KIND)
    path = locks.path(target, KIND)
    if lock is None:
        return [missing(manifest, target, locks)] if request or manifest.image(target).archive else []
    if not request and not manifest.image(target).archive:
        return [unwanted(manifest, target, locks)]
    subject = checks.Subject(path=relative(manifest, path), lock=lock, text=locks.text(target, KIND))
    found = checks.problems(
        subject, inherited_locks(manifest, locks, target, KIND), request, architecture=_architecture(target)
    )
    header = Header(
        archive=(archive := manifest.root_archive(target)).name,
        architecture=_architecture(target),
        suites=archive.suites,
        components=archive.components,
        recommends=bool(manifest.image(target).asks.get("recommends", False)),
    )
    if not found and dumps(lock, header) != subject.text:
        found.append(
            StackbuildError(
                f"lock is stale: {target}, apt",
                where=f"{subject.path}:1",
                expected=f"archive {archive.name} with suites {' '.join(archive.suites)}, "
                f"{'with' if header.recommends else 'without'} what is recommended",
                got="a lock made for something else, or edited by hand",
                next_step=f"stackbuild lock {target.image}",
            )
        )
    return found


def missing(manifest: Manifest, target: Target, locks: Locks, kind: str = KIND) -> StackbuildError:
    """The error for a lock that is not there."""
    return StackbuildError(
        f"lock is missing: {target}, {kind}",
        where=relative(manifest, locks.path(target, kind)),
        next_step=f"stackbuild lock {target.image}",
    )


def unwanted(manifest: Manifest, target: Target, locks: Locks, kind: str = KIND) -> StackbuildError:
    """The error for a lock that nothing asks for."""
    return StackbuildError(
        f"lock is stale: {target}, {kind}",
        where=relative(manifest, locks.path(target, kind)),
        got="the manifest asks for nothing of that kind any more",
        next_step=f"stackbuild lock {target.image}",
    )


def _question(making: Making, target: Target) -> AptQuestion | None:
    manifest = making.manifest
    image = manifest.image(target)
    request = manifest.ask(target, "apt")
    if not request and not image.archive:
        return None
    old = making.locks.read(target, KIND) if making.keep else None
    upgrade = making.upgrade
    if old is not None and making.refresh_missing:
        upgrade = upgrade | making.vanished(old)
    return AptQuestion(
        archive=manifest.root_archive(target),
        architecture=_architecture(target),
        request=request,
        inherited=inherited_locks(manifest, making.locks, target, KIND),
        existing=old,
        recommends=bool(image.asks.get("recommends", False)),
        upgrade=upgrade,
        exclude_newer=manifest.project.exclude_newer,
        exempt=frozenset(manifest.project.exempt),
    )


def _architecture(target: Target) -> str:
    return target.platform.partition("/")[2].replace("/", "")
