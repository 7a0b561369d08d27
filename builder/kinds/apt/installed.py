"""A set of packages that stand side by side: what it satisfies and what it refuses.

The solver grows and shrinks one; the check builds one from a lock and its ancestors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from builder.kinds.apt import relation
from builder.kinds.apt.package import Package
from builder.kinds.apt.relation import Atom, Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Two packages that cannot stand together, as `owner` says `Conflicts` or `Breaks` with `atom`."""

    owner: Package
    atom: Atom
    other: Package

    def __str__(self) -> str:
        return f"{self.owner} refuses {self.atom}, and {self.other} is that"


class Installed:
    """Packages by name, one version each, indexed by what they provide and refuse."""

    def __init__(self, packages: Iterable[Package] = ()) -> None:
        self._packages: dict[str, Package] = {}
        self._provided: dict[str, list[tuple[str, Package]]] = {}
        self._refused: dict[str, list[tuple[Atom, Package]]] = {}
        for package in packages:
            self.add(package)

    def __contains__(self, name: str) -> bool:
        return name in self._packages

    def get(self, name: str) -> Package | None:
        return self._packages.get(name)

    def packages(self) -> list[Package]:
        """In the order they were added."""
        return list(self._packages.values())

    def add(self, package: Package) -> None:
        """Add a package whose name is not there yet."""
        self._packages[package.name] = package
        for name, provided in package.provides:
            self._provided.setdefault(name, []).append((provided, package))
        for atom in package.refuses:
            self._refused.setdefault(atom.name, []).append((atom, package))

    def remove(self, package: Package) -> None:
        """Take back the most recent `add`; the lists are stacks."""
        del self._packages[package.name]
        for name, _ in package.provides:
            self._provided[name].pop()
        for atom in package.refuses:
            self._refused[atom.name].pop()

    def satisfier(self, clause: Clause) -> Package | None:
        """The first package that one of the alternatives accepts, or None."""
        for atom in clause:
            package = self._packages.get(atom.name)
            if package is not None and relation.admits(atom, package.version) and package.reached(atom):
                return package
            for version, provider in self._provided.get(atom.name, ()):
                if relation.admits(atom, version) and provider.reached(atom):
                    return provider
        return None

    def clash(self, package: Package) -> Clash | None:
        """Why `package`, which may be among us, cannot stand beside us; None if it can.

        A package that conflicts with a name it provides itself keeps only others out (Debian Policy 7.4).
        """
        for atom in package.refuses:
            if (other := self._offering(atom, package.name)) is not None:
                return Clash(owner=package, atom=atom, other=other)
        for name in package.names():
            for atom, owner in self._refused.get(name, ()):
                if owner.name != package.name and package.offers(atom):
                    return Clash(owner=owner, atom=atom, other=package)
        return None

    def _offering(self, atom: Atom, but: str) -> Package | None:
        package = self._packages.get(atom.name)
        if package is not None and package.name != but and package.offers(atom):
            return package
        for _, provider in self._provided.get(atom.name, ()):
            if provider.name != but and provider.offers(atom):
                return provider
        return None
