"""Lock and check the npm packages of one target, and the Debian packages that their install scripts need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from builder.errors import StackbuildError
from builder.kinds.apt import check as apt_check
from builder.kinds.apt import lockfile as apt_lockfile
from builder.kinds.apt import locking as apt
from builder.kinds.apt.archive import Universes
from builder.kinds.apt.lockfile import Header
from builder.kinds.apt.resolve import AptQuestion
from builder.kinds.apt.resolve import resolve as resolve_apt
from builder.kinds.npm import node
from builder.kinds.npm.check import Wanted, problems
from builder.kinds.npm.lockfile import NpmLock, dumps
from builder.kinds.npm.resolve import Means, NpmQuestion, resolve
from builder.lock import Lock
from builder.locking import Making, inherited_locks, relative, standing
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.user_config import environment

KIND, BUILD = "npm", "npm-build"


def prepare(making: Making) -> tuple[Means, Universes]:
    """What all targets of one run share: answers of npm, and the archives."""
    return Means(client=making.client, store=making.store, environ=environment(os.environ)), apt.prepare(making)


def make(making: Making, target: Target, shared: tuple[Means, Universes]) -> dict[str, tuple[Lock, str]]:
    """The target's npm lock with its text, and that of the packages for compiling.

    Raises:
        StackbuildError: no solution, a conflict with an ancestor, a script or an engine that nobody decided about.
    """
    manifest, locks = making.manifest, making.locks
    if not manifest.ask(target, KIND):
        return {}
    if (found := standing(making, target, (KIND, BUILD), check)) is not None:
        return found
    means, universes = shared
    old = cast("NpmLock | None", locks.read(target, KIND)) if making.keep else None
    upgrade = making.upgrade
    if old is not None and making.refresh_missing:
        gone = making.vanished(old)
        upgrade |= {package.name for package in old.packages if package.title in gone}
    question = NpmQuestion(
        wanted=_wanted(manifest, target, locks),
        where=str(target),
        existing=old,
        upgrade=upgrade,
        before=manifest.project.exclude_newer,
    )
    lock = resolve(question, means)
    found = {KIND: (lock, dumps(lock))}
    if build := manifest.ask(target, BUILD):
        asked = _build_question(making, target, build)
        packages = resolve_apt(asked, universes)
        found[BUILD] = (packages, apt_lockfile.dumps(packages, asked.header))
    return found


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's locks from answering the manifest."""
    lock = cast("NpmLock | None", locks.read(target, KIND))
    if not manifest.ask(target, KIND):
        return [
            apt.unwanted(manifest, target, locks, kind)
            for kind in (KIND, BUILD)
            if locks.read(target, kind) is not None
        ]
    if lock is None:
        return [apt.missing(manifest, target, locks, KIND)]
    wanted = replace(_wanted(manifest, target, locks), path=relative(manifest, locks.path(target, KIND)))
    return [*problems(lock, wanted), *_check_build(manifest, target, locks)]


def _wanted(manifest: Manifest, target: Target, locks: Locks) -> Wanted:
    pins = {pin.name: pin for _, lock in _apt(manifest, locks, target) for pin in lock.pins}

    def names(key: str) -> frozenset[str]:
        return frozenset(manifest.ask(target, key))

    prefix = _prefix(manifest, target)
    inherited = tuple(
        (one.image, cast(NpmLock, lock))
        for one in manifest.lineage(target)[:-1]
        if manifest.ask(one, KIND) and _prefix(manifest, one) == prefix and (lock := locks.read(one, KIND)) is not None
    )
    return Wanted(
        request=manifest.ask(target, KIND),
        node=node.version(pins, str(target)),
        platform=target.platform,
        prefix=prefix,
        inherited=inherited,
        image=target.image,
        run=names("npm-scripts"),
        ignore=names("npm-ignore-scripts"),
        lax=names("npm-ignore-engines"),
        nested=tuple(sorted(names("npm-nested"))),
    )


def _prefix(manifest: Manifest, target: Target) -> str:
    option = manifest.option(target, "node")
    assert isinstance(option, Mapping)
    return str(option["prefix"])


def _apt(manifest: Manifest, locks: Locks, target: Target) -> tuple[tuple[str, Lock], ...]:
    """The apt locks of the image and its ancestors, root first."""
    own = locks.read(target, "apt")
    return (*inherited_locks(manifest, locks, target, "apt"), *([(target.image, own)] if own is not None else []))


def _build_question(making: Making, target: Target, build: tuple[str, ...]) -> AptQuestion:
    manifest = making.manifest
    old = making.locks.read(target, BUILD) if making.keep else None
    upgrade = making.upgrade
    if old is not None and making.refresh_missing:
        upgrade |= making.vanished(old)
    return AptQuestion(
        archive=manifest.root_archive(target),
        architecture=_architecture(target),
        request=build,
        inherited=_apt(manifest, making.locks, target),
        existing=_free(old, _apt(manifest, making.locks, target)),
        upgrade=upgrade,
        exclude_newer=manifest.project.exclude_newer,
        exempt=frozenset(manifest.project.exempt),
    )


def _free(old: Lock | None, inherited: tuple[tuple[str, Lock], ...]) -> Lock | None:
    """The old lock without what the image itself has by now."""
    there = {pin.name for _, lock in inherited for pin in lock.pins}
    return old and replace(old, pins=tuple(pin for pin in old.pins if pin.name not in there))


def _check_build(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    asked, lock = manifest.ask(target, BUILD), locks.read(target, BUILD)
    if not asked:
        return [apt.unwanted(manifest, target, locks, BUILD)] if lock is not None else []
    if lock is None:
        return [apt.missing(manifest, target, locks, BUILD)]
    path = locks.path(target, BUILD)
    subject = apt_check.Subject(path=relative(manifest, path), lock=lock, text=locks.text(target, BUILD))
    found = apt_check.problems(subject, _apt(manifest, locks, target), asked, architecture=_architecture(target))
    archive = manifest.root_archive(target)
    header = Header(
        archive=archive.name,
        architecture=_architecture(target),
        suites=archive.suites,
        components=archive.components,
    )
    if not found and apt_lockfile.dumps(lock, header) != subject.text:
        found.append(
            StackbuildError(
                f"lock is stale: {target}, {BUILD}",
                where=f"{subject.path}:1",
                expected=f"archive {archive.name} with suites {' '.join(archive.suites)}",
                next_step=f"stackbuild lock {target.image}",
            )
        )
    return found


def _architecture(target: Target) -> str:
    return target.platform.partition("/")[2].replace("/", "")
