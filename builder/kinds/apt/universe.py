"""Every package that one archive offers to one architecture: several suites as one.

A Debian suite lists 63,000 packages and a question touches a few hundred of them. So the text of an index is
only cut into paragraphs and their names noted (about 0.2 s); a paragraph is parsed when somebody asks for its
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from builder.kinds.apt import version
from builder.kinds.apt.package import Package, of_stanza

_Place: TypeAlias = tuple[int, int, int]
"""Number of the index, start and end of the paragraph in it."""

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
        self._indices = tuple(indices)
        self._places: dict[str, list[_Place]] = {}
        self._providers: dict[str, dict[str, None]] = {}
        self._essential: set[str] = set()
        self._parsed: dict[str, tuple[Package, ...]] = {}
        for number, index in enumerate(self._indices):
            start, text = 0, index.text
            while start < len(text):
                end = text.find("\n\n", start)
                end = end if end >= 0 else len(text)
                self._add(text, start, end, number)
                start = end + 2

    @property
    def suites(self) -> dict[str, str]:
        """The Release each suite is of: `YYYYMMDDTHHMMSSZ` by suite, in the manifest's order."""
        return {index.suite: index.release for index in self._indices}

    def _add(self, text: str, start: int, end: int, number: int) -> None:
        name = _value(text, "Package", start, end)
        if not name:
            return
        self._places.setdefault(name, []).append((number, start, end))
        for provided in _PROVIDED.findall(_value(text, "Provides", start, end)):
            self._providers.setdefault(provided, {})[name] = None
        if text.find("\nEssential: yes", start, end) >= 0:
            self._essential.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def names(self) -> list[str]:
        """Every real package's name, sorted."""
        return sorted(self._places)

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
            for number, start, end in self._places.get(name, ()):
                index = self._indices[number]
                stanza = index.text[start:end].strip("\n")
                one = of_stanza(stanza, source=self.source, suite=index.suite, release=index.release)
                parsed.setdefault(one.version, one)
            found = tuple(sorted(parsed.values(), key=lambda one: version.key(one.version), reverse=True))
            self._parsed[name] = found
        return found

    def position(self, name: str) -> tuple[int, int]:
        """Where the indices first list a real package: number of the index, start of the paragraph."""
        number, start, _ = self._places[name][0]
        return number, start


def _value(text: str, field: str, start: int, end: int) -> str:
    """One field of the paragraph `text[start:end]`, continuation lines joined, nothing else parsed."""
    if text.startswith(field + ":", start):
        start += len(field) + 1
    else:
        start = text.find(f"\n{field}:", start, end)
        if start < 0:
            return ""
        start += len(field) + 2
    stop = text.find("\n", start, end)
    while stop >= 0 and text[stop + 1 : stop + 2] in (" ", "\t"):
        stop = text.find("\n", stop + 1, end)
    return text[start : stop if stop >= 0 else end].replace("\n", " ").strip()
