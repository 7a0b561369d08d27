"""Every package that one archive offers to one architecture: several suites as one.

A Debian suite lists 63,000 packages and a question touches a few hundred of them. So the text of an index is
only cut into paragraphs and their names noted (about 0.2 s); a paragraph is parsed when somebody asks for its
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from builder.kinds.apt import version
from builder.kinds.apt.package import Package, of_stanza

_PROVIDED = re.compile(r"(?:^|,)\s*([a-z0-9][a-z0-9+.-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The verified text of one Packages file.

    Attributes:
        release: Date of the Release file that names it, `YYYYMMDDTHHMMSSZ`.
    """

    suite: str
    release: str
    text: str


class Universe:
    """Packages by name; safe to be read by many threads, as whatever is computed twice is equal.

    Args:
        source: the archive's name in the stacks manifest.
        indices: in the order of preference among equal versions.
    """

    def __init__(self, source: str, indices: Iterable[Index]) -> None:
        self.source = source
        self.suites: dict[str, str] = {}
        self._stanzas: dict[str, list[tuple[int, Index, str]]] = {}
        self._providers: dict[str, list[str]] = {}
        self._essential: set[str] = set()
        self._parsed: dict[str, tuple[Package, ...]] = {}
        order = 0
        for index in indices:
            self.suites[index.suite] = index.release
            for stanza in index.text.split("\n\n"):
                order += 1
                self._add(order, index, stanza.strip("\n"))

    def _add(self, order: int, index: Index, stanza: str) -> None:
        name = _value(stanza, "Package")
        if not name:
            return
        self._stanzas.setdefault(name, []).append((order, index, stanza))
        if "\nProvides:" in stanza:
            for provided in _PROVIDED.findall(_value(stanza, "Provides")):
                owners = self._providers.setdefault(provided, [])
                if name not in owners:
                    owners.append(name)
        if "\nEssential: yes" in stanza:
            self._essential.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._stanzas

    def names(self) -> list[str]:
        """Every real package's name, sorted."""
        return sorted(self._stanzas)

    def essential(self) -> list[str]:
        """Packages whose best version is `Essential: yes`, sorted."""
        return sorted(name for name in self._essential if self.versions(name)[0].essential)

    def providers(self, name: str) -> tuple[str, ...]:
        """Names of the packages, some version of which provides `name`."""
        return tuple(self._providers.get(name, ()))

    def versions(self, name: str) -> tuple[Package, ...]:
        """Every version of a package, highest first, each version once; empty for an unknown name.

        Raises:
            HostileInput: the archive's entry for it is malformed.
        """
        found = self._parsed.get(name)
        if found is None:
            parsed: dict[str, Package] = {}
            for order, index, stanza in self._stanzas.get(name, ()):
                one = of_stanza(
                    stanza, source=self.source, suite=index.suite, release=index.release, order=order
                )
                parsed.setdefault(one.version, one)
            found = tuple(sorted(parsed.values(), key=lambda one: version.key(one.version), reverse=True))
            self._parsed[name] = found
        return found


def _value(stanza: str, field: str) -> str:
    """One field's text, its continuation lines joined to it, without parsing the others."""
    if stanza.startswith(field + ":"):
        start = len(field) + 1
    else:
        start = stanza.find(f"\n{field}:")
        if start < 0:
            return ""
        start += len(field) + 2
    end = stanza.find("\n", start)
    while end >= 0 and stanza[end + 1 : end + 2] in (" ", "\t"):
        end = stanza.find("\n", end + 1)
    return stanza[start : end if end >= 0 else len(stanza)].replace("\n", " ").strip()
