"""Unpack packages in parallel and register them with dpkg. Runs inside the sandbox: standard library only.

    begin   other processes decompress archives; contents wait below `STAGE`, and nothing else changes (`stage.py`)
    lay     one package after the other: make folders and links, move contents to their places, register them with
            dpkg (`dpkg_database.py`); conffiles beside their names as `.dpkg-new`, as dpkg's own `--unpack` leaves
            them, so that no script finds the configuration of a package that is not configured yet

So decompressing, which takes longest, can go on while dpkg configures, and still no script ever finds a package that
is there in part, nor does anything depend on which process was the first.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence

from builder.kinds.apt import dpkg_database
from builder.kinds.apt.deb import BadDeb, Deb
from builder.kinds.apt.dpkg_database import Laid
from builder.kinds.apt.stage import STAGE, Row, Told, begin


def unpack(debs: Sequence[Deb], register: bool, jobs: int, settled: frozenset[str] = frozenset()) -> None:
    """Unpack packages with `jobs` processes: `begin` and `lay` in one."""
    (told,) = begin([(debs, ())], jobs)
    lay(debs, told, register, settled)
    shutil.rmtree(STAGE)


def lay(debs: Sequence[Deb], told: Told, register: bool, settled: frozenset[str] = frozenset()) -> None:
    """Bring decompressed packages to their places, and tell dpkg about them if `register` is set.

    Conffiles of the packages named in `settled` get their final names at once, registered with their md5, which dpkg
    takes as installed: what dpkg itself needs must be usable before it is configured.

    Directories get owner and mode from the first package that brings them, in the order given: a folder that stands
    already keeps what it has, as with dpkg.
    """
    bare: set[str] = set()
    laid = {}
    for deb in debs:
        try:
            laid[deb.key] = _lay_one(deb, told.get(deb.key, []), register, settled, bare)
        except (BadDeb, OSError) as error:
            raise SystemExit(f"unpack: {deb.key}: {error}") from None
    if register:
        dpkg_database.register(debs, laid)


def _lay_one(deb: Deb, rows: Sequence[Row], register: bool, settled: frozenset[str], bare: set[str]) -> Laid:
    """Bring one package's files to their places.

    Args:
        bare: folders that we made on the way to something else; the first package that brings one says what it is.
    """
    conffiles = set(deb.conffiles()) if register else set()
    early = deb.field("Package") in settled
    sums: dict[str, str] = {}
    for kind, path, place, md5, mode, uid, gid in rows:
        target = "/" + path
        if kind == "folder":
            _make_folder(target, bare)
            if path and (real := os.path.realpath(target)) in bare:
                bare.remove(real)
                os.chown(target, uid, gid)
                os.chmod(target, mode)
            continue
        _make_folder(os.path.dirname(target), bare)
        if target in conffiles:
            sums[target] = md5 if early else "newconffile"
            target += "" if early else ".dpkg-new"
        if os.path.isdir(target):
            if kind == "link":
                continue  # A folder stands where the package has a link: it stays, as with dpkg.
            if not os.path.islink(target):
                raise BadDeb(f"{target} would replace a folder")
        if kind == "hardlink":
            if os.path.lexists(target):
                os.unlink(target)
            os.link(place, target)
        else:
            _move(place, target)
    if register:
        dpkg_database.write_info(deb, rows)
    return Laid(dpkg_database.paths(rows), sums)


def _move(place: str, target: str) -> None:
    try:
        os.rename(place, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(place, target, follow_symlinks=False)  # A mount of the sandbox, which no image holds.


def _make_folder(path: str, bare: set[str]) -> None:
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path), bare)
        os.mkdir(path)
        bare.add(os.path.realpath(path))
