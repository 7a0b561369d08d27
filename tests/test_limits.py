"""Texts that are a byte too long, and short ones that would take a reader hours: each is an error of ours at once.

What is slow is read in a process of its own, which is killed after half a minute of its own time; it takes less than a
second of it. Before there were limits, each of these took longer, or ended in an error that was none of ours.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder import built, limits, toml
from builder.errors import HostileInput, Problems, StackbuildError
from builder.kinds.apt import keyring
from builder.kinds.apt.universe import Index, Universe
from builder.kinds.fetch import lockfile as fetch_lock
from builder.kinds.oci.source import Layout
from builder.kinds.pip import lockfile as pip_lock
from builder.kinds.pip import sdist
from builder.kinds.run import build as run
from builder.locks import Locks, formats
from builder.manifest.model import Target
from builder.manifest.read import loads, read
from builder.runtimes import Container

ROOT = Path(__file__).parent.parent
SECONDS = 30
MEMORY = 4 << 30
TARGET = Target(image="base", variant="cpu", platform="linux/amd64")
MANIFEST = (ROOT / "stacks.toml").read_bytes()
ENDLESS = Path("/dev/zero")


def said(read: Callable[[], object]) -> str:
    """What a reader says in its own words; it may take `SECONDS` of a processor, and `MEMORY`."""
    receiver, sender = os.pipe()
    if (child := os.fork()) == 0:
        os.close(receiver)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            found = f"read: {read()}"
        except StackbuildError as error:
            found = f"refused: {error}"
        except BaseException as error:
            found = f"not refused but {type(error).__name__}: {error}"
        os.write(sender, found.encode(errors="replace")[:60_000])
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        found = stream.read().decode()
    os.waitpid(child, 0)
    return found or "it took too long"


def test_one_byte_more(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * 200_000)
    assert limits.read(path, 200_000, "text") == b"x" * 200_000
    with pytest.raises(HostileInput) as caught:
        limits.read(path, 199_999, "text", "make it shorter")
    assert str(caught.value).splitlines() == [
        "text is too long",
        f"  {path}",
        "  expected: at most 199,999 bytes",
        "  got: more than that",
        "  next: make it shorter",
    ]
    path.write_bytes(b"")
    assert limits.read(path, 0, "text") == b""


def test_manifest(tmp_path: Path) -> None:
    path = tmp_path / "stacks.toml"
    path.write_bytes(MANIFEST + b"#" * (limits.MANIFEST - len(MANIFEST)))
    assert read(path).images
    path.write_bytes(MANIFEST + b"#" * (limits.MANIFEST - len(MANIFEST) + 1))
    with pytest.raises(HostileInput, match="stacks manifest is too long"):
        read(path)
    path.unlink()
    path.symlink_to(ENDLESS)
    assert said(lambda: read(path)).startswith("refused: stacks manifest is too long")


@pytest.mark.parametrize("kind", sorted(formats()))
def test_lock(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOCK", 1000)
    monkeypatch.setattr(limits, "TOML_LOCK", 500)
    locks = Locks(tmp_path)
    path = locks.path(TARGET, kind)
    most = 500 if path.suffix == ".toml" else 1000
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * most)
    with pytest.raises(StackbuildError, match=r"^(?!lock is too long)"):
        locks.read(TARGET, kind)
    path.write_bytes(b"x" * (most + 1))
    for reading in (locks.read, locks.text):
        with pytest.raises(HostileInput, match="lock is too long") as caught:
            reading(TARGET, kind)
        assert "make it anew: stackbuild lock" in caught.value.next_step


def test_files_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEYRING", "LAYOUT", "SCRIPT", "ACCOUNTS"):
        monkeypatch.setattr(limits, name, 100)
    long = tmp_path / "long"
    long.write_bytes(b"x" * 101)
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [], "x": "x" * 100}))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"x" * 101)
    readers: list[Callable[[], object]] = [
        lambda: keyring.load("./long", tmp_path),
        lambda: Layout(tmp_path).head("x"),
        lambda: run._read(long, ""),
        lambda: built._text(tmp_path, "etc/passwd"),
    ]
    for one in readers:
        with pytest.raises(HostileInput, match="is too long"):
            one()


@pytest.mark.parametrize("head", ["", "Content-Length: 100000000\r\n"])
def test_container_that_answers_without_end(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER", 100_000)
    here, there = socket.socketpair()
    monkeypatch.setattr(Container, "connect", lambda *_: here)

    def answer() -> None:
        there.recv(10_000)
        with pytest.raises(OSError):  # Whoever asked has gone.
            there.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
            while True:
                there.sendall(bytes(10_000))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with pytest.raises(HostileInput, match="answer is too long"):
            object.__new__(Container).ask(80, "/")
    finally:
        here.close()
        thread.join()


def test_container_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    monkeypatch.setattr(Container, "connect", lambda *_: here)
    with there:
        there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
        there.shutdown(socket.SHUT_WR)
        with pytest.raises(http.client.IncompleteRead):
            object.__new__(Container).ask(80, "/")


# What would take longer than its length ---------------------------------------------------------------------------


def _manifest(text: str) -> Callable[[], object]:
    return lambda: loads(MANIFEST.decode() + text, Path("stacks.toml"))


def _chain(key: str, count: int, last: str) -> str:
    rows = "".join(f"[images.x{number}]\n{key} = 'x{number + 1}'\n" for number in range(count))
    return f"{rows}[images.x{count}]\n{last}\n"


def _lock(kind: str, text: str) -> Callable[[], object]:
    """As `Locks` reads it, from a folder that is gone with its process."""

    def read() -> object:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            path = Locks(Path(folder)).path(TARGET, kind)
            path.parent.mkdir(parents=True)
            path.write_text(text)
            return Locks(Path(folder)).read(TARGET, kind)

    return read


def _universe() -> object:
    text = "".join(f"Package: p{number}\nProvides: x\n\n" for number in range(150_000))
    return len(Universe("x", [Index(suite="x", release="x", text=text)]).providers("x"))


def _pyproject(text: str) -> Callable[[], object]:
    def read() -> object:
        from tempfile import TemporaryDirectory

        from tests.kinds.pip.test_pip_sdist import tar

        with TemporaryDirectory() as folder:
            return sdist.build_requires(tar(Path(folder) / "x", ("x-1/pyproject.toml", text)), "x-1.tar.gz")

    return read


PIP = (
    f"# stackbuild-lock: {pip_lock.FORMAT}\n{pip_lock._WRITTEN}\n"
    "# python: 3.11.2\n# platform: linux/amd64\n# glibc: 2.36\n"
)
FETCH = "\n".join(fetch_lock._HEAD) + "\n\n[[fetch]]\n"
CONDA = "version: 1\nmetadata: "
HASH = "a" * 64
PIN = f"\n# a\na==1 \\\n    --hash=sha256:{HASH}\n    # file: a-1-py3-none-any.whl 1\n"
KEY = ".".join("a" * 200_000) + " = 1\n"
LISTS = "[" * 990 + "]" * 990

SLOW: dict[str, tuple[Callable[[], object], str]] = {
    "stacks.toml, dotted key": (_manifest(f"[x]\n{KEY}"), "a key of more than 32 parts"),
    "stacks.toml, chain of from": (_manifest(_chain("from", 3000, "from = 'base'")), "too long a chain"),
    "stacks.toml, cycle of from": (_manifest(_chain("from", 3000, "from = 'x0'")), "too long a chain"),
    "stacks.toml, chain of same-as": (_manifest(_chain("same-as", 3000, "from = 'base'")), "too long a chain"),
    "stacks.toml, chain of both": (
        _manifest(
            "".join(f"[images.x{n}]\nsame-as = 'y{n}'\n[images.y{n}]\nfrom = 'x{n + 1}'\n" for n in range(2000))
            + "[images.x2000]\nfrom = 'base'\n"
        ),
        "too long a chain",
    ),
    "stacks.toml, problems": (
        _manifest("".join(f"[images.x{number}]\nfrom = 'y{number}'\n" for number in range(8000))),
        "100 problems",
    ),
    "lock of fetch, dotted keys": (_lock("fetch", f"{FETCH}{KEY[:199]} = 1\n"), "broken lock: not TOML"),
    "lock of fetch, long number": (_lock("fetch", f"{FETCH}size = {'9' * 5000}\n"), "broken lock: not TOML"),
    "lock of fetch, lists": (_lock("fetch", f"{FETCH}name = {LISTS}\n"), "broken lock: "),
    "lock of fetch, problems": (_lock("fetch", FETCH + "[[fetch]]\n" * 100_000), "100 problems"),
    "lock of a base, dotted key": (_lock("oci", KEY), "a key of more than 32 parts"),
    "lock of a base, long number": (_lock("oci", f"format = {'9' * 5000}\n"), "lock is damaged"),
    "lock of a base, lists": (_lock("oci", f"format = 1\nx = {LISTS}\n"), "lock is damaged"),
    "inherited, dotted key": (_lock("inherited", KEY), "a key of more than 32 parts"),
    "npm lock, long number": (_lock("npm", "9" * 5000), "lock is damaged"),
    "pip lock, requests": (
        _lock("pip", PIP + "".join(f"#\n# request: a{number}\n" for number in range(300_000))),
        "not sorted",
    ),
    "pip lock, one pin": (_lock("pip", PIP + PIN * 50_000), "100 problems"),
    "pip lock, empty lines": (_lock("pip", PIP + "\n" * 1_000_000), "100 problems"),
    "conda lock, directives": (
        _lock("conda", "".join(f"%TAG !a{number}! b\n" for number in range(200_000)) + CONDA),
        "YAML as conda-lock",
    ),
    "conda lock, number of base 60": (_lock("conda", CONDA + ":".join("1" * 1_000_000)), "YAML as conda-lock"),
    "conda lock, tagged": (_lock("conda", f"{CONDA}!!int '{':'.join('1' * 1_000_000)}'"), "YAML as conda-lock"),
    "conda lock, float of base 60": (_lock("conda", CONDA + ":".join("1" * 1000) + ".5"), "YAML as conda-lock"),
    "conda lock, merges": (_lock("conda", CONDA + "{" + "<<: {}," * 500_000 + "}"), "YAML as conda-lock"),
    "pyproject.toml": (_pyproject(KEY), "is no TOML"),
}


@pytest.mark.parametrize("name", SLOW)
def test_text_that_would_take_long(name: str) -> None:
    reading, words = SLOW[name]
    found = said(reading)
    assert found.startswith("refused: ") and words in found, found[:500]


def test_virtual_package_of_many() -> None:
    assert said(_universe) == "read: 150000"


def test_conda_lock_of_many_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list's item takes two bytes of a text and a kilobyte of memory."""
    monkeypatch.setattr("builder.kinds.conda.lockfile._MOST_EVENTS", 1000)
    assert "YAML as conda-lock" in said(_lock("conda", CONDA + "[" + "1," * 1000 + "]"))


def test_keys_that_many_images_take_from_one() -> None:
    """They are in memory once, and their lines are looked up where they are."""
    rows = "".join(f'"a{number}", ' for number in range(20_000))
    images = "".join(f"[images.x{number}]\nsame-as = 'x'\n" for number in range(5000))
    manifest = loads(f"{MANIFEST.decode()}\n[images.x]\nfrom = 'base'\napt = [{rows}]\n{images}", Path("stacks.toml"))
    assert manifest.images["x4999"].asks["apt"] is manifest.images["x"].asks["apt"]
    assert manifest.lines["images.x4999.apt[19999]"] == manifest.lines["images.x.apt[7]"]
    assert "images.x4999.apt[20000]" not in manifest.lines


def test_as_many_ancestors_as_there_may_be() -> None:
    manifest = loads(MANIFEST.decode() + _chain("from", 126, "from = 'base'"), Path("stacks.toml"))
    assert len(manifest.lineage(Target("x0", "cpu", "linux/amd64"))) == 128
    with pytest.raises(Problems, match="too long a chain"):
        loads(MANIFEST.decode() + _chain("from", 127, "from = 'base'"), Path("stacks.toml"))


@pytest.mark.parametrize("key", ["a", '"a.b"', "'a b'", '"\\""'])
@pytest.mark.parametrize("dot", [".", " . ", "\t."])
def test_keys_in_any_writing(key: str, dot: str) -> None:
    assert toml.loads(dot.join([key] * 32) + " = 1")
    for text in (f"{dot.join([key] * 33)} = 1", f"[{dot.join([key] * 33)}]", f"x = {{ {dot.join([key] * 33)} = 1 }}"):
        with pytest.raises(toml.TOMLDecodeError, match="more than 32 parts"):
            toml.loads(f"y = 1\n{text}")
    assert toml.loads("x = '1.2.3.4'\ny = 'one. two'\n# " + "." * 100)
