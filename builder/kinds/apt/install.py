"""Install locked packages into a root. Runs inside the sandbox as its program: standard library only.

    1  skeleton            merged-/usr links, dpkg's folders (a fresh root only)
    2  bootstrap           what dpkg needs goes through 3 to 6 before all others (a fresh root only)
    3  unpack, by us       packages without a preinst, registered as unpacked
    4  unpack, by dpkg     packages with a preinst, in Pre-Depends order, so that their preinst runs
    5  account, debconf    the layout's user; the answers that the manifest preseeds
    6  configure, by dpkg  everything unpacked; then 3 to 6 for the next wave (`waves.py`), triggers with the last
    7  clean               what makes two runs differ (see `normalise.py`)

Packages are decompressed by other processes, out of sight, wave after wave: while dpkg unpacks and configures one, the
next gets ready. In a fresh root dpkg itself and what it needs must run before it is installed: the files of essential
packages that have a preinst are laid first without being registered, then unpacked once more by dpkg, as debootstrap
does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from builder.kinds.apt import normalise
from builder.kinds.apt.deb import BadDeb, Deb, read
from builder.kinds.apt.dpkg_database import DPKG
from builder.kinds.apt.stage import STAGE, Told, begin, plain_copy
from builder.kinds.apt.unpack import lay
from builder.kinds.apt.waves import waves

MERGED = ("bin", "sbin", "lib")
POLICY = "/usr/sbin/policy-rc.d"
_RUN = "/run/stackbuild"
_UNPACKED = f"{_RUN}/unpacked"
"""A FIFO of the host's, where it has one: opened and closed once everything is unpacked."""


def main(order: dict[str, Any]) -> None:
    """Install `order["debs"]`: paths in the root, each file already checked by digest.

    Keys of `order`: debs, fresh (bool), architecture, essential (paths of what dpkg needs before it can run), account
    (lines for passwd and group, or None), debconf (preseed lines), newest (an mtime), waves (bool), jobs.
    """
    if order["fresh"]:
        skeleton(order["architecture"])
    policy = _forbid_services()
    _be_chroot()
    first = _read(order["essential"])
    ours, early = _parted(first)
    essential = begin([(first, early)], order["jobs"]) if first else iter(())
    rest = _read(order["debs"])
    parted = [_parted(wave) for wave in (waves(rest) if order["waves"] else [rest])]
    decoded = begin(parted, order["jobs"], beside=bool(first))
    for told in essential:
        _bootstrap(ours, early, told, order)
    for number, (told, (ours, theirs)) in enumerate(zip(decoded, parted, strict=True), 1):
        _unpack(ours, theirs, told)
        last = number == len(parted)
        if last:
            shutil.rmtree(STAGE)
            _tell_unpacked()
        _configure(order, order["debconf"] if number == 1 and not first else (), triggers=last)
    if order["account"]:
        add_account(order["account"])
    if policy:
        os.unlink(POLICY)
    audit = subprocess.run(["dpkg", "--audit"], stdout=subprocess.PIPE, check=True).stdout
    if audit:
        raise SystemExit("dpkg --audit is not clean:\n" + audit.decode(errors="replace"))
    normalise.clean()


def _read(paths: Sequence[str]) -> list[Deb]:
    """Packages by name; base-files first, as it brings most folders and so decides their modes."""
    try:
        debs = [read(path) for path in paths]
    except (BadDeb, ValueError) as error:
        raise SystemExit(f"unpack: {error}") from None
    return sorted(debs, key=lambda deb: (deb.field("Package") != "base-files", deb.key))


def _unpack(ours: list[Deb], theirs: list[Deb], told: Told) -> None:
    """Unpack a wave; what the waves before have diverted, or brought a configuration file of, is dpkg's as well."""
    ours, more = _parted(ours)
    lay(ours, told, register=True)
    if theirs or more:
        _dpkg("--force-depends", "--unpack", *[plain_copy(deb) for deb in _pre_depends_first([*theirs, *more])])


def _configure(order: dict[str, Any], answers: Sequence[str], *, triggers: bool = True) -> None:
    if order["account"]:
        add_account(order["account"])
    if answers:
        _run(["debconf-set-selections"], "\n".join(answers) + "\n")
    normalise.clamp(order["newest"])
    _dpkg(*(() if triggers else ("--no-triggers",)), "--configure", "--pending")


def _tell_unpacked() -> None:
    if os.path.exists(_UNPACKED):
        with open(_UNPACKED, "wb"):
            pass


def skeleton(architecture: str) -> None:
    """What must stand before anything is unpacked: Debian Policy 9.1.1 leaves the links to the bootstrapper."""
    extra = ("lib64",) if architecture == "amd64" else ()
    for name in (*MERGED, *extra):
        os.makedirs(f"/usr/{name}", exist_ok=True)
        os.symlink(f"usr/{name}", f"/{name}")
    for name in ("info", "updates", "triggers", "alternatives", "parts"):
        os.makedirs(f"{DPKG}/{name}", exist_ok=True)
    os.makedirs("/etc", exist_ok=True)
    for path, text in (
        ("status", ""),
        ("available", ""),
        ("diversions", ""),
        ("statoverride", ""),
        ("arch", f"{architecture}\n"),
    ):
        with open(f"{DPKG}/{path}", "w") as stream:
            stream.write(text)
    with open(f"{DPKG}/info/format", "w") as stream:
        stream.write("1\n")


def _parted(debs: list[Deb]) -> tuple[list[Deb], list[Deb]]:
    """Which packages we unpack, and which the image's dpkg must: preinst, diverted or existing conffiles."""
    diverted = _diverted()
    ours: list[Deb] = []
    theirs: list[Deb] = []
    for deb in debs:
        special = "preinst" in deb.members or any(os.path.lexists(path) for path in deb.conffiles())
        if not special and diverted:
            special = deb.field("Package") in diverted or bool(diverted & set(_brought(deb)))
        (theirs if special else ours).append(deb)
    return ours, theirs


def _brought(deb: Deb) -> list[str]:
    """The paths a package brings, as its md5sums tell."""
    text = deb.members.get("md5sums", (0, b""))[1].decode("utf-8", "surrogateescape")
    return ["/" + line[34:] for line in text.splitlines()]


def _diverted() -> set[str]:
    with open(f"{DPKG}/diversions") as stream:
        return {line.strip() for line in stream if line.startswith("/")}


def _pre_depends_first(debs: list[Deb]) -> list[Deb]:
    """Packages in an order in which each follows those of its Pre-Depends that are in the list."""
    by_name = {deb.field("Package"): deb for deb in debs}
    placed: dict[str, Deb] = {}

    def place(deb: Deb, on_the_way: frozenset[str]) -> None:
        name = deb.field("Package")
        if name in placed or name in on_the_way:
            return
        for word in re.findall(r"[a-z0-9][a-z0-9.+-]+", deb.field("Pre-Depends")):
            if word in by_name:
                place(by_name[word], on_the_way | {name})
        placed[name] = deb

    for deb in debs:
        place(deb, frozenset())
    return list(placed.values())


def _bootstrap(ours: list[Deb], early: list[Deb], told: Told, order: dict[str, Any]) -> None:
    """Install dpkg and its needs; base-passwd and base-files are configured first, as all others use their files."""
    lay(ours, told, register=True, settled=frozenset(deb.field("Package") for deb in (*ours, *early)))
    lay(early, told, register=False)
    for name in ("passwd", "group"):
        if not os.path.exists(f"/etc/{name}"):
            shutil.copyfile(f"/usr/share/base-passwd/{name}.master", f"/etc/{name}")
    if early:
        _dpkg("--force-depends", "--unpack", *[plain_copy(deb) for deb in _pre_depends_first(early)])
    _dpkg("--force-depends", "--configure", "base-passwd", "base-files")
    _configure(order, order["debconf"])


def add_account(account: dict[str, Any]) -> None:
    """The layout's user in passwd, group and, once shadow passwords are on, shadow; adding twice changes nothing."""
    _add_line("/etc/passwd", account["passwd"])
    if account["group"]:
        _add_line("/etc/group", account["group"])
    if os.path.exists("/etc/shadow"):
        _add_line("/etc/shadow", f"{account['user']}:!:19000::::::")
    if account["group"] and os.path.exists("/etc/gshadow"):
        _add_line("/etc/gshadow", f"{account['user']}:!::")
    for database in ("/etc/group", "/etc/gshadow"):
        if os.path.exists(database):
            _join_groups(database, account["user"], account["groups"])


def _add_line(path: str, line: str) -> None:
    with open(path) as stream:
        text = stream.read()
    name = line.split(":")[0]
    if not any(row.split(":")[0] == name for row in text.splitlines()):
        with open(path, "a") as stream:
            stream.write(line + "\n")


def _join_groups(path: str, user: str, groups: list[int]) -> None:
    """Add the user to the member list of each group, by number, in group(5) and gshadow(5)."""
    with open("/etc/group") as stream:
        names = {row.split(":")[0] for row in stream.read().splitlines() if int(row.split(":")[2]) in groups}
    with open(path) as stream:
        rows = [row.split(":") for row in stream.read().splitlines()]
    for row in rows:
        members = [one for one in row[3].split(",") if one]
        if row[0] in names and user not in members:
            row[3] = ",".join([*members, user])
    with open(path, "w") as stream:
        stream.write("".join(":".join(row) + "\n" for row in rows))


def _forbid_services() -> bool:
    """Package scripts ask policy-rc.d whether services may start (Debian Policy 9.3.3.1): here none may."""
    if os.path.lexists(POLICY):
        return False
    os.makedirs(os.path.dirname(POLICY), exist_ok=True)
    with open(POLICY, "w") as stream:
        stream.write("#!/bin/sh\nexit 101\n")
    os.chmod(POLICY, 0o755)
    return True


def _be_chroot() -> None:
    """Answer ischroot(1) in the affirmative: it looks at process 1, which here is nobody's init.

    libc6's postinst would tell that process to start anew, and wait a second for it.
    """
    folder = f"{_RUN}/bin"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/ischroot", "w") as stream:
        stream.write("#!/bin/sh\nexit 0\n")
    os.chmod(f"{folder}/ischroot", 0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def _dpkg(*arguments: str) -> None:
    _run(["dpkg", "--force-unsafe-io", "--force-confold", *arguments])


def _run(argv: list[str], text: str = "") -> None:
    os.write(1, ("+ " + " ".join(argv[:6]) + (" …" if len(argv) > 6 else "") + "\n").encode())
    done = subprocess.run(argv, input=text.encode(), stdout=1, stderr=2, check=False)
    if done.returncode:
        raise SystemExit(f"{argv[0]} failed with exit code {done.returncode}")
