"""One build of a package as a channel's repodata describes it, and as a pin (CEP 26 for names, versions and builds)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from builder.digest import Digest
from builder.errors import HostileInput
from builder.lock import Pin

SUFFIXES: Final = (".conda", ".tar.bz2")
SITE: Final = "python_site_packages_path"
"""The field of repodata, and of a pin, for `Record.site_packages`."""

_SHAPES: Final = {
    "name": re.compile(r"(?!__)[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?"),
    "version": re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._!+]*[0-9A-Za-z])?"),
    "build": re.compile(r"[0-9A-Za-z_.+]+"),
    "subdir": re.compile(r"noarch|linux-64|linux-aarch64"),
    "md5": re.compile(r"(?:[0-9a-f]{32})?"),
    "sha256": re.compile(r"(?:[0-9a-f]{64})?"),
    "noarch": re.compile(r"(?:python|generic)?"),
    "site_packages": re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*)?"),
}
_LINE: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_DISTRIBUTION: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*==[0-9A-Za-z][0-9A-Za-z.!+_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A build of a package.

    Attributes:
        channel: the channel's name in the stacks manifest.
        subdir: where the file lies: the target's, or `noarch`.
        file: the file's name, `<name>-<version>-<build>` and `.conda` or `.tar.bz2`.
        md5, sha256: hexadecimal; "" where the channel does not say.
        size: bytes of the file; 0 where the channel does not say.
        noarch: `python`, `generic`, or "".
        site_packages: of a Python: where its packages lie below the prefix, where that is not the usual place (CEP 17).
        depends, constrains: MatchSpecs, sorted, each once.
        purls: what the channel says it is elsewhere (`pkg:pypi/numpy`).
        timestamp: milliseconds since 1970 when it was built or, better, indexed; 0 where the channel does not say.
    """

    channel: str
    subdir: str
    file: str
    name: str
    version: str
    build: str
    md5: str = ""
    sha256: str = ""
    size: int = 0
    noarch: str = ""
    site_packages: str = ""
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    purls: tuple[str, ...] = ()
    timestamp: int = 0

    def __str__(self) -> str:
        return f"{self.name}=={self.version}={self.build}"

    def document(self, url: str) -> dict[str, Any]:
        """As in a repodata.json, below the channel's `url`, with what the channel's place adds."""
        number = re.search(r"(?:^|_)(\d{1,9})$", self.build)
        return {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": int(number[1]) if number else 0,
            "subdir": self.subdir,
            "noarch": self.noarch or None,
            "depends": list(self.depends),
            "constrains": list(self.constrains),
            "md5": self.md5,
            "sha256": self.sha256,
            "size": self.size,
            "fn": self.file,
            "url": f"{url}/{self.subdir}/{self.file}",
            "channel": url,
        }

    def pin(self, distributions: tuple[str, ...]) -> Pin:
        """The pin of it. `distributions`: what pip will see of it, `numpy==2.1.0`."""
        fields = [("build", self.build), ("md5", self.md5)]
        if self.noarch:
            fields.append(("noarch", self.noarch))
        if self.site_packages:
            fields.append((SITE, self.site_packages))
        for key, values in (("depends", self.depends), ("constrains", self.constrains), ("pypi", distributions)):
            fields += [(key, value) for value in values]
        return Pin(
            kind="conda",
            name=self.name,
            version=self.version,
            filename=f"{self.subdir}/{self.file}",
            digest=Digest(f"sha256:{self.sha256}"),
            size=self.size,
            source=self.channel,
            fields=tuple(fields),
        )


def of_document(document: Mapping[str, Any], channel: str) -> Record:
    """A record of repodata, which anybody may have written.

    Raises:
        HostileInput: it is not what a record may be.
    """
    noarch = document.get("noarch")
    return checked(
        Record(
            channel=channel,
            subdir=str(document["subdir"]),
            file=str(document["fn"]),
            name=str(document["name"]),
            version=str(document["version"]),
            build=str(document["build"]),
            md5=str(document.get("md5") or ""),
            sha256=str(document.get("sha256") or ""),
            size=int(document.get("size") or 0),
            noarch="generic" if noarch is True else str(noarch or ""),
            site_packages=str(document.get(SITE) or ""),
            depends=_specs(document.get("depends")),
            constrains=_specs(document.get("constrains")),
            purls=tuple(sorted(str(one) for one in document.get("purls") or ())),
            timestamp=int(document.get("indexed_timestamp") or document.get("timestamp") or 0),
        )
    )


def of_pin(pin: Pin) -> Record:
    """The record that a pin was made from; of a pin without a file, what its base image says of itself."""
    subdir, _, file = pin.filename.partition("/")
    build = pin.field("build")
    return Record(
        channel=pin.source,
        subdir=subdir or pin.field("subdir", "noarch"),
        file=file or pin.field("fn", f"{pin.name}-{pin.version}-{build}.conda"),
        name=pin.name,
        version=pin.version,
        build=build,
        md5=pin.field("md5"),
        sha256=pin.digest.removeprefix("sha256:") if file else pin.field("sha256"),
        size=pin.size,
        noarch=pin.field("noarch"),
        site_packages=pin.field(SITE),
        depends=fields(pin, "depends"),
        constrains=fields(pin, "constrains"),
    )


def fields(pin: Pin, name: str) -> tuple[str, ...]:
    """All values of a pin's field that may be there many times."""
    return tuple(value for key, value in pin.fields if key == name)


def checked(record: Record) -> Record:
    """The record, if everything in it has the shape that it must have.

    Raises:
        HostileInput: something has not.
    """
    for attribute, shape in _SHAPES.items():
        value = getattr(record, attribute)
        if shape.fullmatch(value) is None:
            raise _wrong(record, attribute, value)
    stem = f"{record.name}-{record.version}-{record.build}"
    if record.file not in {stem + suffix for suffix in SUFFIXES}:
        raise _wrong(record, "file name", record.file, expected=f"{stem}.conda or .tar.bz2")
    if not 0 <= record.size < 1 << 40:
        raise _wrong(record, "size", str(record.size))
    for spec in (*record.depends, *record.constrains):
        if _LINE.fullmatch(spec) is None:
            raise _wrong(record, "dependency", spec)
    return record


def distribution(text: str) -> bool:
    """Whether a text is a Python distribution as a lock has it: `numpy==2.1.0`, the name normalised (PEP 503)."""
    return _DISTRIBUTION.fullmatch(text) is not None


def _specs(values: Any) -> tuple[str, ...]:
    return tuple(sorted({" ".join(str(one).split()) for one in values or ()}))


def _wrong(record: Record, what: str, got: str, *, expected: str = "") -> HostileInput:
    return HostileInput(
        f"channel {record.channel} describes a package that cannot be: {what}",
        where=f"{record.subdir}/{record.file}"[:200],
        expected=expected,
        got=got[:200],
    )
