"""Lock and check the Python packages of one target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.apt import interpreter
from builder.kinds.apt.locking import missing, unwanted
from builder.kinds.pip import check as checks
from builder.kinds.pip import source_build
from builder.kinds.pip.lockfile import PipLock, dumps
from builder.kinds.pip.question import PipQuestion
from builder.kinds.pip.resolve import resolve
from builder.kinds.pip.sdist import BuiltWheel, SdistQuestion
from builder.lock import Lock, Pin
from builder.locking import Making, inherited_locks, relative
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.platforms import NATIVE

KIND, BUILD = "pip", "pip-build"


def prepare(making: Making) -> None:
    """Nothing is shared but what the index itself caches."""


def make(making: Making, target: Target, _: object) -> dict[str, tuple[Lock, str]]:
    """The target's pip lock with its text, and that of its sdists' build requirements.

    Raises:
        StackbuildError: no solution, a conflict with an ancestor, no wheel for the target.
    """
    manifest, locks = making.manifest, making.locks
    request = manifest.ask(target, "pip")
    if not request:
        return {}
    python, glibc = running(manifest, locks, target)
    question = PipQuestion(
        request=request,
        python=python,
        platform=target.platform,
        glibc=glibc,
        image=target.image,
        inherited=inherited_locks(manifest, locks, target, KIND),
        existing=locks.read(target, KIND),
        existing_build=locks.read(target, BUILD),
        upgrade=making.upgrade,
        upgrade_all=not making.keep,
        exclude_newer=manifest.project.exclude_newer,
        exempt=frozenset(manifest.project.exempt),
        indexes=manifest.indexes,
        sources=_sources(manifest, target),
        sdists=frozenset(manifest.ask(target, "sdists")),
        resolver=manifest.project.resolver,
    )
    lock, build = resolve(
        question, making.client, making.store, build_wheel=lambda asked: _build_wheel(making, target, asked)
    )
    found: dict[str, tuple[Lock, str]] = {KIND: (lock, dumps(lock))}
    if build is not None:
        found[BUILD] = (build, dumps(build))
    return found


def check(manifest: Manifest, target: Target, locks: Locks) -> list[StackbuildError]:
    """What keeps the target's lock from answering the manifest."""
    request = manifest.ask(target, "pip")
    lock = locks.read(target, KIND)
    if not request:
        return [unwanted(manifest, target, locks, KIND)] if lock is not None else []
    if lock is None:
        return [missing(manifest, target, locks, KIND)]
    path = relative(manifest, locks.path(target, KIND))
    lock = cast(PipLock, lock)
    found = checks.problems(lock, inherited_locks(manifest, locks, target, KIND), request, path)
    if not found:
        python, glibc = running(manifest, locks, target)
        found = checks.moved(lock, path, python=python, platform=target.platform, glibc=glibc)
    if any(source_build.is_sdist(pin) for pin in lock.pins) and locks.read(target, BUILD) is None:
        found.append(missing(manifest, target, locks, BUILD))
    return found


def running(manifest: Manifest, locks: Locks, target: Target) -> tuple[str, str]:
    """The exact Python of the target and its glibc, as its apt locks pin them: (`3.11.2`, `2.36`)."""
    pins: dict[str, Pin] = {}
    for _, lock in (*inherited_locks(manifest, locks, target, "apt"), ("", locks.read(target, "apt"))):
        pins.update({pin.name: pin for pin in lock.pins} if lock else {})
    python = interpreter.find(pins, str(target)).version
    match = re.match(r"\d+\.\d+", pins["libc6"].version) if "libc6" in pins else None
    if match is None:
        raise StackbuildError(f"no glibc for pip: {target}", expected="libc6 among its apt pins")
    return python, match[0]


def _sources(manifest: Manifest, target: Target) -> Mapping[str, str]:
    """Name → the index that the table which requests it names, for those that name one."""
    image = manifest.images[target.image]
    found: dict[str, str] = {}
    tables = [(manifest.sets[name].asks, manifest.sets[name].on) for name in image.use]
    for asks, on in (*tables, (image.asks, image.on)):
        merged = {**asks, **on.get(target.variant, {})}
        if index := merged.get("index"):
            requests = (*cast(Sequence[str], asks.get("pip", ())), *cast(Sequence[str], merged.get("pip", ())))
            found.update({re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0]: str(index) for one in requests})
    return found


def _build_wheel(making: Making, target: Target, asked: SdistQuestion) -> BuiltWheel:
    """Build an sdist's wheel in the sandbox, for its metadata."""
    native = native_interpreter(making.manifest, making.locks, target)
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


def native_interpreter(manifest: Manifest, locks: Locks, target: Target) -> interpreter.Interpreter:
    """The image's CPython for the machine that builds."""
    pins: dict[str, Pin] = {}
    own = Target(target.image, target.variant, NATIVE)
    for _, lock in (*inherited_locks(manifest, locks, own, "apt"), ("", locks.read(own, "apt"))):
        pins.update({pin.name: pin for pin in lock.pins} if lock else {})
    return interpreter.find(pins, f"{target.image} for {NATIVE}, on which {target} is built")
