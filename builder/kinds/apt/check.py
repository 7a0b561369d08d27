"""Whether a lock is a solution by its own fields, after a merge for instance. No network, no archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.errors import HostileInput, StackbuildError
from builder.kinds.apt import lockfile, relation, request
from builder.kinds.apt.installed import Installed
from builder.kinds.apt.package import Package, of_pin
from builder.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A lock and where it was read.

    Attributes:
        path: for errors; relative to the manifest reads best.
        text: the file's text, to name lines; may be empty.
    """

    path: str
    lock: Lock
    text: str = ""

    def at(self, name: str, field: str = "Package") -> str:
        return f"{self.path}:{lockfile.line_of(self.text, name, field)}"


def problems(
    subject: Subject, inherited: Sequence[tuple[str, Lock]], asked: Sequence[str], *, architecture: str = ""
) -> list[StackbuildError]:
    """What keeps a lock from being an answer; an empty list if it is one.

    Args:
        inherited: the ancestors' locks with their images' names, root first.
        asked: the manifest's request today.
        architecture: Debian's name of the target's; requests qualified by another one are a problem.

    Returns:
        In the order: request, names, dependencies and conflicts by package.
    """
    stale = _stale(subject, asked)
    found = list(stale)
    try:
        atoms = request.parse(asked, architecture)
        own = [of_pin(pin) for pin in subject.lock.pins]
        above = [of_pin(pin, image=image) for image, lock in inherited for pin in lock.pins]
    except HostileInput as error:
        return [*found, _remade("lock is damaged", subject.path, got=f"{error.what}: {error.got}")]
    except StackbuildError as error:
        return [*found, error]
    installed = Installed()
    for package in (*above, *own):
        there = installed.get(package.name)
        if there is None:
            installed.add(package)
        elif not package.image:
            got = f"{there.version} of {there.image or 'the same lock'}"
            found.append(
                _remade(
                    f"{package.name} is locked twice",
                    subject.at(package.name),
                    expected="one version",
                    got=got,
                )
            )
    for atom in () if stale else atoms:
        answer = installed.get(atom.name)
        if answer is None or not answer.offers(atom):
            got = f"{answer.name} {answer.version}" if answer else f"no {atom.name}"
            found.append(_remade("lock is no solution", subject.path, expected=str(atom), got=got))
    for package in own:
        found += _unsound(package, installed, subject)
    return found


def _stale(subject: Subject, asked: Sequence[str]) -> list[StackbuildError]:
    """The lock answers another request than the manifest's; one problem for each name."""
    now = {item.partition("==")[0]: item for item in asked}
    then = {item.partition("==")[0]: item for item in subject.lock.request}
    return [
        _remade(
            "lock is stale",
            subject.path,
            expected=f"an answer to {now[name]}" if name in now else f"no {name} any more",
            got=f"an answer to {then[name]}" if name in then else "nothing about it",
        )
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    ]


def _unsound(package: Package, installed: Installed, subject: Subject) -> list[StackbuildError]:
    """Needs that nothing meets, and neighbours that cannot stand beside a package."""
    found: list[StackbuildError] = []
    for clause in package.needs:
        if installed.satisfier(clause) is None:
            field = _field_of(package, clause)
            there = [str(one) for atom in clause if (one := installed.get(atom.name)) is not None]
            found.append(
                _remade(
                    f"lock is no solution: {package} needs {relation.show(clause)}",
                    subject.at(package.name, field),
                    expected=relation.show(clause),
                    got=", ".join(there) or "nothing of that name in this image and its ancestors",
                )
            )
    clash = installed.clash(package)
    if clash is not None and (clash.owner is package or clash.owner.image):
        found.append(_remade(f"lock is no solution: {clash}", subject.at(package.name)))
    return found


def _field_of(package: Package, clause: relation.Clause) -> str:
    before = relation.clauses(package.pin.field("Pre-Depends"))
    return "Pre-Depends" if clause in before else "Depends"


def _remade(what: str, where: str, *, expected: str = "", got: str = "") -> StackbuildError:
    return StackbuildError(what, where=where, expected=expected, got=got, next_step="stackbuild lock")
