"""Under which name the world's databases of advisories know a package.

A kind whose packages are known to any has an `osv.py` in its folder:

    ECOSYSTEMS               the ecosystems of OSV whose versions `order` compares, without a release: `Debian`
    order(version)           a sort key of any text: none is refused, for it may come from a foreign database
    packages(lock, origin)   the packages of a lock, and what each is called there
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Known:
    """A package in an ecosystem (OSV schema 1.7, `affected[].package`).

    Attributes:
        ecosystem: with its release, where it has any: `PyPI`, `Debian:12`.
        name: as that ecosystem has it; of Debian, the source package's.
        version: in the ecosystem's own writing; of Debian, the source package's.
    """

    ecosystem: str
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A package of a lock.

    Attributes:
        known: where databases know it; empty where none does for certain.
        aliases: other names that people know it by, each with its version: Debian's source package.
    """

    name: str
    version: str
    known: tuple[Known, ...]
    aliases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the pins of a lock come from, as far as that decides what they are called.

    Attributes:
        keyrings: name of an archive and its keyring: a suite `bookworm` is Debian's only if Debian signed it.
        system: of the foreign image that they lie in: `debian 12 bookworm`; "" for anything else.
    """

    keyrings: tuple[tuple[str, str], ...] = ()
    system: str = ""
