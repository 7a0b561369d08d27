"""Files that unpack to far more than there is room for, read by everything that reads what strangers made.

Each reader has the bomb in a process of its own, which must end with an error of ours, having taken little memory and
left little on disk. The limits of the largest things, which nobody wants to wait for, are set lower here.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from builder import limits, scan
from builder.advisories import entry as advisory
from builder.advisories import reading
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.executors import order, outcome
from builder.kinds.apt import archive as apt
from builder.kinds.apt import deb, plain
from builder.kinds.apt.release import Listed
from builder.kinds.apt.universe import Index, Universe
from builder.kinds.conda import archive as conda
from builder.kinds.conda import distributions, repodata
from builder.kinds.conda import lockfile as conda_lock
from builder.kinds.fetch import archive as fetch
from builder.kinds.fetch.member import Limits
from builder.kinds.kernelspec import launchers
from builder.kinds.npm import lockfile as npm_lock
from builder.kinds.npm import tarball as npm
from builder.kinds.oci import archive as oci
from builder.kinds.oci import documents
from builder.kinds.pip import metadata, page, sdist, source_build, wheel
from builder.kinds.pip.scheme import Environment
from builder.manifest.read import loads as manifest
from builder.store import Store
from builder.transports import registry
from builder.transports.document import Document
from tests import bombs
from tests.fake_deb import ar, forge
from tests.kinds.apt.test_install import unpack
from tests.tools import Host

MEMORY = 200 << 20
DISK = 700 << 20
WHEEL = "x-1-py3-none-any.whl"
INFO = "x-1.dist-info"
VENV = Environment(prefix="/opt/venv", python="3.11")


def _lowered() -> None:
    """Limits that are right but large."""
    npm._MOST_BYTES = oci.MOST_BYTES = repodata._UNPACKED = conda._ROOM = 128 << 20  # type: ignore[misc]
    limits.PACKAGES = 32 << 20
    oci.MOST_MEMBERS = npm._MOST_FILES = sdist._MEMBERS = source_build._MEMBERS = conda._MEMBERS = deb._MEMBERS = 5_000  # type: ignore[misc]


def refused(read: Callable[[], object], folder: Path) -> str:
    """What a reader says of a bomb. Its process may take `MEMORY` more than it had, and `DISK` of a folder."""
    receiver, sender = os.pipe()
    if (child := os.fork()) == 0:
        os.close(receiver)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            _lowered()
            read()
            said = "nothing was refused"
        except (StackbuildError, deb.BadDeb) as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"not refused but {type(error).__name__}: {error}"
        most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        if (most - before) << 10 > MEMORY:
            said = f"it took {(most - before) >> 10} MiB: {said}"
        os.write(sender, said.encode(errors="replace")[:4000])
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        said = stream.read().decode(errors="replace")
    os.waitpid(child, 0)
    used = int(subprocess.run(["du", "-s", "-B1", str(folder)], capture_output=True, check=True).stdout.split()[0])
    shutil.rmtree(folder)
    assert used < DISK, f"{used >> 20} MiB of disk: {said}"
    assert said.startswith("refused: "), said
    return said


def _wheel(path: Path) -> object:
    return wheel.lay(path, "x", WHEEL, VENV, {})


def _metadata(path: Path) -> object:
    with path.open("rb") as stream:
        return metadata.member(metadata.zipfile_of(stream, WHEEL), WHEEL)


def _requirement(path: Path) -> None:
    source_build._install(path, WHEEL, path.parent / "into", "3.11")


def _sdist(path: Path) -> object:
    (path.parent / "into").mkdir()
    return source_build._unpack(path, "x-1.tar.gz", path.parent / "into")


def _conda(name: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        (path.parent / "into").mkdir()
        return conda.members(conda.unpack(path, name, path.parent / "into"), name)

    return read


def _fetched(form: str) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        for _, content in fetch.members(path, form, "archive", Limits(floor=64 << 20, ratio=1)):
            while content is not None and content.read(1 << 20):
                pass

    return read


def _layer(path: Path) -> None:
    layer = oci.Layer(path, "layer")
    for member in layer:
        if member.kind == "file":
            content = layer.content(member)
            while content.read(1 << 20):
                pass


def _npm(path: Path) -> None:
    for _ in npm.members(path, "x"):
        pass


def _advisories(path: Path) -> None:
    for where, data in reading.entries((path,), reading.Limits(entries=1000, size=1 << 30)):
        advisory.parse(data, where)


def _packages(end: str, size: int = 1000) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        told = None if not size else Listed(digest=Digest.of(b""), size=size)
        return apt._expanded(path.read_bytes(), f"Packages.{end}", told)

    return read


def _zstd_deb(path: Path) -> object:
    return plain.plain({"x": path}, path.parent / "into")


def _deb(path: Path) -> None:
    for _ in deb.entries(deb.read(str(path))):
        pass


def _launchers(path: Path) -> object:
    return list(launchers.files(path, WHEEL, "python_kubernetes", "python"))


def _tarred(form: str, name: str) -> Callable[[], bytes]:
    return lambda: bombs.tar_of_zeros(form, name)


def _conda_zip() -> bytes:
    """Both inner archives are of zeros."""
    inner = bombs.zeros("zst")
    members = [(f"{part}-x.tar.zst".encode(), 0, inner, len(inner)) for part in ("info", "pkg")]
    return bombs._zip(members)


BOMBS: dict[str, tuple[Callable[[], bytes], Callable[[Path], object]]] = {
    "wheel, RECORD that tells": (lambda: bombs.zip_of_zeros(f"{INFO}/RECORD", 0xFFFFFFF0), _wheel),
    "wheel, RECORD that lies": (lambda: bombs.zip_of_zeros(f"{INFO}/RECORD", 10), _wheel),
    "wheel, members": (lambda: bombs.zip_of_members("x/y"), _wheel),
    "wheel, METADATA": (lambda: bombs.zip_of_zeros(f"{INFO}/METADATA", 0xFFFFFFF0), _metadata),
    "wheel, members for metadata": (lambda: bombs.zip_of_members("x/y"), _metadata),
    "build requirement": (lambda: bombs.zip_of_zeros(f"{INFO}/RECORD", 0xFFFFFFF0), _requirement),
    "build requirement, members": (lambda: bombs.zip_of_members("x/y"), _requirement),
    "launchers": (lambda: bombs.zip_of_members("x/y"), _launchers),
    "sdist": (_tarred("gz", "x-1/a"), _sdist),
    "sdist, header": (lambda: bombs.tar_of_a_header("gz"), _sdist),
    "sdist, members": (lambda: bombs.tar_of_members("gz", "x-1/a"), _sdist),
    "sdist, looked at": (_tarred("gz", "x-1/pyproject.toml"), lambda path: sdist.build_requires(path, "x-1.tar.gz")),
    "sdist, header looked at": (
        lambda: bombs.tar_of_a_header("gz"),
        lambda path: sdist.build_requires(path, "x-1.tar.gz"),
    ),
    "sdist, members looked at": (
        lambda: bombs.tar_of_members("gz", "x-1/a"),
        lambda path: sdist.build_requires(path, "x-1.tar.gz"),
    ),
    "sdist of a zip": (lambda: bombs.zip_of_members("x-1/a"), lambda path: sdist.build_requires(path, "x-1.zip")),
    "sdist of a zip, pyproject": (
        lambda: bombs.zip_of_zeros("x-1/pyproject.toml", 0xFFFFFFF0),
        lambda path: sdist.build_requires(path, "x-1.zip"),
    ),
    "Packages.xz": (lambda: bombs.zeros("xz", 1), _packages("xz")),
    "Packages.gz": (lambda: bombs.zeros("gz"), _packages("gz")),
    "Packages.xz, of no size": (lambda: bombs.zeros("xz", 8), _packages("xz", 0)),
    "Packages.gz, of no size": (lambda: bombs.zeros("gz"), _packages("gz", 0)),
    "deb, zstd": (lambda: ar([("debian-binary", b"2.0\n"), ("data.tar.zst", bombs.zeros("zst"))]), _zstd_deb),
    "deb, members": (lambda: forge([], data=bombs.tar_of_members("xz", "./x", 20_000)), _deb),
    "conda, zstd": (_conda_zip, _conda("x-1-0.conda")),
    "conda, members": (lambda: bombs.zip_of_members("x"), _conda("x-1-0.conda")),
    "conda, bzip2": (_tarred("bz2", "info/x"), _conda("x-1-0.tar.bz2")),
    "conda, files": (lambda: bombs.tar_of_members("bz2", "info/x", 10_000), _conda("x-1-0.tar.bz2")),
    "repodata": (lambda: bombs.zeros("zst"), lambda path: repodata._unpack(path.read_bytes(), lambda _: None, "x")),
    "npm": (_tarred("gz", "package/x"), _npm),
    "npm, header": (lambda: bombs.tar_of_a_header("gz"), _npm),
    "npm, members": (lambda: bombs.tar_of_members("gz", "package/x"), _npm),
    "layer, gzip": (_tarred("gz", "x"), _layer),
    "layer, zstd": (_tarred("zst", "x"), _layer),
    "layer, header": (lambda: bombs.tar_of_a_header("gz"), _layer),
    "layer, members": (lambda: bombs.tar_of_members("zst", "x"), _layer),
    **{f"fetch, {form}": (_tarred(form, "x"), _fetched("tar")) for form in ("gz", "bz2", "xz", "zst")},
    "fetch, header": (lambda: bombs.tar_of_a_header("gz"), _fetched("tar")),
    "fetch, zip": (lambda: bombs.zip_of_zeros("x", 0xFFFFFFF0), _fetched("zip")),
    "fetch, zip that lies": (lambda: bombs.zip_of_zeros("x", 10), _fetched("zip")),
    "fetch, members": (lambda: bombs.zip_of_members("x"), _fetched("zip")),
    "advisory": (lambda: bombs.zip_of_zeros("x.json", 0xFFFFFFF0), _advisories),
    "advisories": (lambda: bombs.zip_of_members("x.json"), _advisories),
}


@pytest.mark.parametrize("name", BOMBS)
def test_archive(name: str, tmp_path: Path) -> None:
    make, read = BOMBS[name]
    folder = tmp_path / "bomb"
    folder.mkdir()
    path = folder / "bomb"
    path.write_bytes(make())
    refused(lambda: read(path), folder)


@pytest.mark.parametrize("form", ["xz", "gz"])
@pytest.mark.parametrize("part", ["data", "control", "header"])
def test_debian_package(part: str, form: str, host: Host, tmp_path: Path) -> None:
    """In the sandbox, by Python's own readers."""
    name = "control" if part == "control" else "data"
    made = {
        "data": lambda: bombs.tar_of_zeros(form, "./x", 8),
        "control": lambda: bombs.tar_of_zeros(form, "./control"),
        "header": lambda: bombs.tar_of_a_header(form),
    }[part]()
    sound = forge([])
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", sound[sound.index(b"\xfd7zXZ") :])]
    members = (
        [*parts, (f"data.tar.{form}", made)]
        if name == "data"
        else [parts[0], (f"control.tar.{form}", made), ("data.tar", b"")]
    )
    folder = tmp_path / "bomb"
    folder.mkdir()

    def read() -> None:
        code, said, _ = unpack(folder, ar(members))
        if code:
            raise HostileInput(said)

    assert "unpack: " in refused(read, folder)


DEEP = "[" * 200_000
TEXTS: dict[str, Callable[[str], object]] = {
    "page of an index": lambda text: page.read_page('{"meta":' + text, "https://x", "x"),
    "manifest of an image": lambda text: documents.manifest(
        Document(digest=Digest.of(b""), media_type="", body=text.encode()), "x"
    ),
    "config of an image": lambda text: documents.config(text.encode(), "linux/amd64", 1, "x"),
    "failure of a worker": outcome.failure,
    "order to a worker": lambda text: order.order(text, Store(Path("store"))),
    "advisory": lambda text: advisory.parse(text.encode(), "x"),
    "stacks.toml": lambda text: manifest(f"x = {text}", Path("stacks.toml")),
    "npm lock": lambda text: npm_lock.loads(text, "x.npm.lock"),
    "conda lock": lambda text: conda_lock.loads(text, "x"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_nested_without_end(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    refused(lambda: TEXTS[name](DEEP), folder)


def test_answers_of_a_registry() -> None:
    """Its words for a refusal are left out, where they are none."""
    assert registry._words(DEEP.encode()) == ""


def test_pyproject(tmp_path: Path) -> None:
    from tests.kinds.pip.test_pip_sdist import tar

    path = tar(tmp_path / "x", ("x-1/pyproject.toml", f"x = {DEEP}"))
    with pytest.raises(HostileInput, match="is no TOML"):
        sdist.build_requires(path, "x-1.tar.gz")


def test_lock_of_aliases(tmp_path: Path) -> None:
    """Half a kilobyte that stood for ten billion words, which the error wanted to show: from a pull request."""
    rows = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11))]
    folder = tmp_path / "none"
    folder.mkdir()
    text = "\n".join([*rows, "version: 1", "metadata: *a10", "package: []", ""])
    assert "YAML as conda-lock" in refused(lambda: conda_lock.loads(text, "x"), folder)


def test_packages_with_a_paragraph_without_end() -> None:
    """20 MiB that are one paragraph, and many that are empty: as long as reading as many bytes takes."""
    for text in ("Package: x\nVersion: 1\n" + "A: b\n" * (4 << 20), "\n" * 1_000_000, "Package: x\n\n" * 100_000):
        universe = Universe("x", [Index(suite="x", release="x", text=text)])
        assert universe.names() in (["x"], [])


def test_list_of_a_packages_files(tmp_path: Path) -> None:
    with pytest.raises(HostileInput, match="are too large for an image"):
        list(scan.scan(str(_holes(tmp_path)), {}))


def _holes(folder: Path) -> Path:
    for number in range(3):
        with (folder / str(number)).open("wb") as stream:
            stream.truncate(100 << 30)
    return folder


def test_beginning_of_a_conda_package() -> None:
    """What `lock` reads of one, without fetching it."""
    with pytest.raises((HostileInput, *distributions._BROKEN)):
        distributions._listed(bombs._header("././@PaxHeader", b"x") + bytes(1 << 20), cut=True)


def test_sound_things_are_read(tmp_path: Path) -> None:
    """The makers of bombs make what readers take, as long as it is small."""
    (tmp_path / "zip").write_bytes(bombs.zip_of_zeros("x", bombs.PIECE, 1))
    assert [member.size for member, _ in fetch.members(tmp_path / "zip", "zip", "x")] == [bombs.PIECE]
    (tmp_path / "members").write_bytes(bombs.zip_of_members("x", 10))
    assert len(list(fetch.members(tmp_path / "members", "zip", "x"))) == 10
    (tmp_path / "tar").write_bytes(bombs.tar_of_members("zst", "x", 2000) + bombs._PACK["zst"](bytes(1024)))
    assert len(list(oci.Layer(tmp_path / "tar", "x"))) == 2000
