"""One version of one binary package, as the solver and the check see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.apt import relation
from builder.kinds.apt.relation import Atom, Clause
from builder.lock import Pin

FIELDS = (
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Source",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Installed-Size",
)
"""The archive's fields that a pin keeps in `Pin.fields`, in the order of the lock."""

PRIORITIES = {"required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}
"""Debian Policy 2.5; one that an archive invents counts as `extra`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A candidate, or something that is there already.

    Attributes:
        pin: what a lock would keep of it.
        multi_arch: `""`, `same`, `foreign` or `allowed`.
        needs: Pre-Depends, then Depends, in the archive's order.
        wishes: Recommends; known only of candidates, as a lock does not keep them.
        refuses: Conflicts, then Breaks; Debian Policy 7.1 forbids alternatives there.
        provides: name and version, the version empty where none is given.
        priority: 1 (required) to 5 (extra).
        image: the ancestor it is inherited from, else empty.
    """

    pin: Pin
    architecture: str
    multi_arch: str
    essential: bool
    priority: int
    needs: tuple[Clause, ...]
    wishes: tuple[Clause, ...]
    refuses: tuple[Atom, ...]
    provides: tuple[tuple[str, str], ...]
    image: str = ""
    name: str = field(init=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        # Read millions of times by the solver: one attribute less to follow.
        object.__setattr__(self, "name", self.pin.name)
        object.__setattr__(self, "version", self.pin.version)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def offers(self, atom: Atom) -> bool:
        """Whether this package, by its own name or a Provides, is what `atom` asks for.

        Versions and qualifiers count: `:any` is met only by `Multi-Arch: allowed`, `:i386` by nothing of amd64.
        """
        if not self.reached(atom):
            return False
        if self.name == atom.name and relation.admits(atom, self.version):
            return True
        return any(name == atom.name and relation.admits(atom, version) for name, version in self.provides)

    def reached(self, atom: Atom) -> bool:
        """Whether the qualifier of `atom` lets this package in (deb-control(5), Multi-Arch)."""
        if not atom.arch or atom.arch == "native":
            return True
        return self.multi_arch == "allowed" if atom.arch == "any" else self.architecture == atom.arch

    def names(self) -> Iterator[str]:
        """Its own name, then what it provides."""
        yield self.name
        for name, _ in self.provides:
            yield name


def of_pin(pin: Pin, *, image: str = "") -> Package:
    """The package that a lock's pin stands for.

    Raises:
        HostileInput: a relation field is malformed.
    """
    fields = dict(pin.fields)
    return _package(pin, fields, image=image)


def of_stanza(stanza: str, *, source: str, suite: str, release: str) -> Package:
    """The package of one paragraph of a Packages index.

    Args:
        source: the archive's name in the stacks manifest.
        suite: the suite it was found in.
        release: the Date of that suite's Release file, `YYYYMMDDTHHMMSSZ`.

    Raises:
        HostileInput: a field that a pin needs is missing or malformed.
    """
    fields = fields_of(stanza)
    try:
        pin = Pin(
            kind="apt",
            name=fields["Package"],
            version=fields["Version"],
            filename=fields["Filename"],
            digest=Digest.parse("sha256:" + fields["SHA256"]),
            size=int(fields["Size"]),
            source=source,
            fields=(
                *((name, fields[name]) for name in FIELDS if fields.get(name)),
                ("X-Suite", suite),
                ("X-Release", release),
            ),
        )
    except (KeyError, ValueError) as error:
        raise HostileInput(
            f"malformed entry in the package index of {suite}",
            expected="Package, Version, Filename, Size and SHA256",
            got=f"{fields.get('Package', '?')}: {error}",
        ) from None
    return _package(pin, fields)


def _package(pin: Pin, fields: dict[str, str], *, image: str = "") -> Package:
    needs = [fields[name] for name in ("Pre-Depends", "Depends") if name in fields]
    refuses = [fields[name] for name in ("Conflicts", "Breaks") if name in fields]
    return Package(
        pin=pin,
        architecture=fields.get("Architecture", ""),
        multi_arch=fields.get("Multi-Arch", ""),
        essential=fields.get("Essential", "") == "yes",
        priority=PRIORITIES.get(fields.get("Priority", ""), 5),
        needs=tuple(clause for text in needs for clause in relation.clauses(text)),
        wishes=relation.clauses(fields.get("Recommends", "")),
        refuses=tuple(atom for text in refuses for clause in relation.clauses(text) for atom in clause),
        provides=tuple(
            (atom.name, atom.version) for clause in relation.clauses(fields.get("Provides", "")) for atom in clause
        ),
        image=image,
    )


def fields_of(stanza: str) -> dict[str, str]:
    """Fields of one deb822 paragraph; a continued line is joined to its field by one space."""
    found: dict[str, str] = {}
    name = ""
    for line in stanza.split("\n"):
        if line[:1] in (" ", "\t"):
            found[name] = f"{found.get(name, '')} {line.strip()}".strip()
            continue
        name, _, value = line.partition(":")
        found[name] = value.strip()
    return found
