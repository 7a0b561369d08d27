"""Lock and check the Python packages of one target."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from builder.digest import Digest
from builder.errors import StackbuildError, raise_all
from builder.kinds.apt.locking import missing, unwanted
from builder.kinds.pip import check as checks
from builder.kinds.pip import collide, python, vendor
from builder.kinds.pip.index import Indexes
from builder.kinds.pip.inherit import KIND, inherited, requested
from builder.kinds.pip.lockfile import FORMAT, PipLock, dumps
from builder.kinds.pip.question import PipQuestion
from builder.kinds.pip.resolve import resolve
from builder.kinds.pip.sdist import BuiltWheel, SdistQuestion
from builder.kinds.pip.waivers import preferences, without
from builder.lock import Lock, Pin
from builder.locking import Making, relative, standing
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.manifest.shape import request_name
from builder.user_config import environment

BUILD = "pip-build"


def prepare(making: Making) -> Indexes:
    """What all targets of one run share: each page of an index is asked for once."""
    return Indexes(making.client, making.manifest.indexes, environment(os.environ))


def make(making: Making, target: Target, indexes: Indexes) -> dict[str, tuple[Lock, str]]:
    """The target's pip lock with its text, and that of its sdists' build requirements.

    Raises:
        StackbuildError: no solution, a conflict with an ancestor or with conda, no wheel for the target, two packages
            that bring one file.
    """
    manifest, locks = making.manifest, making.locks
    request = requested(manifest, target)
    if not request:
        return {}
    if (found := standing(making, target, (KIND, BUILD), check)) is not None:
        return {kind: _rewritten(cast(PipLock, lock)) for kind, (lock, _) in found.items()}
    old = locks.read(target, KIND)
    question = PipQuestion(
        request=request,
        python=python.find(manifest, locks, target).version,
        platform=target.platform,
        glibc=python.glibc(manifest, locks, target),
        image=target.image,
        cell=str(target),
        inherited=inherited(manifest, locks, target),
        without=without(manifest, target),
        constraints=manifest.ask(target, "constraints"),
        existing=_standing(making, old),
        existing_build=locks.read(target, BUILD),
        upgrade=making.upgrade,
        toward=making.toward,
        upgrade_all=not making.keep,
        exclude_newer=manifest.project.exclude_newer,
        exempt=frozenset(manifest.project.exempt),
        indexes=manifest.indexes,
        sources=_sources(manifest, target),
        sdists=frozenset(manifest.ask(target, "sdists")),
        resolver=manifest.project.resolver,
    )
    lock, build = resolve(
        question,
        making.client,
        making.store,
        build_wheel=lambda asked: _build_wheel(making, target, asked),
        environ=environment(os.environ),
        indexes=indexes,
    )
    raise_all(list(vendor.problems(manifest, target, lock, question.inherited)))
    if lock != old:  # What has not moved was built, or will be.
        raise_all(list(_collisions(making, target, lock, question)))
    found = {KIND: (lock, dumps(lock))}
    if build is not None:
        found[BUILD] = (build, dumps(build))
    return found


def _rewritten(lock: PipLock) -> tuple[PipLock, str]:
    """The same lock and its text in the newest format."""
    newest = replace(lock, form=FORMAT)
    return newest, dumps(newest)


def _standing(making: Making, old: Lock | None) -> Lock | None:
    """The lock so far, with `--refresh-missing` without the pins whose file no source has any more."""
    if old is None or not making.refresh_missing:
        return old
    gone = making.vanished(old)
    return replace(old, pins=tuple(pin for pin in old.pins if pin.name not in gone))


def _collisions(making: Making, target: Target, lock: Lock, question: PipQuestion) -> Iterator[StackbuildError]:
    where = python.home(making.manifest, target)
    assert where is not None
    site = where.environment(".".join(question.python.split(".")[:2])).site
    above = [pin for _, one in question.inherited for pin in one.pins]
    return collide.problems(
        making.store, lock.pins, above, preferences(making.manifest, target), site, where=str(target)
    )


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's lock from answering the manifest."""
    request = requested(manifest, target)
    lock = locks.read(target, KIND)
    if not request:
        return [unwanted(manifest, target, locks, KIND)] if lock is not None else []
    if lock is None:
        return [missing(manifest, target, locks, KIND)]
    path = relative(manifest, locks.path(target, KIND))
    lock = cast(PipLock, lock)
    above = inherited(manifest, locks, target)
    limits = {"constraints": manifest.ask(target, "constraints"), "without": without(manifest, target)}
    found = checks.problems(lock, above, request, path, **limits)
    if not found:
        version, glibc = python.find(manifest, locks, target).version, python.glibc(manifest, locks, target)
        found = checks.moved(lock, path, python=version, platform=target.platform, glibc=glibc)
        found += vendor.problems(manifest, target, lock, above)
        sources, sdists = _sources(manifest, target), frozenset(map(request_name, manifest.ask(target, "sdists")))
        found += checks.misplaced(lock, path, sources=sources, sdists=sdists)
    if any(not pin.filename.endswith(".whl") for pin in lock.pins) and locks.read(target, BUILD) is None:
        found.append(missing(manifest, target, locks, BUILD))
    return found


def _sources(manifest: Manifest, target: Target) -> Mapping[str, str]:
    """Name (PEP 503) → the index that it comes from, for those that anything is said about.

    A table's `index` is about the requests beside it, and those of its `on`; one in `on` with no requests beside it is
    about the table's. What `on` says counts before the variant's `indexes`, and these before what is said in general.
    """
    said: dict[str, str] = {}
    special: dict[str, str] = {}
    beside: tuple[str, ...] = ()
    index = ""
    for path, asked in manifest.asking(target):
        names = tuple(request_name(one) for one in cast(Sequence[str], asked.get("pip", ())))
        own = str(asked.get("index", ""))
        if ".on." not in path:
            beside, index = names, own
        if own or index:
            where = special if own and ".on." in path else said
            where.update(dict.fromkeys(names or beside, own or index))
    variant = {request_name(name): one for name, one in manifest.variants[target.variant].indexes.items()}
    return {**said, **variant, **special}


def _build_wheel(making: Making, target: Target, asked: SdistQuestion) -> BuiltWheel:
    """Build an sdist's wheel in the sandbox, for its metadata.

    Raises:
        StackbuildError: this system has no sandbox.
    """
    if not sys.platform.startswith("linux"):
        raise StackbuildError(
            f"{asked.name}=={asked.version} has no wheel for {target}, and this system has no sandbox to build one",
            expected="Linux, for images with sdists only",
            next_step=f"run on Linux: stackbuild lock {target.image}",
        )
    from builder.kinds.pip import source_build  # Whoever locks without sdists needs no sandbox.

    native = python.builder(making.manifest, making.locks, target)
    build = asked.requirements.pins
    making.fetch((*native.pins, *build))
    pin = Pin(
        kind="pip",
        name=asked.name,
        version=asked.version,
        filename=asked.filename,
        digest=asked.digest,
        size=asked.sdist.stat().st_size,
    )
    log = making.store.path / "logs" / f"sdist-{asked.digest.hex[:12]}.txt"
    log.unlink(missing_ok=True)
    requirements = [(one.digest, one.filename) for one in build]
    result = source_build.build(making.store, pin, requirements, native, jobs=making.jobs, log=log)
    wheel = making.store.source(Digest(result["wheel"])) if result["wheel"] else None
    return BuiltWheel(path=wheel, filename=result["filename"], requires=tuple(result["requires"]))
