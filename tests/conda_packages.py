"""Real conda packages from a few files, sound ones and hostile ones, and a Python packaged for conda that runs.

`Piece` is a member of a package's tar; `package` writes the package, `stored` puts it into a store and pins it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from builder.digest import Digest
from builder.kinds.conda.part import Packed
from builder.kinds.conda.record import of_document, of_pin
from builder.lock import Pin
from builder.store import Store
from tests.tools import absent

PLACEHOLDER = "/home/builder/feedstock_root/build_artifacts/" + "_placehold" * 15
"""As long as conda-build's own, 195 bytes, so that it is longer than any prefix of a test."""
PREFIX = "/opt/conda"
URL = "https://conda.example.com/main"
MTIME = 1_700_000_000
"""2023-11-14, when the packages' files were written unless they say otherwise."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A member of a package.

    Attributes:
        link: the text of a symbolic link; `hard`: the path that a hard link names.
        prefix: `text` or `binary` where the placeholder is to be replaced.
        kind: tarfile's type, where it is to be another.
    """

    path: str
    data: bytes = b""
    link: str = ""
    hard: str = ""
    mode: int = 0o644
    mtime: int = MTIME
    prefix: str = ""
    kind: bytes = b""
    no_link: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """Its row in paths.json, as conda-build writes it."""
        found: dict[str, Any] = {"_path": self.path, "path_type": "softlink" if self.link else "hardlink"}
        if self.kind == tarfile.DIRTYPE:
            return found | {"path_type": "directory"}
        found |= {"sha256": hashlib.sha256(self.data).hexdigest(), "size_in_bytes": len(self.data)}
        if self.prefix:
            found |= {"prefix_placeholder": PLACEHOLDER, "file_mode": self.prefix}
        return found | ({"no_link": True} if self.no_link else {})


def script(path: str, text: str, *, prefix: str = "text") -> Piece:
    """A program whose first line, or more, has the placeholder in it."""
    return Piece(path=path, data=text.replace("@PREFIX@", PLACEHOLDER).encode(), mode=0o755, prefix=prefix)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A package on disk, as repodata would describe it."""

    path: Path
    index: Mapping[str, Any]

    @property
    def entry(self) -> dict[str, Any]:
        data = self.path.read_bytes()
        return {
            **self.index,
            "fn": self.path.name,
            "size": len(data),
            "md5": hashlib.md5(data).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
        }

    @property
    def pin(self) -> Pin:
        return of_document(self.entry, "main").pin(())

    @property
    def packed(self) -> Packed:
        return Packed(record=of_pin(self.pin).document(URL))


def package(
    folder: Path,
    name: str,
    pieces: Sequence[Piece],
    *,
    version: str = "1.0",
    build: str = "h1_0",
    noarch: str = "",
    depends: Sequence[str] = (),
    entry_points: Sequence[str] = (),
    suffix: str = ".conda",
    rows: Callable[[Rows], Rows] = lambda rows: rows,
    info: Mapping[str, bytes | None] | None = None,
    extra_index: Mapping[str, Any] | None = None,
) -> Made:
    """Write a package below `folder/<subdir>/`.

    Args:
        rows: makes of the true rows of paths.json what is to stand in it.
        info: members below info/ that replace the usual ones; None leaves one out.
    """
    subdir = "noarch" if noarch else "linux-64"
    index: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": int(match[1]) if (match := re.search(r"(\d+)$", build)) else 0,
        "subdir": subdir,
        "depends": sorted(depends),
        "license": "MIT",
        "timestamp": MTIME * 1000,
        **({"noarch": noarch} if noarch else {"arch": "x86_64", "platform": "linux"}),
        **(extra_index or {}),
    }
    paths = {"paths": rows([piece.row for piece in sorted(pieces, key=lambda one: one.path)]), "paths_version": 1}
    about: dict[str, bytes | None] = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps(paths).encode(),
        "info/about.json": b"{}",
    }
    if noarch == "python":
        link = {"noarch": {"type": "python", "entry_points": list(entry_points)}, "package_metadata_version": 1}
        about["info/link.json"] = json.dumps(link).encode()
    about |= info or {}
    described = [Piece(path=path, data=data) for path, data in about.items() if data is not None]
    stem = f"{name}-{version}-{build}"
    path = folder / subdir / f"{stem}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".tar.bz2":
        path.write_bytes(tar([*described, *pieces], "w:bz2"))
    else:
        path.write_bytes(zipped(stem, tar(described), tar(pieces)))
    return Made(path=path, index=index)


def zipped(stem: str, info: bytes, content: bytes) -> bytes:
    """A `.conda` of two tars."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as whole:
        for member, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem}.tar.zst", zstandard.compress(content)),
            (f"info-{stem}.tar.zst", zstandard.compress(info)),
        ):
            whole.writestr(zipfile.ZipInfo(member, (2026, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def tar(pieces: Iterable[Piece], mode: Any = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for piece in pieces:
            info = tarfile.TarInfo(piece.path)
            info.mode, info.mtime = piece.mode, piece.mtime
            info.linkname = piece.link or piece.hard
            info.type = piece.kind or (tarfile.SYMTYPE if piece.link else tarfile.LNKTYPE if piece.hard else b"0")
            info.size = len(piece.data) if info.type == b"0" else 0
            archive.addfile(info, io.BytesIO(piece.data))
    return out.getvalue()


def stored(store: Store, *packages: Made) -> tuple[Packed, ...]:
    """Put packages into a store, as fetching would."""
    for made in packages:
        data = made.path.read_bytes()
        with store.new_source() as incoming:
            incoming.write(data)
            incoming.commit(Digest.of(data))
    return tuple(made.packed for made in packages)


# A small world ---------------------------------------------------------------------------------------------------


def native(folder: Path, *, suffix: str = ".conda", name: str = "libtiny") -> Made:
    """A native library: several paths in one C string, links, hard links, old bytecode-free text, a data folder."""
    one, path = PLACEHOLDER.encode(), f"{PLACEHOLDER}/lib:{PLACEHOLDER}/lib64".encode()
    binary = b"\x7fELF\0" + path + b"\0middle\0" + one + b"/share/tiny\0\xff\xfe" + bytes(range(256)) * 40
    tool = b"#!/bin/sh\necho tool\n"
    return package(
        folder,
        name,
        [
            Piece(path="lib/libtiny.so.1.0", data=binary, mode=0o755, prefix="binary"),
            Piece(path="lib/libtiny.so", link="libtiny.so.1.0"),
            Piece(
                path="lib/pkgconfig/tiny.pc",
                data=f"prefix={PLACEHOLDER}\nlibs={PLACEHOLDER}/lib\n".encode(),
                prefix="text",
            ),
            Piece(path="bin/tiny-tool", data=tool, mode=0o755),
            Piece(path="bin/tiny-alias", data=tool, mode=0o755, hard="bin/tiny-tool"),
            Piece(path="share/tiny/données.txt", data="über\n".encode()),
            Piece(path="share/tiny/empty"),
            Piece(path="etc/conda/activate.d/tiny.sh", data=f'export TINY="{PLACEHOLDER}"\n'.encode(), prefix="text"),
        ],
        suffix=suffix,
        depends=["__glibc >=2.17"],
    )


def noarch(folder: Path, *, suffix: str = ".conda", version: str = "1.0") -> Made:
    """A noarch python package with an entry point, a script with the prefix in it, and a source that is no Python."""
    return package(
        folder,
        "tiny-lab",
        [
            Piece(path="site-packages/tiny_lab/__init__.py", data=f"version = {version!r}\n".encode()),
            Piece(
                path="site-packages/tiny_lab/app.py",
                data=b"def main():\n    print('tiny lab')\n\nclass App:\n    run = main\n",
            ),
            Piece(path="site-packages/tiny_lab/place.py", data=f"where = {PLACEHOLDER!r}\n".encode(), prefix="text"),
            Piece(path="site-packages/tiny_lab/template.py", data=b"def {{ name }}(:\n"),
            Piece(
                path="site-packages/tiny_lab-1.0.dist-info/METADATA", data=b"Metadata-Version: 2.1\nName: tiny-lab\n"
            ),
            script("python-scripts/tiny-script", "#!@PREFIX@/bin/python\nprint('script')\n"),
            Piece(path="share/tiny-lab/logo.svg", data=b"<svg/>"),
        ],
        version=version,
        build="pyhd_0",
        noarch="python",
        depends=["python >=3.8"],
        entry_points=["tiny-lab = tiny_lab.app:main", "tiny-app=tiny_lab.app:App.run"],
        suffix=suffix,
    )


def python(folder: Path) -> Made:
    """The system's Python, packaged for conda: what it needs beside a C library lies in the prefix, and only a right
    prefix in its binary lets the loader find it there."""
    program = next((path for path in sorted(Path("/usr/bin").glob("python3.*")) if path.name[8:].isdigit()), None)
    if program is None or not Path(f"/usr/lib/{program.name}").is_dir():
        absent("there is no system Python in /usr/bin")
    short = program.name.removeprefix("python")
    version = subprocess.run([program, "-V"], check=True, capture_output=True, text=True).stdout.split()[1]
    pieces = [
        Piece(
            path=f"bin/python{short}",
            data=with_rpath(program.resolve().read_bytes(), f"{PLACEHOLDER}/lib".encode()),
            mode=0o755,
            prefix="binary",
        ),
        Piece(path="bin/python3", link=f"python{short}"),
        Piece(path="bin/python", link=f"python{short}"),
        Piece(
            path=f"lib/python{short}/sitecustomize.py",  # Debian's own site.py looks for other folders.
            data=f"import site\nsite.addsitedir('{PLACEHOLDER}/lib/python{short}/site-packages')\n".encode(),
            prefix="text",
        ),
        Piece(path=f"lib/python{short}/site-packages/README.txt", data=b"modules\n"),
        *_libraries(program, *Path(f"/usr/lib/python{short}/lib-dynload").iterdir()),
        *_standard_library(Path(f"/usr/lib/python{short}")),
    ]
    return package(folder, "python", pieces, version=version, build="h1_0_cpython", depends=["__glibc >=2.17"])


_SYSTEM = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|crypt))\.so.*")


def _libraries(*programs: Path) -> Iterator[Piece]:
    """The libraries that programs are linked with, but for the C library."""
    done = subprocess.run(["ldd", *map(str, programs)], check=False, capture_output=True, text=True)
    found = {Path(word) for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")}
    for path in sorted({one for one in found if ".so" in one.name and not one.name.endswith(":")}, key=str):
        if not _SYSTEM.fullmatch(path.name) and path.is_file() and "dynload" not in str(path):
            yield Piece(path=f"lib/{path.name}", data=path.resolve().read_bytes(), mode=0o755)


def _standard_library(folder: Path) -> Iterator[Piece]:
    left_out = {"__pycache__", "test", "dist-packages", "site-packages", "idlelib", "lib2to3", "ensurepip", "tkinter"}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder.parent)
        if not left_out.isdisjoint(relative.parts) or path.name == "sitecustomize.py" or "config-" in str(relative):
            continue
        if path.is_file():
            yield Piece(path=f"lib/{relative}", data=path.read_bytes())


def with_rpath(data: bytes, rpath: bytes) -> bytes:
    """An ELF program that looks for libraries in `rpath` too (System V ABI, "Dynamic Section").

    A copy of its string table, with the path at its end, is added to the file; a program header of notes, which
    nobody needs, becomes the one that maps it.
    """
    out = bytearray(data)
    assert data[:6] == b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file"
    table, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    headers = [(table + n * size, struct.unpack_from("<IIQQQQQQ", data, table + n * size)) for n in range(count)]
    loads = [header for _, header in headers if header[0] == 1]
    dynamic = next(header for _, header in headers if header[0] == 2)
    note = [at for at, header in headers if header[0] == 4][-1]
    entries: dict[int, tuple[int, int]] = {}
    for at in range(dynamic[2], dynamic[2] + dynamic[5], 16):
        tag, value = struct.unpack_from("<QQ", data, at)
        entries.setdefault(tag, (at, value))
    strings, length = entries[5][1], entries[10][1]
    start = next(strings - load[3] + load[2] for load in loads if load[3] <= strings < load[3] + load[5])
    copy = data[start : start + length] + rpath + b"\0"
    out += bytes(-len(out) % 4096)
    address = -(-max(load[3] + load[6] for load in loads) // 4096) * 4096
    struct.pack_into("<IIQQQQQQ", out, note, 1, 4, len(out), address, address, len(copy), len(copy), 4096)
    struct.pack_into("<QQ", out, entries[5][0], 5, address)
    struct.pack_into("<QQ", out, entries[10][0], 10, len(copy))
    struct.pack_into("<QQ", out, entries[0][0], 15, length)  # DT_RPATH, which its libraries inherit.
    return bytes(out) + copy
