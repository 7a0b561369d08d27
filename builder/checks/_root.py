"""What lies in a container's root, read from the host without a program of the image.

Sources: PyPA, "Recording installed projects" (RECORD, dist-info); conda-meta; dpkg's database.
"""

from __future__ import annotations

import csv
import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from builder.files import Files
from builder.kinds.apt.package import fields_of

_NOT_OURS = ("dev", "proc", "sys")
_METADATA = 1 << 20
"""Bytes of a METADATA that are read; its head is at its beginning."""
_LIBRARY = re.compile(
    r"lib(cudart|cublas|cublasLt|cudnn\w*|cufft|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink)(-[0-9a-f]+)?\.so(\.\d+)*"
)
_SITE = re.compile(r"(?P<prefix>/.*?)?/lib(?:64)?/python3[^/]*/(?:site|dist)-packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An installed Python distribution. `folder`: its site-packages; `path`: its metadata; both in the image."""

    name: str
    version: str
    folder: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Folders and files of interest in a root, sorted, as paths in the image."""

    sites: tuple[str, ...]
    libraries: tuple[str, ...]


def survey(root: Files) -> Survey:
    """Walk the whole root once; its links are not followed.

    Raises:
        OSError: a folder cannot be read, or the root is gone: what was not seen must not count as absent.
    """
    sites, libraries = [], []
    for folder, names, files in os.walk(root.folder, onerror=_refuse):
        at = folder.removeprefix(str(root.folder)) or "/"
        if at == "/":
            names[:] = [name for name in names if name not in _NOT_OURS]
        if posixpath.basename(at) in {"site-packages", "dist-packages"}:
            sites.append(at)
        libraries += [posixpath.join(at, name) for name in files if _LIBRARY.fullmatch(name)]
    return Survey(sites=tuple(sorted(sites)), libraries=tuple(sorted(libraries)))


def _refuse(error: OSError) -> NoReturn:
    raise error


def prefix_of(site: str) -> str:
    """`/opt/venv` of `/opt/venv/lib/python3.11/site-packages`; "" of a folder that is no Python's."""
    found = _SITE.fullmatch(site)
    return (found["prefix"] or "/") if found else ""


def distributions(root: Files, site: str) -> Iterator[Found]:
    """What importlib.metadata finds in a site-packages folder."""
    for entry in root.names(site):
        stem, dot, end = entry.rpartition(".")
        if dot and end in {"dist-info", "egg-info"}:
            path = f"{site}/{entry}"
            inner = f"{path}/METADATA" if end == "dist-info" else f"{path}/PKG-INFO"
            text = root.read(inner, _METADATA) or root.read(path, _METADATA) or b""
            head = fields_of(text.decode("utf-8", "replace").replace("\r", "").split("\n\n", 1)[0])
            given, _, version = stem.partition("-")
            name = re.sub(r"[-_.]+", "-", head.get("Name") or given).lower()
            yield Found(name=name, version=head.get("Version") or version, folder=site, path=path)


def claims(root: Files, found: Found) -> Iterator[tuple[str, str]]:
    """The files that a distribution's RECORD names: path in the image, and sha256, "" where it has none."""
    text = (root.read(f"{found.path}/RECORD") or b"").decode("utf-8", "replace")
    for row in csv.reader(text.splitlines()):
        if len(row) == 3:
            algorithm, _, value = row[1].partition("=")
            yield posixpath.normpath(posixpath.join(found.folder, row[0])), value if algorithm == "sha256" else ""


def conda_packages(root: Files, prefix: str) -> Mapping[str, str]:
    """Name → version and build, of conda-meta."""
    found = {}
    for name in root.names(f"{prefix}/conda-meta"):
        if name.endswith(".json"):
            try:
                record = json.loads(root.read(f"{prefix}/conda-meta/{name}") or b"")
                found[str(record["name"])] = f"{record['version']} {record['build']}"
            except (ValueError, KeyError, TypeError, RecursionError):
                found[name] = "unreadable"
    return found


def owned_by_dpkg(root: Files) -> frozenset[str]:
    """The paths below Debian's own folders of Python packages that dpkg knows."""
    found: set[str] = set()
    for name in root.names("/var/lib/dpkg/info"):
        if name.endswith(".list"):
            text = (root.read(f"/var/lib/dpkg/info/{name}") or b"").decode("utf-8", "replace")
            found.update(line for line in text.splitlines() if "-packages/" in line)
    return frozenset(found)
