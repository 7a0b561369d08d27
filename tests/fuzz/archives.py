"""Parsers of archives: packages and layers, whose members must neither lead out nor grow without an end."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import zstandard

from builder.errors import StackbuildError
from builder.frames import BadFrame, Frames
from builder.kinds.apt import deb
from builder.kinds.conda import package as conda
from builder.kinds.fetch import archive
from builder.kinds.npm import tarball
from builder.kinds.oci.archive import Layer
from builder.kinds.pip import wheel
from builder.kinds.pip.scheme import Environment
from tests import fake_deb, fake_image, fake_wheel
from tests.fuzz import Parser

_BLOCK = 512
_MOST = 1 << 20


def _file(read: Callable[[Path, Path], object], name: str) -> Callable[[bytes, Path], object]:
    def parse(data: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path, folder)

    return parse


def inside(path: str) -> None:
    """Hold a path that a parser let through against the rules, in words of our own."""
    parts = path.split("/")
    assert not path.startswith("/") and ".." not in parts and "\0" not in path, path


# Wheels -----------------------------------------------------------------------------------------------------------


def _wheel(path: Path, folder: Path) -> None:
    place = Environment(prefix="/opt/venv", python="3.11")
    for one in wheel.lay(path, "fake", fake_wheel.NAME, place, {}).entries:
        inside(one.path)
        assert one.path.startswith("opt/venv/"), one.path


def _wheels() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "x")
        yield fake_wheel.wheel(path, {"fake/__init__.py": b"x = 1\n"}).read_bytes()
        files = {
            "fake-1.0.data/scripts/x*": b"#!python\n",
            f"{fake_wheel.DIST}/entry_points.txt": b"[console_scripts]\na=b:c\n",
        }
        yield fake_wheel.wheel(path, files).read_bytes()


def _record(data: bytes) -> bytes:
    """A wheel that has these bytes for its RECORD."""
    with tempfile.TemporaryDirectory() as name:
        return fake_wheel.wheel(Path(name, "x"), {"fake/a.py": b"x = 1\n", "b": b""}, recorded=data).read_bytes()


def _members(data: bytes) -> bytes:
    """A sound wheel of these files: a line with a name, a line with content, and so on."""
    rows = data.decode("utf-8", "replace").split("\n")
    out = io.BytesIO()
    files = {name: text.encode() for name, text in zip(rows[::2], rows[1::2], strict=False)}
    with zipfile.ZipFile(out, "w") as file:
        for name, content in fake_wheel.contents(files).items():
            try:
                file.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
            except (ValueError, OSError):
                continue  # The writer has rules of its own.
    return out.getvalue()


# Tars -------------------------------------------------------------------------------------------------------------


def summed(data: bytes) -> bytes:
    """A tar whose headers have the right sums (POSIX.1-2017, ustar), whatever else they have."""
    found = bytearray(data)
    for start in range(0, len(found) - _BLOCK + 1, _BLOCK):
        if found[start + 257 : start + 262] == b"ustar":
            found[start + 148 : start + 156] = b" " * 8
            found[start + 148 : start + 156] = b"%06o\0 " % sum(found[start : start + _BLOCK])
    return bytes(found)


def _tars() -> Iterable[bytes]:
    members = [
        fake_image.folder("usr"),
        fake_image.file("usr/a", "text"),
        fake_image.link("usr/b", "a"),
        fake_image.file("usr/.wh.c"),
        fake_image.file("usr/" + "long/" * 40),
    ]
    return [fake_image.tar(members[:-1]), fake_image.tar(members)]


def _fetched(form: str) -> Callable[[bytes, Path], object]:
    def read(path: Path, folder: Path) -> None:
        for member, content in archive.members(path, form, "x"):
            inside(member.path)
            if content is not None:
                content.read(_MOST)

    return _file(read, "x")


def _layer(path: Path, folder: Path) -> None:
    layer = Layer(path, "x")
    for member in layer:
        inside(member.path)
        if member.kind == "file":
            layer.content(member).read(_MOST)


def _npm(path: Path, folder: Path) -> None:
    for member in tarball.members(path, "x"):
        inside(member.path)
        member.stream.read(_MOST)


# Packages ---------------------------------------------------------------------------------------------------------


def _deb(path: Path, folder: Path) -> None:
    found = deb.read(str(path))
    found.triggers(), found.conffiles()
    with suppress(tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError):  # As it says.
        for _ in deb.entries(found):
            pass


def _debs() -> Iterable[bytes]:
    data = fake_deb.tar([(fake_deb.member("./a", data=b"1"), b"1")])
    control = fake_deb.tar([(fake_deb.member("./control", data=fake_deb.CONTROL.encode()), fake_deb.CONTROL.encode())])
    for end, pack in ((".xz", lzma.compress), (".gz", gzip.compress), ("", bytes)):
        yield fake_deb.ar(
            [("debian-binary", b"2.0\n"), (f"control.tar{end}", pack(control)), (f"data.tar{end}", pack(data))]
        )


def _control(data: bytes) -> bytes:
    """A package that has these bytes for its control file."""
    control = fake_deb.tar([(fake_deb.member("./control", data=data), data)])
    return fake_deb.ar([("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", fake_deb.tar([]))])


def _conda(name: str) -> Callable[[bytes, Path], object]:
    def read(path: Path, folder: Path) -> None:
        (folder / "tars").mkdir()
        for one in conda.read(path, name, folder / "tars").files:
            inside(one.path)

    return _file(read, name)


PATHS = (
    b'{"paths_version": 1, "paths": [{"_path": "bin/x", "path_type": "hardlink", "sha256": "%s", "size_in_bytes": 1}]}'
    % hashlib.sha256(b"x").hexdigest().encode()
)
INDEX = b'{"name": "x", "version": "1", "build": "0", "depends": [], "subdir": "noarch", "noarch": "python"}'


def _conda_of(paths: bytes = PATHS, index: bytes = INDEX) -> bytes:
    """A package of the newer format with these words about itself."""
    info = _plain([("info/index.json", index), ("info/paths.json", paths)])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            ("info-x.tar.zst", zstandard.compress(info)),
            ("pkg-x.tar.zst", zstandard.compress(_plain([("bin/x", b"x")]))),
        ):
            file.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def _plain(files: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _frames(data: bytes, folder: Path) -> None:
    stream = io.BufferedReader(Frames(io.BytesIO(data)))
    while stream.read(_MOST):
        pass


PARSERS = {
    "wheel": Parser(read=_file(_wheel, "x.whl"), seeds=_wheels),
    "wheel-record": Parser(
        read=_file(_wheel, "x.whl"),
        seeds=lambda: [fake_wheel.contents({"fake/a.py": b"x = 1\n", "b": b""})[f"{fake_wheel.DIST}/RECORD"]],
        dressed=_record,
    ),
    "wheel-members": Parser(
        read=_file(_wheel, "x.whl"),
        seeds=lambda: [
            b"fake/a.py\nx\nfake-1.0.data/scripts/x\n#!python\nfake-1.0.dist-info/entry_points.txt\n[console_scripts]"
        ],
        dressed=_members,
    ),
    "tar": Parser(read=_fetched("tar"), seeds=_tars, dressed=summed),
    "zip": Parser(read=_fetched("zip"), seeds=_wheels),
    "layer": Parser(read=_file(_layer, "x"), seeds=_tars, dressed=summed),
    "layer-packed": Parser(
        read=_file(_layer, "x"), seeds=lambda: [f(one) for one in _tars() for f in (gzip.compress, zstandard.compress)]
    ),
    "npm": Parser(read=_file(_npm, "x.tgz"), seeds=_tars, dressed=lambda data: gzip.compress(summed(data), 1)),
    "deb": Parser(read=_file(_deb, "x.deb"), seeds=_debs, refusals=(StackbuildError, deb.BadDeb)),
    "deb-control": Parser(
        read=_file(_deb, "x.deb"),
        seeds=lambda: [fake_deb.CONTROL.encode()],
        refusals=(StackbuildError, deb.BadDeb),
        dressed=_control,
    ),
    "conda": Parser(read=_conda("x-1-0.conda"), seeds=lambda: [_conda_of()]),
    "conda-paths": Parser(read=_conda("x-1-0.conda"), seeds=lambda: [PATHS], dressed=_conda_of),
    "conda-index": Parser(
        read=_conda("x-1-0.conda"), seeds=lambda: [INDEX], dressed=lambda data: _conda_of(index=data)
    ),
    "frames": Parser(read=_frames, seeds=lambda: [zstandard.compress(b"text" * 99)], refusals=(BadFrame,)),
}
