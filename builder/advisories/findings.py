"""What an audit finds: vulnerabilities of what images bring, and what could not be looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builder.advisories.hits import Subject
from builder.advisories.severity import Severity
from builder.manifest.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A vulnerability of what one image brings.

    Attributes:
        packages: that it is in: of one source package, all that the image's locks have.
        image: whose locks have them; `own` its targets, `heirs` the other targets that were asked about.
        via: of each package, the way to what asks for it; "" where nothing of the manifest leads there.
        state: `open`, `accepted` by the manifest, `ignored` by this run, or `below` the level that counts.
        note: the reason of an acceptance, and its last day; of one that has ended too, though it counts no more.
    """

    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: Severity
    ecosystem: str
    source: str
    version: str
    fixed: str
    packages: tuple[Subject, ...]
    via: tuple[str, ...]
    image: str
    own: tuple[Target, ...]
    heirs: tuple[Target, ...]
    state: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit came to.

    Attributes:
        findings: image by image, parents first; the most severe of each first.
        checked: how many packages were looked up; uncovered: by kind, how many no database can know.
        idle: acceptances that are about nothing of what was found, with their places.
        databases: name, entries (None of a service), and how many of these could not be read.
    """

    targets: tuple[Target, ...]
    findings: tuple[Finding, ...]
    checked: int
    uncovered: Mapping[str, int]
    idle: tuple[str, ...]
    databases: tuple[tuple[str, int | None, int], ...]

    @property
    def open(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.state == "open")
