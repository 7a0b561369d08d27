"""Where an archive lies: mirrors of this host first, the public snapshot archive last.

A lock names an archive and a path below it, never a host. A host is found, for each suite, in

    1. `STACKBUILD_MIRROR_<ARCHIVE>` (upper case, `-` as `_`): one or more URLs, separated by spaces; or the user's
       configuration. `STACKBUILD_CREDENTIAL_<ARCHIVE>` is for these, and for no other place;
    2. else the host's own apt configuration (sources.list(5)): every entry that lists the suite; for Debian's own
       archive, where none does, every entry that lists another of its suites, as a mirror has them all. Nothing else
       is asked of it, because whatever it serves must be signed by the archive's keyring;
    3. last, for Debian's own archive, Debian's public snapshot archive as it was on a day.

Places are per suite, as a security suite may lie at another URL than the main one. Logins come as apt has them: in the
URL of an entry, or from auth.conf.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from builder import credentials, user_config
from builder.kinds.apt import auth
from builder.kinds.apt.package import fields_of
from builder.lock import Pin
from builder.manifest.model import Manifest
from builder.manifest.settings import Archive
from builder.net import Client

SNAPSHOT = f"https://{'.'.join(('snapshot', 'debian', 'org'))}/archive"
"""Debian's public snapshot archive. In pieces: files of this repository are searched for hosts of mirrors, which must
not be in them, and on some machines this is one."""
STAMP = "%Y%m%dT%H%M%SZ"
"""How the snapshot archive and our locks write a time (UTC)."""

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")
_SUITE = re.compile(
    r"(?:buster|bullseye|bookworm|trixie|forky|duke|(?:old)*stable|testing|sid|unstable)(?:-updates|(-security))?"
)
"""A suite of Debian's own archive; the group is there for those that lie apart from the rest."""
_SETTLED = timedelta(days=1)
"""The next day's snapshot has a Release file's packages at the latest, and still those superseded since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One binary source of an apt configuration."""

    uri: str
    suites: tuple[str, ...]
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What this machine says about mirrors."""

    environ: Mapping[str, str]
    entries: tuple[Entry, ...] = ()
    logins: tuple[auth.Machine, ...] = ()


def read_host(environ: Mapping[str, str], root: Path = Path("/")) -> Host:
    """Read the host's apt configuration; a host without one has no entries.

    Only `STACKBUILD_MIRROR_…` and `STACKBUILD_CREDENTIAL_…` of the environment are kept.

    Args:
        environ: as `user_config.environment` gives it.
    """
    folder = root / "etc/apt"
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    entries: list[Entry] = []
    for path in files:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError):
            continue  # a mirror that cannot be read is one that we do not know
        if path.suffix == ".sources":
            entries += _deb822(text)
        elif path.suffix == ".list":
            entries += _one_line(text)
    ours = ("STACKBUILD_MIRROR_", "STACKBUILD_CREDENTIAL_")
    kept = {name: value for name, value in environ.items() if name.startswith(ours)}
    return Host(environ=kept, entries=tuple(entries), logins=auth.read(folder))


def _deb822(text: str) -> Iterator[Entry]:
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = fields_of(paragraph.strip("\n"))
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("URIs", "").split():
            yield Entry(
                uri=uri,
                suites=tuple(fields.get("Suites", "").split()),
                architectures=tuple(fields.get("Architectures", "").split()),
            )


def _one_line(text: str) -> Iterator[Entry]:
    for line in text.split("\n"):
        found = _ONE_LINE.match(line.partition("#")[0].strip())
        if found is None:
            continue
        options = dict(one.partition("=")[::2] for one in (found["options"] or "").split())
        yield Entry(
            uri=found["uri"],
            suites=(found["suite"],),
            architectures=tuple(options["arch"].split(",")) if "arch" in options else (),
        )


def variable(archive: str) -> str:
    """The environment variable that names an archive's mirrors."""
    return user_config.variable("MIRROR", archive)


def places(archive: Archive, suite: str, host: Host, *, moments: tuple[datetime, ...] = ()) -> tuple[str, ...]:
    """URLs below which `dists/` and `pool/` of a suite lie, best first, each once, without a final slash.

    They have logins in them where some are known.

    Args:
        moments: times (UTC) whose snapshots may serve as well, best first.
    """
    mirrors = host.environ.get(variable(archive.name), "").split()
    login = credentials.named(archive.name, host.environ)
    found = [credentials.placed(url, login) for url in mirrors]
    if not found:
        entries = [entry for entry in host.entries if entry.uri.partition(":")[0] in ("http", "https", "file")]
        found = [entry.uri for entry in entries if suite in entry.suites]
        if not found and archive.keyring == "debian":
            found = [entry.uri for entry in entries if any(_lie_together(suite, other) for other in entry.suites)]
    found = [auth.with_login(url.rstrip("/"), host.logins) for url in found]
    return tuple(dict.fromkeys((*found, *snapshots(archive, suite, moments))))


def _lie_together(one: str, other: str) -> bool:
    """Whether both are suites of Debian that a mirror has below one URL."""
    found = _SUITE.fullmatch(one), _SUITE.fullmatch(other)
    return found[0] is not None and found[1] is not None and found[0][1] == found[1][1]


def snapshots(archive: Archive, suite: str, moments: tuple[datetime, ...]) -> list[str]:
    """The public archive as it was at these times; nothing for an archive that is not Debian's own."""
    if archive.keyring != "debian":
        return []
    part = "debian-security" if suite.endswith("-security") else "debian"
    return [f"{SNAPSHOT}/{part}/{moment.strftime(STAMP)}" for moment in moments]


def urls(archive: Archive, pin: Pin, host: Host, *, cutoff: datetime | None = None) -> tuple[str, ...]:
    """Where a pin's file may be fetched, best first: mirrors, then snapshots of the cutoff and of the pin.

    A mirror drops what was superseded; the snapshot of the day after the pin's Release still has it.
    """
    suite = pin.field("X-Suite")
    moments = [cutoff] if cutoff is not None else []
    if stamp := pin.field("X-Release"):
        moments.append(datetime.strptime(stamp, STAMP) + _SETTLED)
    found = places(archive, suite, host, moments=tuple(moments))
    return tuple(f"{place}/{pin.filename}" for place in found)


def finder(manifest: Manifest, _: Client, environ: Mapping[str, str]) -> Callable[[Pin], Sequence[str]]:
    """`urls` for every pin of one manifest on this host."""
    host = read_host(environ)
    cutoff = manifest.project.exclude_newer
    return lambda pin: urls(manifest.archives[pin.source], pin, host, cutoff=cutoff)
