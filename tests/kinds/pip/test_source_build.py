"""Wheels from source archives: foreign code runs in the sandbox, and whatever it answers is judged."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.interpreter import Interpreter
from builder.kinds.apt import interpreter as apt
from builder.kinds.pip import source_build
from builder.lock import Pin
from builder.store import Store
from tests.fake_wheel import NAME, wheel
from tests.tools import Python

PROJECT = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
SOUND = """
import zipfile
def build_wheel(folder, settings):
    with zipfile.ZipFile(f"{folder}/fake-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("fake.py", "x = 1")
    return "fake-1.0-py3-none-any.whl"
"""


def sdist(path: Path, members: Sequence[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                archive.addfile(one)
            else:
                info = tarfile.TarInfo(one[0])
                info.size = len(one[1])
                archive.addfile(info, io.BytesIO(one[1]))
    return path


def put(store: Store, path: Path) -> Digest:
    data = path.read_bytes()
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    return Digest.of(data)


class Bench:
    """Builds a source archive with the machine's own Python."""

    def __init__(self, store: Store, python: Python, tmp_path: Path) -> None:
        self.store, self.python, self.tmp_path = store, python, tmp_path
        self.log = store.path / "logs/test.txt"

    def build(self, path: Path, requirements: Sequence[tuple[Digest, str]] = ()) -> dict[str, Any]:
        digest = put(self.store, path)
        pin = Pin(kind="pip", name="fake", version="1.0", filename="fake-1.0.tar.gz", digest=digest, size=1)
        short = self.python.short
        native = Interpreter(
            kind="apt", version=f"{short}.1", executable=f"/usr/bin/python{short}", prefix="/usr", pins=()
        )
        return source_build.build(self.store, pin, requirements, native, jobs=1, log=self.log)

    def backend(self, code: str, requirements: Sequence[tuple[Digest, str]] = ()) -> dict[str, Any]:
        members = [("fake-1.0/pyproject.toml", PROJECT), ("fake-1.0/backend.py", code.encode())]
        return self.build(sdist(self.tmp_path / "s", members), requirements)


@pytest.fixture
def bench(store: Store, python: Python, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(apt, "root", lambda *_: python.root)
    return Bench(store, python, tmp_path)


def test_wheel_is_built(bench: Bench) -> None:
    found = bench.backend(SOUND)
    assert (found["filename"], found["requires"]) == ("fake-1.0-py3-none-any.whl", [])
    path = bench.store.checked(bench.store.source(found["wheel"]))
    assert path.stat().st_size == found["size"]


def test_missing_requirements_are_told(bench: Bench) -> None:
    code = SOUND + "def get_requires_for_build_wheel(settings): return ['zlib-ng >= 2', 'Ab_c', 'fake']\n"
    requirement = (put(bench.store, wheel(bench.tmp_path / "w", {"fake.py": b"x"})), NAME)
    assert bench.backend(code, [requirement])["requires"] == ["Ab_c", "zlib-ng >= 2"]


def test_failing_backend_names_its_log(bench: Bench) -> None:
    with pytest.raises(StackbuildError, match=r"building a wheel failed: fake==1\.0") as caught:
        bench.backend("raise RuntimeError('no compiler')\n")
    assert "no compiler" in caught.value.got
    assert caught.value.where == f"log: {bench.log}"
    assert "no compiler" in bench.log.read_text()


def test_backend_has_no_network_and_no_host(bench: Bench) -> None:
    code = """
import os, socket
assert os.listdir("/sys/class/net") == ["lo"] if os.path.exists("/sys/class/net") else True
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError:
    pass
else:
    raise SystemExit("network")
assert not os.path.exists("/work") and not os.path.exists("/home")
assert "SECRET" not in open("/proc/self/environ").read()
"""
    assert bench.backend(code + SOUND)["filename"]


def test_backend_cannot_change_what_it_was_given(bench: Bench) -> None:
    code = """
for path in ("/run/stackbuild/backend.py", "/run/stackbuild/env/x"):
    try:
        open(path, "w")
    except OSError:
        continue
    raise SystemExit(path)
"""
    assert bench.backend(code + SOUND)["filename"]


@pytest.mark.parametrize(
    "answer",
    [
        "import os; os._exit(0)",
        "open(folder + '/told.json', 'w').write('nonsense'); os._exit(0)",
        "open(folder + '/told.json', 'w').write('[]'); os._exit(0)",
        "open(folder + '/told.json', 'w').write('{\"requires\": 1, \"wheel\": []}'); os._exit(0)",
        "open(folder + '/told.json', 'w').write('[' * 100000); os._exit(0)",
        "open(folder + '/told.json', 'w').write(' ' * (2 << 20)); os._exit(0)",
        "os.symlink('/etc/passwd', folder + '/told.json'); os._exit(0)",
        "os.mkfifo(folder + '/told.json'); os._exit(0)",
        "os.mkdir(folder + '/told.json'); os._exit(0)",
    ],
)
def test_strange_answers(answer: str, bench: Bench) -> None:
    """A pipe for an answer stopped the build for ever; a link was followed, on the host; the rest were tracebacks."""
    with pytest.raises(HostileInput, match="ended without an answer"):
        bench.backend(f"import os\ndef build_wheel(folder, settings):\n    {answer}\n")


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd", "/etc/passwd", "sub/fake-1.0-py3-none-any.whl", "", "absent-1.0-py3-none-any.whl",
        "fake.txt", "other-1.0-py3-none-any.whl", "fake-2.0-py3-none-any.whl", "fake-1.0.whl",
    ],
)  # fmt: skip
def test_strange_wheel_names(name: str, bench: Bench) -> None:
    """Also another version than the lock says."""
    code = f"""
import os
def build_wheel(folder, settings):
    if {name!r}.endswith(("whl", "txt")) and not {name!r}.startswith(("absent", "sub")):
        open(folder + "/" + {name!r}, "w").write("x")
    return {name!r}
"""
    with pytest.raises(HostileInput):
        bench.backend(code)


def test_wheel_that_is_a_link(bench: Bench) -> None:
    code = """
import os
def build_wheel(folder, settings):
    os.symlink("/etc/passwd", folder + "/fake-1.0-py3-none-any.whl")
    return "fake-1.0-py3-none-any.whl"
"""
    with pytest.raises(HostileInput, match="named no wheel"):
        bench.backend(code)


def _typed(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ([("../evil", b"x")], "unsafe path"),
        ([("fake-1.0/../../evil", b"x")], "unsafe path"),
        ([("/etc/evil", b"x")], "unsafe path"),
        ([_typed("fake-1.0/link", tarfile.SYMTYPE, "/etc")], "holds a link or a device"),
        ([_typed("fake-1.0/link", tarfile.LNKTYPE, "/etc/passwd")], "holds a link or a device"),
        ([_typed("fake-1.0/pipe", tarfile.FIFOTYPE)], "holds a link or a device"),
        ([_typed("fake-1.0/disk", tarfile.BLKTYPE)], "holds a link or a device"),
        ([("fake-1.0/a", b"x"), ("fake-1.0/a/b", b"x")], "malformed sdist"),
        ([("one/a", b"x"), ("two/a", b"x")], "must hold one folder"),
        ([("a", b"x")], "must hold one folder"),
        ([], "must hold one folder"),
    ],
)
def test_hostile_archives(members: list[Any], wanted: str, bench: Bench) -> None:
    with pytest.raises(HostileInput) as caught:
        bench.build(sdist(bench.tmp_path / "s", members))
    assert wanted in caught.value.what


@pytest.mark.parametrize("cut", [0, 5, 30, 100])
def test_truncated_and_damaged_archives(cut: int, bench: Bench) -> None:
    """zlib's own error came through."""
    path = sdist(bench.tmp_path / "s", [("fake-1.0/a", Digest.of(b"x").encode() * 999 + bytes(range(256)) * 99)])
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    with pytest.raises(HostileInput):
        bench.build(path)
    path.write_bytes(whole[:60] + b"\xff" * 20 + whole[80:])
    with pytest.raises(HostileInput):
        bench.build(path)


def test_bomb(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_build, "_LIMIT", 1 << 20)
    info = tarfile.TarInfo("fake-1.0/a")
    info.size = 2 << 20
    path = bench.tmp_path / "s"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(info.size), 1))
    with pytest.raises(HostileInput, match="larger than"):
        bench.build(path)


@pytest.mark.parametrize("files", [{"../evil.py": b"x"}, {"/evil": b"x"}])
def test_hostile_build_requirement(files: dict[str, bytes], bench: Bench) -> None:
    with pytest.raises(HostileInput, match="unsafe path"):
        bench.backend(SOUND, [(put(bench.store, wheel(bench.tmp_path / "w", files)), NAME)])


@pytest.mark.parametrize("record", [b"", b"a.py,sha256=AAAA,1\n"])
def test_build_requirement_whose_record_lies(record: bytes, bench: Bench) -> None:
    """The library's own errors came through."""
    path = wheel(bench.tmp_path / "w", {"a.py": b"x"}, recorded=record)
    with pytest.raises(HostileInput, match="malformed wheel"):
        bench.backend(SOUND, [(put(bench.store, path), NAME)])
