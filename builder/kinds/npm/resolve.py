"""A request in, a lock out: the only step of this kind that trusts a moving network.

    request, lock so far ─→ npm ─→ entries for every platform ─→ those of the target ─→ each tarball, once ─→ check
                                   (judged)                      (platform.py)          (sha256, size, scripts)

A registry tells sha512 alone, so a tarball is read when it is first locked: for its sha256 and size, for whether it is
the package that it is said to be, and for its install scripts, which a registry only claims. A package that keeps its
version and integrity is not asked for again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from builder import credentials
from builder.digest import Digest, Json, key
from builder.errors import HostileInput, StackbuildError, raise_all
from builder.kinds.npm import lockfile, nested, npm, places, tarball
from builder.kinds.npm.check import Wanted, problems
from builder.kinds.npm.judging import judge_location, judge_names, judged
from builder.kinds.npm.lockfile import NATIVE, NpmLock
from builder.kinds.npm.package import FOLDER, Nested, Package, find, folders, split
from builder.kinds.npm.platform import fits, narrowed
from builder.kinds.npm.request import parse
from builder.net import Client
from builder.store import Store

_ALGORITHMS: Final = ("sha512", "sha384", "sha256", "sha1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmQuestion:
    """What one target asks.

    Attributes:
        wanted: what the lock will have to answer.
        where: the target in words.
        existing: the lock so far; None: nothing is kept.
        upgrade: names of packages whose pins may move.
        before: the cutoff, UTC.
    """

    wanted: Wanted
    where: str
    existing: NpmLock | None = None
    upgrade: frozenset[str] = frozenset()
    before: datetime | None = None


@dataclass
class Means:
    """What the resolutions of one run share. npm is asked once for targets that differ in their platform only."""

    client: Client
    store: Store
    environ: Mapping[str, str]
    answers: dict[Digest, dict[str, Any]] = field(default_factory=dict)
    registries: list[str] = field(default_factory=list)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def registry(self) -> str:
        with self.mutex:
            if not self.registries:
                self.registries.append(npm.registry(self.environ))
            return self.registries[0]

    def solve(self, asked: npm.Asked) -> dict[str, Any]:
        before = asked.before.isoformat() if asked.before else None
        document: Json = [dict(asked.dependencies), dict(asked.seed), asked.node, before]
        registry = self.registry()
        with self.mutex:  # One at a time: npm's cache is shared, and it uses every core itself.
            if key(document) not in self.answers:
                self.answers[key(document)] = npm.solve(asked, registry, self.store, self.environ)
            return self.answers[key(document)]


def resolve(question: NpmQuestion, means: Means) -> NpmLock:
    """The lock that answers one question. May be called from many threads with one `means`.

    Raises:
        StackbuildError: npm is missing or found no solution, or the lock would not do.
    """
    wanted = question.wanted
    request = {one.name: one.spec for one in wanted.own}
    packages: dict[str, Package] = {}
    trees: list[Nested] = []
    if request:
        asked = npm.Asked(
            dependencies=request,
            seed=_seed(question),
            node=wanted.node,
            before=question.before,
            where=question.where,
        )
        answered, claims = _judged(means.solve(asked))
        packages = _fetched(narrowed(answered, request, wanted.platform), claims, question, means)
    for folder in wanted.nested:
        trees.append(_nested(folder, packages, question, means))
    text = tuple(one.text for one in parse(wanted.request))
    lock = lockfile.lock(text, packages, wanted.node, wanted.platform, tuple(trees))
    raise_all(problems(lock, wanted))
    return lock


def _nested(folder: str, packages: Mapping[str, Package], question: NpmQuestion, means: Means) -> Nested:
    """The tree of one folder of a package, as the package's tarball pins it.

    Raises:
        StackbuildError: the package is not there, has no such tree, or it is not from a registry alone.
        HostileInput: the tree is malformed.
    """
    wanted = question.wanted
    owner = packages.get(f"{FOLDER}/{split(folder)[0]}")
    if owner is None or owner.digest is None:
        raise StackbuildError(
            f"npm-nested names a folder of a package that is not there: {folder}",
            where=question.where,
            expected=f"{split(folder)[0]} among what `npm` of {wanted.image} asks for",
        )
    found = nested.read(means.store.checked(means.store.source(owner.digest)), owner, split(folder)[1])
    answered, claims = _judged(found.entries)
    there = {name for name in found.wishes if (one := find(answered, "", name)) and fits(one, wanted.platform)}
    request = {**found.needs, **{name: found.wishes[name] for name in sorted(there)}}
    own = _fetched(narrowed(answered, request, wanted.platform), claims, question, means)
    members = tuple(replace(own[location], within=folder) for location in sorted(own))
    return Nested(folder=folder, needs=found.needs, wishes=found.wishes, packages=members)


def _seed(question: NpmQuestion) -> dict[str, Any]:
    """The lock so far as npm's own entries, those for other platforms asked for again, without what may move."""
    found: dict[str, Any] = {}
    for package in question.existing.packages if question.existing else ():
        if package.name in question.upgrade or package.bundled:
            continue
        entry: dict[str, Any] = {"version": package.version, "integrity": package.integrity, **package.native}
        if package.name != package.folder_name:
            entry["name"] = package.name
        if package.elsewhere:
            entry["optionalDependencies"] = {**entry.get("optionalDependencies", {}), **package.elsewhere}
        found[package.location] = entry
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What npm says of a tarball: `integrity` in any algorithm, and its URL, "" for a package of the seed."""

    integrity: str
    url: str


def _judged(entries: Mapping[str, Any]) -> tuple[dict[str, Package], dict[str, _Claim]]:
    """npm's entries as packages without digests.

    Raises:
        StackbuildError: a package comes from elsewhere than a registry.
        HostileInput: an entry is malformed.
    """
    found: dict[str, Package] = {}
    claims: dict[str, _Claim] = {}
    for location, entry in sorted(entries.items()):
        judge_location(location)
        try:
            name, version = str(entry.get("name", folders(location)[-1])), str(entry.get("version", ""))
            native = judged(location, {one: entry[one] for one in NATIVE if one in entry})
            url = str(entry.get("resolved", ""))
        except (AttributeError, TypeError) as error:
            raise HostileInput(f"npm's answer is malformed: {location}"[:200], got=str(error)[:200]) from None
        if entry.get("link") or (url and not url.startswith(("https://", "http://"))):
            raise StackbuildError(
                f"an npm package does not come from the registry: {name}",
                where=location,
                got=url.partition(":")[0] + ":…",
                next_step="leave out what needs it, or ask for a version that does not",
            )
        judge_names(location, name, version)
        found[location] = Package(location=location, name=name, version=version, native=native)
        if not found[location].bundled:
            claims[location] = _Claim(integrity=str(entry.get("integrity", "")), url=url)
    return found, claims


def _fetched(
    packages: Mapping[str, Package], claims: Mapping[str, _Claim], question: NpmQuestion, means: Means
) -> dict[str, Package]:
    """The packages with what their tarballs say."""
    old = {(one.name, one.integrity): one for one in (question.existing.every if question.existing else ())}
    new: dict[tuple[str, str], Package] = {}
    for package in packages.values():
        known = (package.name, claims[package.location].integrity) if not package.bundled else None
        if known is not None and known not in old:
            new.setdefault(known, package)
    registry = means.registry() if new else ""

    def one(item: tuple[tuple[str, str], Package]) -> Package:
        (_, integrity), package = item
        return _read(package, replace(claims[package.location], integrity=integrity), registry, means)

    old |= zip(new, means.client.each(one, new.items()), strict=True)
    return {
        location: package if package.bundled else _with(package, old[package.name, claims[location].integrity])
        for location, package in packages.items()
    }


def _with(package: Package, told: Package) -> Package:
    """A package with the tarball of another one, which may lie elsewhere."""
    native = {name: value for name, value in package.native.items() if name != "hasInstallScript"}
    if told.scripted:
        native["hasInstallScript"] = True
    return replace(package, integrity=told.integrity, digest=told.digest, size=told.size, path=told.path, native=native)


def _read(package: Package, claim: _Claim, registry: str, means: Means) -> Package:
    """Fetch a tarball, unless the store has it, and read what it is.

    Raises:
        Unreachable: the registry does not give it.
        HostileInput: it is not what npm was told.
    """
    path = _path(claim.url, registry, package)
    cache = f"metadata/npm-{key([package.name, package.version, claim.integrity]).hex}"
    known = _cached(cache, means.store)
    if known is None:
        with means.store.new_source() as incoming:
            url = places.url(places.reached(registry, means.client), path)
            digest, size = means.client.learn(url, incoming)
        file = means.store.source(digest)
        with file.open("rb") as stream:
            integrity = tarball.sha512(hashlib.file_digest(stream, "sha512").digest())
        _vouched(file.read_bytes(), claim.integrity, package)
        scripts = tarball.read(file, replace(package, integrity=integrity)).scripts
        known = {"sha256": digest, "size": size, "integrity": integrity, "scripted": bool(scripts)}
        means.store.write(cache, json.dumps(known).encode())
    return replace(
        package,
        integrity=known["integrity"],
        digest=Digest.parse(known["sha256"]),
        size=known["size"],
        path=path,
        native={"hasInstallScript": True} if known["scripted"] else {},
    )


def _cached(name: str, store: Store) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((store.path / name).read_bytes())
        return found if store.source(Digest.parse(found["sha256"])).exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(url: str, registry: str, package: Package) -> str:
    """The tarball's path below the registry; of one that the registry places elsewhere, the usual path.

    A mirror may repeat the address that its upstream gives, and the same path leads there through the mirror too.
    """
    bare = credentials.split(registry)[0] + "/"
    found = unquote(url.partition("?")[0])
    return found.removeprefix(bare) if found.startswith(bare) else lockfile.usual(package.name, package.version)


def _vouched(data: bytes, integrity: str, package: Package) -> None:
    """Hold a tarball against what the registry says of it, in the strongest algorithm (Subresource Integrity 3.3).

    Raises:
        HostileInput: it has other bytes, or the registry says nothing.
    """
    claims = dict(one.partition("?")[0].split("-", 1) for one in integrity.split() if "-" in one)
    for name in _ALGORITHMS:
        if name in claims:
            got = base64.b64encode(hashlib.new(name, data).digest()).decode()
            if got != claims[name]:
                raise HostileInput(
                    f"wrong integrity: {package}", expected=f"{name}-{claims[name]}", got=f"{name}-{got}"
                )
            return
    raise HostileInput(f"the registry tells no integrity: {package}", expected="sha512-…")
