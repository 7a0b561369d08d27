"""Whether a lock is a solution, by its own fields and the manifest alone. No network, no npm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.errors import StackbuildError
from builder.kinds.npm import lay
from builder.kinds.npm.lockfile import NpmLock
from builder.kinds.npm.package import Package, edges, find
from builder.kinds.npm.request import Request, parse
from builder.kinds.npm.semver import is_range, satisfies


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a lock must answer.

    Attributes:
        request: the manifest's, as it is written there.
        inherited: image names and locks of the ancestors that share the prefix, root first.
        node: the Node.js of the target, `18.20.4`.
        platform: `linux/amd64`.
        image: the image's name, for messages.
        path: the lock's, for messages.
        nested: folders of packages with trees of their own, sorted.
        run, ignore, lax: names in npm-scripts, npm-ignore-scripts and npm-ignore-engines.
    """

    request: tuple[str, ...]
    node: str
    platform: str
    prefix: str
    inherited: tuple[tuple[str, NpmLock], ...] = ()
    image: str = ""
    path: str = ""
    nested: tuple[str, ...] = ()
    run: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    lax: frozenset[str] = frozenset()

    @property
    def above(self) -> Mapping[str, tuple[str, Package]]:
        """What the ancestors have side by side: folder's name → image and package."""
        return {
            package.folder_name: (image, package)
            for image, lock in self.inherited
            for package in lock.packages
            if package.top
        }

    @property
    def own(self) -> tuple[Request, ...]:
        """The requests that no ancestor answers.

        Raises:
            StackbuildError: an ancestor has such a package, in a version that will not do.
        """
        above = self.above
        for one in parse(self.request):
            image, package = above.get(one.name, ("", None))
            if package is not None and not one.accepts(package.version):
                raise StackbuildError(
                    f"child may not move its parent: {self.image} needs {one.text}, {image} pins {package.version}",
                    next_step=f"ask for another version, or: stackbuild lock --upgrade-package {one.name}",
                )
        return tuple(one for one in parse(self.request) if one.name not in above)


def problems(lock: NpmLock, wanted: Wanted) -> list[StackbuildError]:
    """What keeps a lock from being an answer; an empty list if it is one."""
    stale = list(_stale(lock, wanted))
    if stale:
        return stale
    try:
        own = wanted.own
    except StackbuildError as error:
        return [error]
    return [
        *_unanswered(lock, own, wanted),
        *_unsound(lock, wanted),
        *_incomplete(lock, wanted),
        *_collisions(lock, wanted),
        *_scripts(lock, wanted),
        *_engines(lock, wanted),
    ]


def _stale(lock: NpmLock, wanted: Wanted) -> Iterator[StackbuildError]:
    now = {one.name: one.text for one in parse(wanted.request)}
    then = {one.name: one.text for one in parse(lock.request)}
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            yield _remade(
                "lock is stale",
                wanted,
                expected=f"an answer to {now[name]}" if name in now else f"no {name} any more",
                got=f"an answer to {then[name]}" if name in then else "nothing about it",
            )
    if wanted.nested != tuple(tree.folder for tree in lock.nested):
        for folder in sorted({*wanted.nested} ^ {tree.folder for tree in lock.nested}):
            asked = "npm-nested asks for" if folder in wanted.nested else "npm-nested no longer asks for"
            yield _remade("lock is stale", wanted, expected=f"{asked} {folder}")
    for what, is_, was in (("Node.js", wanted.node, lock.node), ("platform", wanted.platform, lock.platform)):
        if is_ != was:
            yield _remade("lock is stale", wanted, expected=f"an answer for {what} {is_}", got=f"one for {was}")


def _unanswered(lock: NpmLock, own: Sequence[Request], wanted: Wanted) -> Iterator[StackbuildError]:
    packages = lock.by_location
    for one in own:
        found = packages.get(f"node_modules/{one.name}")
        if found is None or not one.accepts(found.version):
            yield _remade("lock is no solution", wanted, expected=one.text, got=str(found or f"no {one.name}"))


def _unsound(lock: NpmLock, wanted: Wanted) -> Iterator[StackbuildError]:
    """Dependencies that nothing answers. Peers are npm's to judge, which below a request lets some differ."""
    packages = lock.by_location
    for package in lock.packages:
        if package.bundled:
            continue  # Whoever published the tarball has put it together.
        for name, range_, found, lax in edges(packages, package):
            if name in package.peers or (found is None and lax):
                continue
            if found is None or not answers(found, range_):
                yield _remade(
                    f"lock is no solution: {package} needs {name} {range_}",
                    wanted,
                    expected=f"{name} {range_}",
                    got=str(found or f"no {name} where it would be found"),
                )


def _incomplete(lock: NpmLock, wanted: Wanted) -> Iterator[StackbuildError]:
    """What nested trees lack. Whoever published them has put them together, against some ranges on purpose."""
    for tree in lock.nested:
        packages = tree.by_location
        if tree.owner not in lock.by_location:
            yield _remade("lock is no solution", wanted, expected=f"the package of {tree.folder}")
        for name in sorted(tree.needs):
            if find(packages, "", name) is None:
                yield _remade(f"lock is no solution: {tree.folder} needs {name}", wanted, expected=name)
        for package in tree.packages:
            for name, range_, found, lax in edges(packages, package) if not package.bundled else ():
                if found is None and not lax and name not in package.peers:
                    yield _remade(
                        f"lock is no solution: {package} in {tree.folder} needs {name} {range_}", wanted, expected=name
                    )


def answers(package: Package, range_: str) -> bool:
    """Whether a package is what a dependency asks for; a tag may mean any version (npm, package.json, dependencies)."""
    if range_.startswith("npm:"):
        name, _, range_ = range_[4:].rpartition("@") if "@" in range_[5:] else (range_[4:], "", "*")
        if name != package.name:
            return False
    return not is_range(range_) or satisfies(package.version, range_)


def _collisions(lock: NpmLock, wanted: Wanted) -> Iterator[StackbuildError]:
    """What would lie where an ancestor's package or program does, or two programs of one name."""
    above = wanted.above
    for package in lock.packages:
        if package.top and package.folder_name in above:
            image, other = above[package.folder_name]
            yield StackbuildError(
                f"child may not move its parent: {wanted.image} needs {package}, {image} has {other} in its place",
                next_step=f'add "{package.name}" to npm of {image}, or give {wanted.image} a node prefix of its own',
            )
    owners: dict[str, Package] = {}
    for one_lock in (*(found for _, found in wanted.inherited), lock):
        names = {one.name for one in parse(one_lock.request)}
        for package in one_lock.packages:
            if not package.top or package.folder_name not in names:
                continue
            for name in lay.programs(package, wanted.prefix):
                other = owners.setdefault(name, package)
                if other is not package:
                    yield StackbuildError(
                        f"two npm packages bring the program {name}",
                        where=f"{other} and {package}",
                        next_step="leave one of them out in stacks.toml",
                    )


def _scripts(lock: NpmLock, wanted: Wanted) -> Iterator[StackbuildError]:
    for package in lock.every:
        if not package.scripted or package.name in wanted.ignore:
            continue
        if package.name not in wanted.run:
            yield StackbuildError(
                f"{package} has an install script",
                where=f"{wanted.image}: {package.title}",
                expected=f'"{package.name}" in npm-scripts, which runs it in the sandbox, or in npm-ignore-scripts',
                next_step="decide in stacks.toml, then: stackbuild lock",
            )
        elif package.bundled:
            yield StackbuildError(
                f"the install script of {package} cannot run: it lies in the tarball of another package",
                where=f"{wanted.image}: {package.title}",
                next_step=f'write "{package.name}" into npm-ignore-scripts',
            )


def _engines(lock: NpmLock, wanted: Wanted) -> Iterator[StackbuildError]:
    for package in lock.every:
        range_ = package.node
        if range_ and package.name not in wanted.lax and not satisfies(wanted.node, range_):
            yield StackbuildError(
                f"{package} is for another Node.js",
                where=f"{wanted.image}: {package.title}",
                expected=f"Node.js {range_}",
                got=f"{wanted.node}, from apt",
                next_step=f"ask for another version of it, take nodejs from another archive, "
                f'or add "{package.name}" to npm-ignore-engines',
            )


def _remade(what: str, wanted: Wanted, *, expected: str = "", got: str = "") -> StackbuildError:
    image = re.sub(r"[:@].*", "", wanted.image)
    return StackbuildError(
        what, where=wanted.path, expected=expected, got=got, next_step=f"stackbuild lock {image}".strip()
    )
