"""What building the sdists of one resolution has taught so far: the state between the rounds that `sdist` draws."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from builder.digest import Digest, key
from builder.errors import StackbuildError
from builder.kinds.pip.choose import choose
from builder.kinds.pip.index import Indexes
from builder.kinds.pip.lockfile import PipLock
from builder.kinds.pip.metadata import member, requires_dist, zipfile_of
from builder.kinds.pip.page import IndexFile
from builder.kinds.pip.question import PipQuestion, Solution
from builder.kinds.pip.requirement import name as name_of
from builder.kinds.pip.requirement import normalise, specifier
from builder.kinds.pip.sdist import BuildWheel, SdistQuestion, build_requires, candidates, stub
from builder.net import Client
from builder.store import Store

_ROUNDS = 8
"""How often a backend may name further build requirements before it counts as broken."""

ResolveBuild = Callable[[PipQuestion], PipLock]
"""Solves build requirements, wheels only."""


_Result = tuple[tuple[str, ...] | None, tuple[str, ...]]
"""Requires-Dist of a built wheel, None where there is none yet; what the backend asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """What is known of one archive: its Requires-Dist, and all that its build requires."""

    requires: tuple[str, ...]
    build: tuple[str, ...]


class Workshop:
    """The stubs and the built wheels of one resolution.

    `links` is a new folder after every round, as uv remembers the wheels of a folder by their names.
    """

    def __init__(
        self,
        question: PipQuestion,
        client: Client,
        store: Store,
        indexes: Indexes,
        folder: Path,
        build_wheel: BuildWheel | None,
    ) -> None:
        self._question = question
        self._client = client
        self._store = store
        self._indexes = indexes
        self._folder = folder
        self._build_wheel = build_wheel
        self._built: dict[tuple[str, str], _Built] = {}
        self._locks: dict[tuple[str, ...], PipLock] = {}
        self._round = 0
        self._stubs = tuple(
            (name, version)
            for name in sorted(question.sdists - question.pinned.keys())
            for version in candidates(
                name, indexes.files(name, question.source(name)), question.fitting(name), self._exact(name)
            )
        )
        self._guesses = {one: guess for one in self._stubs if (guess := self._guess(*one)) is not None}
        self.links = self._write()

    def _exact(self, name: str) -> set[str]:
        pin = self._question.existing.pin(name) if self._question.existing else None
        asked = {
            one.version
            for item in self._question.request
            if name_of(item) == name
            for one in specifier(item)
            if one.operator == "=="
        }
        return asked | ({pin.version} if pin else set())

    def _write(self) -> Path | None:
        if not self._stubs:
            return None
        folder = self._folder / f"links-{self._round}"
        folder.mkdir()
        for name, version in self._stubs:
            stub(folder, name, version, self._told(name, version))
        self._round += 1
        return folder

    def unknown(self, solution: Solution) -> Solution:
        """What of a solution is a stub whose requirements nobody knows yet."""
        return tuple(one for one in solution if one in self._stubs and one not in self._built)

    def requires(self, name: str, version: str) -> Sequence[str]:
        """The Requires-Dist lines of an archive; none for one that is not built."""
        known = self._built.get((name, version))
        return known.requires if known else ()

    def learn(self, news: Solution, resolve: ResolveBuild) -> bool:
        """Build these, and write the stubs anew; False if the stubs said so already, and the solution stands.

        Raises:
            StackbuildError: the sandbox is missing, or a build failed.
        """
        before = [self._told(*one) for one in news]
        for name, version in news:
            self._built[name, version] = self._learn(name, version, resolve)
            self._store.write(self._memory(name, version), json.dumps(self.requires(name, version)).encode())
        if [self._told(*one) for one in news] == before:
            return False
        self.links = self._write()
        return True

    def _told(self, name: str, version: str) -> Sequence[str]:
        """What a stub says that it requires: what is known, or else what an earlier run learnt."""
        known = self._built.get((name, version))
        return known.requires if known else self._guesses.get((name, version), ())

    def _guess(self, name: str, version: str) -> tuple[str, ...] | None:
        try:
            return tuple(json.loads((self._store.path / self._memory(name, version)).read_bytes()))
        except (OSError, ValueError):
            return None

    def _memory(self, name: str, version: str) -> str:
        question = self._question
        about = [name, version, question.source(name), question.python, question.platform, question.glibc]
        return f"metadata/sdist-{key(about).hex}"

    def lock(self, lock: PipLock, resolve: ResolveBuild) -> PipLock | None:
        """The lock of all build requirements of the archives that a lock pins; None if it pins none."""
        used = [self._built.get((pin.name, pin.version)) for pin in lock.pins]
        needs = [item for one in used if one is not None for item in one.build]
        return self._build_lock(needs, resolve) if needs else None

    def _build_lock(self, needs: Sequence[str], resolve: ResolveBuild) -> PipLock:
        request = normalise(needs)
        if request in self._locks:
            return self._locks[request]
        asks = replace(
            self._question,
            image=f"build requirements of {self._question.image}".strip(),
            request=request,
            constraints=(),
            inherited=(),
            without=(),
            existing=self._question.existing_build,
            existing_build=None,
            sdists=frozenset(),
        )
        self._locks[request] = resolve(asks)
        return self._locks[request]

    def _learn(self, name: str, version: str, resolve: ResolveBuild) -> _Built:
        path, file, digest = self._fetch(name, version)
        needs = normalise(build_requires(path, file.name))
        question = self._question
        for _ in range(_ROUNDS):
            build = self._build_lock(needs, resolve)
            name_of_result = key(
                {
                    "what": "requirements of a built sdist",
                    "schema": 1,
                    "sdist": digest,
                    "python": question.python,
                    "platform": question.platform,
                    "glibc": question.glibc,
                    "build": [pin.digest for pin in build.pins],
                }
            )
            asks = SdistQuestion(
                digest=digest,
                sdist=path,
                filename=file.name,
                name=name,
                version=version,
                requirements=build,
                python=question.python,
                platform=question.platform,
                glibc=question.glibc,
            )
            requires, backend = self._cached(name_of_result) or self._build(asks, name_of_result)
            further = normalise((*needs, *backend))
            if further == needs and requires is not None:
                return _Built(requires=requires, build=needs)
            if further == needs:
                raise StackbuildError(
                    f"no wheel came of {name}=={version}", expected="a wheel, or further build requirements"
                )
            needs = further
        raise StackbuildError(
            f"the build of {name}=={version} asks for ever more requirements",
            got=f"{len(needs)} after {_ROUNDS} rounds: {', '.join(needs)[:500]}",
        )

    def _build(self, asks: SdistQuestion, result: Digest) -> _Result:
        if self._build_wheel is None:
            raise StackbuildError(
                f"{asks.name}=={asks.version} has no wheel, and no sandbox is there to build one",
                next_step="run where the sandbox works; an archive's code never runs on the host",
            )
        wheel = self._build_wheel(asks)
        if wheel.path is None:
            return None, wheel.requires
        filename = wheel.filename or wheel.path.name
        with wheel.path.open("rb") as stream:
            requires = tuple(requires_dist(member(zipfile_of(stream, filename), filename)))
        document = {"requires": list(requires), "build": list(wheel.requires)}
        self._store.write(f"metadata/{result.hex}", json.dumps(document).encode())
        return requires, wheel.requires

    def _cached(self, result: Digest) -> _Result | None:
        try:
            found: Mapping[str, list[str]] = json.loads((self._store.path / "metadata" / result.hex).read_bytes())
            return tuple(found["requires"]), tuple(found["build"])
        except (OSError, ValueError, KeyError):
            return None

    def _fetch(self, name: str, version: str) -> tuple[Path, IndexFile, Digest]:
        """The archive, in the store; the one that is locked already, if it is."""
        question = self._question
        files = self._indexes.files(name, question.source(name))
        pin = question.existing.pin(name) if question.existing else None
        kept = [file for file in files if pin and pin.version == version and file.name == pin.filename]
        file = kept[0] if kept else choose(name, version, files, question.fitting(name), sdist=True)
        if kept and pin:
            file = replace(file, digest=pin.digest, size=pin.size)
        if file.digest is None:
            digest, _ = download(file, self._client, self._store)
            return self._store.source(digest), file, digest
        path = self._store.source(file.digest)
        if not path.exists():
            size = self._client.size(file.url) if file.size is None else file.size
            with self._store.new_source() as incoming:
                self._client.download([file.url], digest=file.digest, size=size, into=incoming)
        return path, file, file.digest


def download(file: IndexFile, client: Client, store: Store) -> tuple[Digest, int]:
    """Digest and size of a file whose index names no sha256; the file stays in the store."""
    with store.new_source() as incoming:
        return client.learn(file.url, incoming)
