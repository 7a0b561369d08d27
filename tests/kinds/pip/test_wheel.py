"""Wheels: what is laid from a sound one, and that nothing of a hostile one is kept."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from builder import compression
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.part import in_prefix, write_wheels
from builder.kinds.pip.scheme import Environment
from builder.kinds.pip.wheel import Laid, lay
from builder.layer import write
from builder.store import Store
from builder.tree import Bytes
from tests.fake_wheel import DIST, METADATA, NAME, WHEEL, Forge, claim, contents, forged, wheel

PLACE = Environment(prefix="/opt/venv", python="3.11")
SITE = "opt/venv/lib/python3.11/site-packages"


def laid(path: Path, filename: str = NAME) -> Laid:
    return lay(path, "fake", filename, PLACE, {})


def refused(path: Path, store: Store) -> HostileInput:
    """Lay and write a wheel that must be refused, in every format; nothing of it may be in the store."""
    for form in reversed(compression.names()):
        with pytest.raises(HostileInput) as caught, store.new_blob() as incoming:
            write(in_prefix(laid(path).entries, PLACE), incoming, codec=compression.codec(form))
        assert list((store.path / "images/blobs/sha256").iterdir()) == []
        assert list((store.path / "tmp").glob("tmp*")) == []
    return caught.value


def test_sound_wheel_is_laid_as_pip_would(tmp_path: Path, store: Store) -> None:
    files = {
        "fake/__init__.py": b"x = 1\n" * 100,
        "fake/tool*": b"#!/bin/sh\n",
        "fake-1.0.data/scripts/run": b"#!python\nprint(1)\n",
        "fake-1.0.data/data/share/fake.txt": b"data",
        "fake-1.0.data/headers/fake.h": b"int x;",
        f"{DIST}/entry_points.txt": b"[console_scripts]\nfake = fake:main\n",
    }
    entries = {entry.path: entry for entry in laid(wheel(tmp_path / "w", files)).entries}
    assert sorted(entries) == [
        "opt/venv/bin/fake",
        "opt/venv/bin/run",
        "opt/venv/include/site/python3.11/fake/fake.h",
        f"{SITE}/{DIST}/INSTALLER",
        f"{SITE}/{DIST}/METADATA",
        f"{SITE}/{DIST}/RECORD",
        f"{SITE}/{DIST}/WHEEL",
        f"{SITE}/{DIST}/entry_points.txt",
        f"{SITE}/fake/__init__.py",
        f"{SITE}/fake/tool",
        "opt/venv/share/fake.txt",
    ]
    assert {f"{entry.uid}:{entry.gid}" for entry in entries.values()} == {"0:0"}
    assert [entries[one].mode for one in ("opt/venv/bin/run", f"{SITE}/fake/tool")] == [0o775, 0o775]
    assert entries[f"{SITE}/fake/__init__.py"].mode == 0o664
    script = entries["opt/venv/bin/run"].content
    assert isinstance(script, Bytes)
    assert script.data.startswith(b"#!/opt/venv/bin/python3.11\n")


def test_layer_of_a_wheel_holds_its_bytes(tmp_path: Path, store: Store) -> None:
    files = {"fake/a.py": b"a = 1\n" * 999, "fake/empty.py": b"", "fake/b.bin": bytes(range(256)) * 300}
    with store.new_blob() as incoming:
        written = write(in_prefix(laid(wheel(tmp_path / "w", files)).entries, PLACE), incoming)
    blob = gzip.decompress(store.blob(written.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        for name, data in files.items():
            content = archive.extractfile(f"{SITE}/{name}")
            assert content is not None
            assert content.read() == data


def test_wheel_of_stored_members(tmp_path: Path, store: Store) -> None:
    with store.new_blob() as incoming:
        write(in_prefix(laid(forged(tmp_path / "w", "a.py", method=0)).entries, PLACE), incoming)


@pytest.mark.parametrize(
    "name", ["fake-1.0.data/scripts/../../../../etc/evil", "fake-1.0.data/data//etc/evil", "fake-1.0.data/data/../x"]
)
def test_data_folder_leads_out(name: str, tmp_path: Path, store: Store) -> None:
    assert "unsafe path" in refused(forged(tmp_path / "w", name), store).what


def test_unknown_scheme(tmp_path: Path, store: Store) -> None:
    assert "malformed wheel" in refused(forged(tmp_path / "w", "fake-1.0.data/evil/x"), store).what


@pytest.mark.parametrize(
    ("name", "mode", "size", "what"),
    [
        ("fake/link", 0o120777, None, "a link in a wheel"),
        ("fake-1.0.dist-info/x", 0o100644, 1 << 30, "too large for a script or metadata"),
    ],
)
def test_hostile_archive(name: str, mode: int, size: int | None, what: str, tmp_path: Path, store: Store) -> None:
    """The rest of what an archive may try stands in test_pip_archive.py."""
    assert what in refused(forged(tmp_path / "w", name, mode=mode, size=size), store).what


def test_bytes_after_the_stream(tmp_path: Path, store: Store) -> None:
    """zipfile reads such a member without a word; spliced, it would make the gzip layer unreadable."""
    data = b"x = 1\n" * 50
    sound = zipfile.ZipFile(wheel(tmp_path / "s", {"a.py": data}))
    info = sound.getinfo("a.py")
    stream = (tmp_path / "s").read_bytes()[info.header_offset + 34 :][: info.compress_size]
    forge = Forge()
    forge.add("a.py", data, packed=stream + b"trailing")
    forge.sound({"a.py": data})
    assert "bytes follow the end" in refused(forge.save(tmp_path / "w"), store).got


def test_stream_without_an_end(tmp_path: Path, store: Store) -> None:
    packed = zipfile.ZipFile(wheel(tmp_path / "s", {"a.py": b"x = 1\n" * 50}))
    info = packed.getinfo("a.py")
    stream = (tmp_path / "s").read_bytes()[info.header_offset + 34 :][: info.compress_size - 2]
    error = refused(forged(tmp_path / "w", "a.py", b"x = 1\n" * 50, packed=stream), store)
    assert "a wheel is not what it claims" in error.what


@pytest.mark.parametrize("packed", [b"\xff" * 40, b"\x07\x00\x00", b""])
def test_stream_is_damaged(packed: bytes, tmp_path: Path, store: Store) -> None:
    """igzip's own error came through, which no command line knows."""
    assert "a wheel is not what it claims" in refused(forged(tmp_path / "w", "a.py", packed=packed), store).what


@pytest.mark.parametrize("size", [1, 5, 7, 4_000_000_000])
@pytest.mark.parametrize("method", [0, 8])
def test_size_lies(size: int, method: int, tmp_path: Path, store: Store) -> None:
    error = refused(forged(tmp_path / "w", "a.py", size=size, method=method), store)
    assert "a wheel is not what it claims" in error.what


def test_zip_bomb_is_cut_off(tmp_path: Path, store: Store) -> None:
    error = refused(forged(tmp_path / "w", "a.bin", bytes(300 << 20), size=10), store)
    assert "more than 10 bytes" in error.got


def test_crc_lies(tmp_path: Path, store: Store) -> None:
    assert "CRC-32" in refused(forged(tmp_path / "w", "a.py", crc=1), store).got


def _with_record(path: Path, record: bytes, files: dict[str, bytes]) -> Path:
    return wheel(path, files, recorded=record)


def _rows(files: dict[str, bytes]) -> dict[str, str]:
    every = {**files, f"{DIST}/METADATA": METADATA, f"{DIST}/WHEEL": WHEEL}
    return {name: f"{name},{claim(data)},{len(data)}" for name, data in every.items()} | {"": f"{DIST}/RECORD,,"}


def test_record_lies(tmp_path: Path, store: Store) -> None:
    files = {"a.py": b"x = 1\n"}
    rows = _rows(files) | {"a.py": f"a.py,{claim(b'x = 2')},6"}
    error = refused(_with_record(tmp_path / "w", "\n".join(rows.values()).encode(), files), store)
    assert "RECORD says sha256" in error.got
    assert "a.py" in error.what


@pytest.mark.parametrize("told", ["sha256=", "sha256=AAAA", "sha256=!!!!", "md5=AAAA", "sha256"])
@pytest.mark.parametrize("name", ["a.py", "fake-1.0.data/scripts/run"])
def test_record_has_no_digest(told: str, name: str, tmp_path: Path, store: Store) -> None:
    """An empty digest passed for a script, which is read before its layer is written."""
    files = {name: b"#!python\n"}
    rows = _rows(files) | {name: f"{name},{told},9"}
    error = refused(_with_record(tmp_path / "w", "\n".join(rows.values()).encode(), files), store)
    assert "RECORD" in error.what


def test_record_lies_about_a_script(tmp_path: Path, store: Store) -> None:
    name = "fake-1.0.data/scripts/run"
    files = {name: b"#!python\n"}
    rows = _rows(files) | {name: f"{name},{claim(b'other')},9"}
    error = refused(_with_record(tmp_path / "w", "\n".join(rows.values()).encode(), files), store)
    assert "differ from RECORD" in error.got


def test_record_misses_a_file(tmp_path: Path, store: Store) -> None:
    files = {"a.py": b"x = 1\n"}
    rows = _rows(files)
    del rows["a.py"]
    error = refused(_with_record(tmp_path / "w", "\n".join(rows.values()).encode(), files), store)
    assert "does not vouch for every file" in error.what
    assert "a.py" in error.got


@pytest.mark.parametrize("name", ["RECORD", "RECORD.jws", "sub/RECORD"])
def test_unsigned_name_outside_of_dist_info(name: str, tmp_path: Path, store: Store) -> None:
    """A file called RECORD at the top of a wheel was laid although RECORD did not vouch for it."""
    files = {name: b"evil"}
    rows = _rows(files)
    del rows[name]
    error = refused(_with_record(tmp_path / "w", "\n".join(rows.values()).encode(), files), store)
    assert "does not vouch for every file" in error.what


def test_record_names_an_absent_file(tmp_path: Path, store: Store) -> None:
    rows = _rows({"ghost.py": b"x"})
    error = refused(_with_record(tmp_path / "w", "\n".join(rows.values()).encode(), {}), store)
    assert "not there" in error.what
    assert "ghost.py" in error.got


@pytest.mark.parametrize("record", [b"\xff\xfe", b'"unclosed', b"a\0b,,\n", b"x" * 200_000 + b",,\n"])
def test_record_is_no_csv(record: bytes, tmp_path: Path, store: Store) -> None:
    refused(_with_record(tmp_path / "w", record, {"a.py": b"x"}), store)


@pytest.mark.parametrize("name", ["a/b", "../evil", "/bin/sh", "a\\b", "."])
def test_entry_point_is_a_path(name: str, tmp_path: Path, store: Store) -> None:
    files = {f"{DIST}/entry_points.txt": f"[console_scripts]\n{name} = fake:main\n".encode()}
    error = refused(wheel(tmp_path / "w", files), store)
    assert "entry point" in error.what or "unsafe path" in error.what


@pytest.mark.parametrize(
    "text", [b"[console_scripts]\nx = !!\n", b"nonsense", b"[console_scripts]\nx = fake\n", b"\xff"]
)
def test_entry_points_are_malformed(text: bytes, tmp_path: Path, store: Store) -> None:
    """`installer` asserts here, and configparser has errors of its own: both came through."""
    error = refused(wheel(tmp_path / "w", {f"{DIST}/entry_points.txt": text}), store)
    assert "malformed wheel" in error.what


def test_not_a_zip(tmp_path: Path, store: Store) -> None:
    for number, data in enumerate((b"", b"PK", b"<html>not found</html>", (tmp_path / "x").name.encode() * 99)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert "malformed wheel" in refused(path, store).what


def test_truncated_wheel(tmp_path: Path, store: Store) -> None:
    path = wheel(tmp_path / "w", {"a.py": b"x" * 5000})
    path.write_bytes(path.read_bytes()[:-30])
    assert "malformed wheel" in refused(path, store).what


def test_wheel_of_another_package(tmp_path: Path, store: Store) -> None:
    path = wheel(tmp_path / "w", {"a.py": b"x"})
    with pytest.raises(HostileInput, match="malformed wheel: other"):
        laid(path, "other-1.0-py3-none-any.whl")


def test_wheel_without_metadata(tmp_path: Path, store: Store) -> None:
    for missing in (f"{DIST}/RECORD", f"{DIST}/WHEEL"):
        path = tmp_path / "w"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in contents({"a.py": b"x"}).items():
                if name != missing:
                    archive.writestr(name, data)
        assert refused(path, store)


def test_file_and_folder_of_one_name(tmp_path: Path, store: Store) -> None:
    """A layer was written in which a file had files below it; no engine unpacks such a one."""
    path = wheel(tmp_path / "w", {"fake": b"file", "fake/inside.py": b"x"})
    with (
        pytest.raises(StackbuildError, match="site-packages/fake is to be a file, and a folder"),
        store.new_blob() as new,
    ):
        write(in_prefix(laid(path).entries, PLACE), new)


def test_script_and_entry_point_of_one_name(tmp_path: Path, store: Store) -> None:
    files = {
        "fake-1.0.data/scripts/fake": b"#!python\n",
        f"{DIST}/entry_points.txt": b"[console_scripts]\nfake = fake:main\n",
    }
    assert "lays one path twice" in refused(wheel(tmp_path / "w", files), store).what


def _sourced(store: Store, path: Path) -> Digest:
    with store.new_source() as incoming:
        data = path.read_bytes()
        incoming.write(data)
        digest = Digest.of(data)
        incoming.commit(digest)
    return digest


def test_two_wheels_bring_one_path(tmp_path: Path, store: Store) -> None:
    """In one layer: the error names both owners; equal bytes are no conflict."""
    empty = tmp_path / "zip"
    zipfile.ZipFile(empty, "w").close()
    zips = dict.fromkeys(("one", "two", "three"), _sourced(store, empty))
    sources = []
    for name, shared in (("one", b"1"), ("two", b"2"), ("three", b"1")):
        digest = _sourced(store, _named_wheel(tmp_path / name, name, shared))
        sources.append(Source(digest, name, f"{name}-1.0-py3-none-any.whl"))
    one, two, three = sources
    with pytest.raises(StackbuildError) as caught:
        write_wheels(store, "part", [one, two], PLACE, zips)
    assert caught.value.what == f"two packages bring /{SITE}/shared.txt with different content: one and two"
    assert "prefer = [" in caught.value.next_step
    listing = write_wheels(store, "part", [three, one], PLACE, zips)["listing"]
    shared_line = [line for line in store.source(Digest(listing)).read_text().splitlines() if "shared.txt" in line]
    assert shared_line == [shared_line[0].rpartition("\t")[0] + "\tone"]


def _named_wheel(path: Path, name: str, shared: bytes) -> Path:
    dist = f"{name}-1.0.dist-info"
    files = {"shared.txt": shared, f"{dist}/METADATA": METADATA.replace(b"fake", name.encode()), f"{dist}/WHEEL": WHEEL}
    rows = [f"{one},{claim(data)},{len(data)}" for one, data in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in {**files, f"{dist}/RECORD": "\n".join(rows).encode()}.items():
            archive.writestr(one, data)
    return path


def test_a_file_in_the_place_of_the_data_folder(tmp_path: Path) -> None:
    """The library that installs wheels looked for its scheme without an end."""
    path = wheel(tmp_path / NAME, {"fake-1.0.data": b"x"})
    with pytest.raises(HostileInput, match="a file where a wheel has a folder"):
        laid(path)
