"""What a surveyed image holds → pins of dpkg, pip, conda and Pythons.

Everything read here was written by whoever made the image. It is only compared with, never run, and what has not the
form that its tool writes is left out.

Sources: Debian Policy 5 and dpkg's status; PyPA, "Recording installed projects"; PEP 405; conda-meta;
os-release(5).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from builder.digest import Digest
from builder.digits import digits
from builder.kinds.apt.package import FIELDS, fields_of
from builder.kinds.oci.inherited_file import InheritedLock, pin, sorted_pins
from builder.kinds.oci.survey import Surveyed, folder_links, folder_rules, resolve
from builder.lock import Pin

_SITE = re.compile(r"(?:(.+)/)?lib(?:64)?/python3(?:\.\d+)?/(?:site|dist)-packages/([^/]+)\.(?:dist|egg)-info(?:/.+)?")
_PKGS = re.compile(r"(?:^|/)pkgs/[^/]+(?:/|$)")
"""conda's cache of unpacked packages, which is installed nowhere."""
_DEB_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_DEB_VERSION = re.compile(r"(?:\d+:)?\d[A-Za-z0-9.+~:-]*")
_PIP_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*")
_GLIBC = re.compile(rb"GNU C Library [^\n]*? version (\d+\.\d+)")
_CREDENTIAL = re.compile(r"/t/[^/]+/")
_KEPT = tuple(name for name in FIELDS if name != "Installed-Size")
"""The fields that say what stands together with what, and what is built from which source."""
_CONDA_TEXTS = ("build", "build_number", "subdir", "fn", "sha256", "md5")
_PATCH = re.compile(rb'^#define\s+PY_VERSION\s+"(3\.\d+\.\d+)[^"]*"', re.MULTILINE)


def inherited(found: Surveyed, manifest: Digest, architecture: str) -> InheritedLock:
    """What the image of that manifest holds.

    Args:
        architecture: Debian's name of the platform's; packages of a foreign one count for nobody.
    """
    apt = list(_apt(found, architecture))
    conda = list(_conda(found))
    pip = list(_pip(found))
    return InheritedLock(
        request=(),
        pins=sorted_pins([*_pythons(found, apt, conda), *pip, *conda, *apt]),
        base=manifest,
        system=_system(found),
        glibc=_glibc(found),
        passwd=_accounts(_text(found, "etc/passwd"), 7),
        group=_accounts(_text(found, "etc/group"), 4),
        folders=folder_rules(found),
        links=folder_links(found),
    )


def _text(found: Surveyed, path: str) -> str:
    """A file of the image by its path, links followed; "" where there is none."""
    return found.files.get(resolve(path, found.links), b"").decode("utf-8", "replace")


def _accounts(text: str, fields: int) -> tuple[str, ...]:
    """Lines of passwd(5) or group(5), whose second field may be a password's hash, which no lock may hold."""
    rows = [line.split(":") for line in text.splitlines()]
    return tuple(
        ":".join([row[0], "x" if row[1] not in {"", "*", "!"} else row[1], *row[2:]])
        for row in rows
        if len(row) == fields and all(map(digits, row[2 : fields // 2 + 1])) and "".join(row).isprintable()
    )


def _system(found: Surveyed) -> str:
    text = _text(found, "etc/os-release") or _text(found, "usr/lib/os-release")
    rows = dict(line.partition("=")[::2] for line in text.splitlines())
    words = [rows.get(name, "").strip("\"'") for name in ("ID", "VERSION_ID", "VERSION_CODENAME")]
    return " ".join(word for word in words if re.fullmatch(r"[A-Za-z0-9._-]+", word))


def _glibc(found: Surveyed) -> str:
    """The version that the C library says of itself: the newest, should there be several (a conda prefix has none)."""
    versions = set()
    for path, data in found.files.items():
        if re.fullmatch(r"(usr/)?lib(64)?/([^/]+/)?libc(\.so\.6|-2\.\d+\.so)", path) and (said := _GLIBC.search(data)):
            versions.add(tuple(int(part) for part in said[1].decode().split(".")))
    return ".".join(str(part) for part in max(versions)) if versions else ""


# dpkg -------------------------------------------------------------------------------------------------------------


def _apt(found: Surveyed, architecture: str) -> Iterator[Pin]:
    texts = [_text(found, "var/lib/dpkg/status")]
    texts += [_text(found, path) for path in sorted(found.files) if path.startswith("var/lib/dpkg/status.d/")]
    seen: set[str] = set()
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            fields = fields_of(paragraph.strip("\n"))
            name, version = fields.get("Package", ""), fields.get("Version", "")
            installed = fields.get("Status", "install ok installed").endswith(" installed")
            ours = fields.get("Architecture") in {architecture, "all"}
            if not (installed and ours and name not in seen):
                continue
            if _DEB_NAME.fullmatch(name) and _DEB_VERSION.fullmatch(version):
                seen.add(name)
                kept = ((one, fields[one]) for one in _KEPT if fields.get(one) and fields[one].isprintable())
                yield pin("apt", name, version, tuple(kept))


# pip --------------------------------------------------------------------------------------------------------------


def _pip(found: Surveyed) -> Iterator[Pin]:
    seen: set[tuple[str, str]] = set()
    for path in sorted(found.files):
        place = _SITE.fullmatch(path)
        if place is None or _PKGS.search(path) or path.endswith((".py", ".json")):
            continue
        prefix = "/" + (place[1] or "")
        head = fields_of(found.files[path].decode("utf-8", "replace").split("\n\n", 1)[0])
        name = re.sub(r"[-_.]+", "-", head.get("Name", "")).lower()
        version = head.get("Version", "")
        sound = re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and _PIP_VERSION.fullmatch(version)
        if sound and (prefix, name) not in seen:
            seen.add((prefix, name))
            yield pin("pip", name, version, (("prefix", prefix),))


# conda ------------------------------------------------------------------------------------------------------------


def _conda(found: Surveyed) -> Iterator[Pin]:
    for path in sorted(found.files):
        parts = re.fullmatch(r"(?:(.+)/)?conda-meta/[^/]+\.json", path)
        if parts is None or _PKGS.search(path):
            continue
        try:
            record: Mapping[str, Any] = json.loads(found.files[path])
            name, version = record["name"], record["version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if not (isinstance(name, str) and isinstance(version, str) and (name + version).isprintable()):
            continue
        fields = [("prefix", "/" + (parts[1] or "")), ("channel", _channel(record))]
        fields += [(key, str(record[key])) for key in _CONDA_TEXTS if isinstance(record.get(key), str | int)]
        fields += [("size", str(record["size"]))] if isinstance(record.get("size"), int) else []
        for key in ("depends", "constrains"):
            rows = record.get(key)
            fields += [(key, str(one)) for one in rows] if isinstance(rows, list) else []
        kept = tuple((key, value) for key, value in fields if value and value.isprintable())
        yield pin("conda", name, version, kept)


def _channel(record: Mapping[str, Any]) -> str:
    """The channel's URL without platform, user, password and token."""
    text = str(record.get("channel") or record.get("url") or "")
    text = re.sub(r"://[^/@]*@", "://", text).partition("?")[0]
    text = _CREDENTIAL.sub("/", text)
    return re.sub(r"/(linux-[a-z0-9]+|noarch)(/.*)?$", "", text)


# Pythons ----------------------------------------------------------------------------------------------------------


def _pythons(found: Surveyed, apt: list[Pin], conda: list[Pin]) -> Iterator[Pin]:
    """The Pythons whose patch level is known, one for each prefix: the newest program there."""
    debs = {one.name: one.version for one in apt}
    records = {one.field("prefix"): one.version for one in conda if one.name == "python"}
    best: dict[str, tuple[tuple[int, ...], str]] = {}
    programs = [*found.programs, *(path for path in found.links if re.fullmatch(r"(.*/)?bin/python3\.\d+", path))]
    for program in sorted(programs):
        prefix, _, name = program.rpartition("/bin/")
        if _PKGS.search(program) or (not prefix and program != f"bin/{name}"):
            continue
        version = _version(found, prefix, name.removeprefix("python"), debs, records)
        if version:
            order = tuple(int(part) for part in version.split("."))
            best["/" + prefix] = max(best.get("/" + prefix, ((), "")), (order, f"/{program}"))
    for prefix, (order, program) in best.items():
        version = ".".join(str(part) for part in order)
        yield pin("python", prefix, version, (("prefix", prefix), ("executable", program)))


def _version(found: Surveyed, prefix: str, short: str, debs: Mapping[str, str], records: Mapping[str, str]) -> str:
    """`3.12.8` of a `python3.12`, by whoever installed it; "" if nothing tells."""
    told = [records.get("/" + prefix, "")]
    if prefix == "usr":
        told.append(debs.get(f"python{short}-minimal", "").rpartition(":")[2])
    header = _PATCH.search(found.files.get(f"{prefix}/include/python{short}/patchlevel.h".lstrip("/"), b""))
    told.append(header[1].decode() if header else "")
    settings = found.files.get(f"{prefix}/pyvenv.cfg".lstrip("/"), b"").decode("utf-8", "replace")
    for line in settings.splitlines():
        key, _, value = line.partition("=")
        if key.strip() in {"version", "version_info"}:
            told.append(value.strip())
    for one in told:
        if (matched := re.match(r"\d+\.\d+\.\d+", one)) and matched[0].rpartition(".")[0] == short:
            return matched[0]
    return ""
