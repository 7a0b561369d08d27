"""What goes where: entries of one package, and what conda-meta says of it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.errors import HostileInput, StackbuildError
from builder.kinds.conda.archive import content
from builder.kinds.conda.link import Laid, Place, lay
from builder.kinds.conda.package import read
from builder.tree import NEWEST, Bytes, Entry, Member, Slice
from tests.conda_packages import MTIME, PLACEHOLDER, URL, Made, Piece, native, noarch, package, script

PLACE = Place(prefix="/opt/conda", python="3.12", site="lib/python3.12/site-packages")
SITE = "opt/conda/lib/python3.12/site-packages"


def laid(
    made: Made, folder: Path, *, place: Place = PLACE, bytecode: dict[str, Member] | None = None
) -> dict[str, Entry]:
    return {entry.path: entry for entry in whole(made, folder, place=place, bytecode=bytecode).entries}


def whole(made: Made, folder: Path, *, place: Place = PLACE, bytecode: dict[str, Member] | None = None) -> Laid:
    folder.mkdir()
    return lay(read(made.path, made.path.name, folder), made.packed.record, place, bytecode or {})


def data(entry: Entry) -> bytes:
    if isinstance(entry.content, Slice):
        return Path(entry.content.path).read_bytes()[entry.content.offset :][: entry.content.size]
    assert isinstance(entry.content, Bytes)
    return entry.content.data


def meta(found: dict[str, Entry]) -> Any:
    (path,) = (path for path in found if "/conda-meta/" in path)
    return json.loads(data(found[path]))


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_native_package(tmp_path: Path, suffix: str) -> None:
    found = laid(native(tmp_path, suffix=suffix), tmp_path / "tars")
    library = found["opt/conda/lib/libtiny.so.1.0"]
    assert (library.mode, library.mtime, library.owner) == (0o775, NEWEST, "libtiny")
    assert b"\x7fELF\0/opt/conda/lib:/opt/conda/lib64\0" in data(library)
    assert PLACEHOLDER.encode() not in data(library)
    text = found["opt/conda/lib/pkgconfig/tiny.pc"]
    assert (text.mode, data(text)) == (0o664, b"prefix=/opt/conda\nlibs=/opt/conda/lib\n")
    link = found["opt/conda/lib/libtiny.so"]
    assert (link.kind, link.target, link.mtime) == ("link", "libtiny.so.1.0", MTIME)
    assert data(found["opt/conda/etc/conda/activate.d/tiny.sh"]) == b'export TINY="/opt/conda"\n'
    plain = found["opt/conda/share/tiny/données.txt"]
    assert (plain.mode, plain.mtime) == (0o664, MTIME)
    assert isinstance(plain.content, Slice)
    assert plain.content.digest == hashlib.sha256("über\n".encode()).digest()


def test_names_of_one_file_are_hard_links(tmp_path: Path) -> None:
    """The first by path is the file, whichever the package has first."""
    found = laid(native(tmp_path), tmp_path / "tars")
    assert found["opt/conda/bin/tiny-alias"].kind == "file"
    assert found["opt/conda/bin/tiny-tool"].kind == "hardlink"
    assert found["opt/conda/bin/tiny-tool"].target == "opt/conda/bin/tiny-alias"


def test_a_copy_is_a_copy(tmp_path: Path) -> None:
    """A changed name of a file shares nothing with the unchanged ones, nor does one that must not be linked."""
    text = PLACEHOLDER.encode()
    made = package(
        tmp_path,
        "copies",
        [
            Piece(path="share/a", data=text),
            Piece(path="share/b", data=text, hard="share/a", prefix="text"),
            Piece(path="share/c", data=text, hard="share/a", no_link=True),
            Piece(path="share/d", data=text, hard="share/a"),
        ],
    )
    found = laid(made, tmp_path / "tars")
    assert [found[f"opt/conda/share/{name}"].kind for name in "abcd"] == ["file", "file", "file", "hardlink"]
    assert data(found["opt/conda/share/b"]) == b"/opt/conda"
    assert data(found["opt/conda/share/c"]) == text


def test_noarch_python(tmp_path: Path) -> None:
    found = laid(noarch(tmp_path), tmp_path / "tars")
    assert data(found[f"{SITE}/tiny_lab/place.py"]) == b"where = '/opt/conda'\n"
    assert found[f"{SITE}/tiny_lab/__init__.py"].mtime == NEWEST
    tiny = found["opt/conda/bin/tiny-script"]
    assert (tiny.mode, data(tiny)) == (0o775, b"#!/opt/conda/bin/python\nprint('script')\n")
    assert "opt/conda/share/tiny-lab/logo.svg" in found
    assert data(found["opt/conda/bin/tiny-app"]) == (
        b"#!/opt/conda/bin/python3.12\n# -*- coding: utf-8 -*-\nimport re\nimport sys\n\n"
        b"from tiny_lab.app import App\n\nif __name__ == '__main__':\n"
        b"\tsys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])\n\tsys.exit(App.run())\n"
    )
    assert found["opt/conda/bin/tiny-lab"].mode == 0o775


def test_free_threaded_python(tmp_path: Path) -> None:
    """Where modules go is the Python package's to say."""
    place = Place(prefix="/opt/conda", python="3.13", site="lib/python3.13t/site-packages")
    assert "opt/conda/lib/python3.13t/site-packages/tiny_lab/app.py" in laid(
        noarch(tmp_path), tmp_path / "tars", place=place
    )


def test_bytecode_beside_its_sources(tmp_path: Path) -> None:
    made = noarch(tmp_path)
    sources = [path for path, _ in whole(made, tmp_path / "one").sources]
    assert sources == [f"{SITE}/tiny_lab/{name}.py" for name in ("__init__", "app", "place", "template")]
    member = Member("x.zip", 0, 1, 1, 0, 0, None, "app")
    found = laid(made, tmp_path / "two", bytecode={f"{SITE}/tiny_lab/app.py": member})
    cached = found[f"{SITE}/tiny_lab/__pycache__/app.cpython-312.pyc"]
    assert (cached.content, cached.mode, cached.mtime) == (member, 0o664, NEWEST)
    rows = {row["_path"]: row for row in meta(found)["paths_data"]["paths"]}
    assert rows["lib/python3.12/site-packages/tiny_lab/__pycache__/app.cpython-312.pyc"]["path_type"] == "pyc_file"


def test_a_platforms_package_is_no_noarch_one(tmp_path: Path) -> None:
    """Its folders of these names are its own."""
    made = package(tmp_path, "odd", [Piece(path="site-packages/x.py"), Piece(path="python-scripts/x")])
    found = whole(made, tmp_path / "tars")
    assert {"opt/conda/site-packages/x.py", "opt/conda/python-scripts/x"} <= {entry.path for entry in found.entries}
    assert found.sources == ()


def test_meta(tmp_path: Path) -> None:
    made = native(tmp_path)
    found = laid(made, tmp_path / "tars")
    told = meta(found)
    assert found["opt/conda/conda-meta/libtiny-1.0-h1_0.json"].mode == 0o664
    assert {name: told[name] for name in ("name", "version", "build", "build_number", "subdir", "fn", "channel")} == {
        "name": "libtiny",
        "version": "1.0",
        "build": "h1_0",
        "build_number": 0,
        "subdir": "linux-64",
        "fn": "libtiny-1.0-h1_0.conda",
        "channel": URL,
    }
    assert told["url"] == f"{URL}/linux-64/libtiny-1.0-h1_0.conda"
    assert told["depends"] == ["__glibc >=2.17"]
    assert (told["md5"], told["sha256"]) == (made.entry["md5"], made.entry["sha256"])
    assert told["license"] == "MIT"
    assert not {"link", "extracted_package_dir", "package_tarball_full_path", "noarch"} & told.keys()
    assert told["files"] == sorted(path.removeprefix("opt/conda/") for path in found if "conda-meta" not in path)
    rows = {row["_path"]: row for row in told["paths_data"]["paths"]}
    library = data(found["opt/conda/lib/libtiny.so.1.0"])
    assert rows["lib/libtiny.so.1.0"]["sha256_in_prefix"] == hashlib.sha256(library).hexdigest()
    assert rows["lib/libtiny.so.1.0"]["size_in_bytes"] == len(library)
    assert rows["lib/libtiny.so.1.0"]["prefix_placeholder"] == PLACEHOLDER
    assert rows["lib/libtiny.so"]["path_type"] == "softlink"
    assert "sha256_in_prefix" not in rows["share/tiny/empty"]


def test_equal_twice_and_other_elsewhere(tmp_path: Path) -> None:
    """A tree is a function of package, prefix and Python: where the package was decompressed is not in it."""
    made = noarch(tmp_path)
    one, again = (laid(made, tmp_path / name) for name in ("one", "two"))
    assert {path: data(entry) for path, entry in one.items()} == {path: data(entry) for path, entry in again.items()}
    other = laid(made, tmp_path / "three", place=Place(prefix="/srv/c", python="3.12", site=PLACE.site))
    assert data(other["srv/c/lib/python3.12/site-packages/tiny_lab/place.py"]) == b"where = '/srv/c'\n"


@pytest.mark.parametrize(
    ("path", "link", "sound"),
    [
        ("lib/x", "libx.so", True),
        ("lib/x", "../share/x", True),
        ("lib/a/x", "../../../conda/share", True),
        ("x", ".", True),
        ("x", "..", False),
        ("lib/x", "../../etc", False),
        ("lib/x", "/etc/passwd", False),
        ("lib/x", "/opt/conda/lib/y", False),
        ("lib/x", "a/../../../../etc", False),
        ("lib/x", "../../condax/y", False),
    ],
)
def test_links_stay_in_the_prefix(tmp_path: Path, path: str, link: str, sound: bool) -> None:
    made = package(tmp_path, "links", [Piece(path=path, link=link)])
    if sound:
        assert laid(made, tmp_path / "tars")[f"opt/conda/{path}"].target == link
    else:
        with pytest.raises(HostileInput, match="a link leads out of the prefix"):
            laid(made, tmp_path / "tars")


def test_two_paths_that_become_one(tmp_path: Path) -> None:
    clash = [Piece(path="python-scripts/x"), Piece(path="bin/x")]
    with pytest.raises(HostileInput, match="two paths become one: opt/conda/bin/x"):
        laid(package(tmp_path, "twice", clash, noarch="python"), tmp_path / "one")
    entry_point = [Piece(path="bin/x")]
    with pytest.raises(HostileInput, match="two paths become one"):
        laid(package(tmp_path, "thrice", entry_point, noarch="python", entry_points=["x = a:b"]), tmp_path / "two")
    own = [Piece(path="conda-meta/own-1.0-h1_0.json")]
    with pytest.raises(HostileInput, match="two paths become one"):
        laid(package(tmp_path, "own", own), tmp_path / "three")


def test_another_package_than_the_pin_says(tmp_path: Path) -> None:
    made = package(tmp_path, "right", [])
    record = {**made.packed.record, "version": "2.0"}
    with pytest.raises(HostileInput, match="another conda package") as caught:
        lay(read(made.path, made.path.name, tmp_path), record, PLACE, {})
    assert caught.value.where == "info/index.json: version"


def test_prefix_too_long_for_a_binary(tmp_path: Path) -> None:
    long = Place(prefix="/opt/" + "x" * len(PLACEHOLDER))
    with pytest.raises(StackbuildError, match="conda-prefix is too long for libtiny"):
        laid(native(tmp_path), tmp_path / "tars", place=long)


def test_a_changed_file_is_checked_before(tmp_path: Path) -> None:
    """Of what is patched the layer sees other bytes, so it could not tell that paths.json lies."""
    wrong = hashlib.sha256(b"other").hexdigest()
    made = package(
        tmp_path,
        "liar",
        [script("bin/x", "#!@PREFIX@/bin/sh\n")],
        rows=lambda rows: [{**row, "sha256": wrong} for row in rows],
    )
    with pytest.raises(HostileInput, match="not what it says"):
        laid(made, tmp_path / "tars")


def test_modes_are_the_prefixs(tmp_path: Path) -> None:
    """Group rights equal user rights; no setuid, nothing that its owner alone may read."""
    modes = {"a": 0o4755, "b": 0o600, "c": 0o444, "d": 0o700, "e": 0o1777}
    made = package(tmp_path, "modes", [Piece(path=name, mode=mode) for name, mode in modes.items()])
    found = laid(made, tmp_path / "tars")
    assert [found[f"opt/conda/{name}"].mode for name in modes] == [0o775, 0o664, 0o664, 0o775, 0o775]


def test_empty_folder(tmp_path: Path) -> None:
    made = package(tmp_path, "hollow", [Piece(path="var/empty", kind=tarfile.DIRTYPE, mode=0o700)])
    found = laid(made, tmp_path / "tars")
    assert (found["opt/conda/var/empty"].kind, found["opt/conda/var/empty"].mode) == ("dir", 0o775)


@pytest.mark.parametrize(
    ("mtime", "named", "expected"),
    [
        (MTIME, MTIME, MTIME),
        (NEWEST + 9, NEWEST + 9, NEWEST),  # Both too new: Python still takes the bytecode.
        (NEWEST + 9, MTIME, MTIME),  # It never was for this source, and must not seem so now.
        (MTIME, NEWEST + 9, NEWEST + 9),
    ],
)
def test_bytecode_names_the_time_of_its_source(tmp_path: Path, mtime: int, named: int, expected: int) -> None:
    """Times newer than the layers' constant are not kept, and Python compares: it would compile at each start."""
    pyc = b"\xa7\x0d\x0d\x0a" + bytes(4) + named.to_bytes(4, "little") + (2).to_bytes(4, "little") + b"code"
    made = package(
        tmp_path,
        "built",
        [
            Piece(path="lib/m.py", data=b"1\n", mtime=mtime),
            Piece(path="lib/__pycache__/m.cpython-312.pyc", data=pyc, mtime=mtime),
        ],
    )
    found = laid(made, tmp_path / "tars")
    cached = found["opt/conda/lib/__pycache__/m.cpython-312.pyc"]
    assert int.from_bytes(data(cached)[8:12], "little") == expected
    assert data(cached)[12:] == pyc[12:]
    assert found["opt/conda/lib/m.py"].mtime == min(mtime, NEWEST)
    row = next(row for row in meta(found)["paths_data"]["paths"] if row["_path"].endswith(".pyc"))
    assert ("sha256_in_prefix" in row) == (expected != named)


def test_content_of_members(tmp_path: Path) -> None:
    """The slices are the members."""
    made = native(tmp_path)
    (tmp_path / "tars").mkdir()
    package_ = read(made.path, made.path.name, tmp_path / "tars")
    found = {e.path: e for e in lay(package_, made.packed.record, PLACE, {}).entries}
    for file in package_.files:
        entry = found[f"opt/conda/{file.path}"]
        if isinstance(entry.content, Slice):
            assert data(entry) == content(file.member)
