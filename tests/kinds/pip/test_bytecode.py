"""Bytecode: compiled in the sandbox, equal each time, loaded by that Python without another look at the source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builder import listing, unpacked
from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.pip import bytecode
from builder.kinds.pip.bytecode import Source
from builder.kinds.pip.part import write_wheels
from builder.kinds.pip.python import Runnable
from builder.kinds.pip.scheme import Environment
from builder.sandbox import Command, Root, run
from builder.store import Store
from builder.tree import NEWEST
from tests.fake_wheel import NAME, Forge, wheel
from tests.tools import Python

FILES = {
    "fake/__init__.py": b"value = 'compiled'\n",
    "fake/broken.py": b"def (:\n",
    "fake/data.txt": b"x",
    **{f"fake/m{number}.py": f"x = {number}\n".encode() for number in range(130)},
}
INTERPRETER = Digest.of(b"interpreter")


def put(store: Store, path: Path) -> Source:
    data = path.read_bytes()
    with store.new_source() as incoming:
        incoming.write(data)
        incoming.commit(Digest.of(data))
    return Source(Digest.of(data), "fake", NAME)


def compiled(store: Store, source: Source, python: Python, *, jobs: int = 2, prefix: str = "/opt/venv") -> Digest:
    place = Environment(prefix=prefix, python=python.short)
    log = store.path / "logs/test.txt"
    runnable = Runnable(f"/usr/bin/python{python.short}", (python.root,))
    return bytecode.compiled(store, [source], place, INTERPRETER, runnable, jobs, log)["fake"]


def test_every_source_that_compiles(python: Python, store: Store, tmp_path: Path) -> None:
    source = put(store, wheel(tmp_path / "w", FILES))
    found = bytecode.members(store, compiled(store, source, python))
    site = f"opt/venv/lib/python{python.short}/site-packages/fake"
    assert set(found) == {f"{site}/__init__.py", *(f"{site}/m{number}.py" for number in range(130))}
    assert {member.method for member in found.values()} == {0}


def test_a_packages_own_tests_have_none(python: Python, store: Store, tmp_path: Path) -> None:
    """But a package that is called so, or a module, has."""
    names = ("fake/__init__.py", "fake/tests/test_a.py", "fake/a/tests/b/c.py", "fake/tests.py", "tests/__init__.py")
    source = put(store, wheel(tmp_path / "w", dict.fromkeys(names, b"x = 1\n")))
    found = bytecode.members(store, compiled(store, source, python))
    site = f"opt/venv/lib/python{python.short}/site-packages"
    assert set(found) == {f"{site}/{name}" for name in ("fake/__init__.py", "fake/tests.py", "tests/__init__.py")}


def test_equal_with_any_number_of_jobs(python: Python, store: Store, tmp_path: Path) -> None:
    path = wheel(tmp_path / "w", FILES)
    other = Store.open(tmp_path / "other")
    one = compiled(store, put(store, path), python, jobs=1)
    assert one == compiled(other, put(other, path), python, jobs=7)


def test_compiled_once(python: Python, store: Store, tmp_path: Path) -> None:
    """The second time there is no interpreter to do it with."""
    source = put(store, wheel(tmp_path / "w", FILES))
    nothing = Python(python.short, tmp_path / "nowhere")
    first = compiled(store, source, python)
    assert compiled(store, source, nothing) == first
    store.source(first).unlink()
    with pytest.raises(StackbuildError):
        compiled(store, source, nothing)


def test_prefix_and_interpreter_are_in_the_key() -> None:
    wheel, place = Digest.of(b"wheel"), Environment(prefix="/opt/venv", python="3.11")
    documents = [
        bytecode.document(wheel, place, INTERPRETER),
        bytecode.document(wheel, Environment(prefix="/opt/other", python="3.11"), INTERPRETER),
        bytecode.document(wheel, Environment(prefix="/opt/venv", python="3.12"), INTERPRETER),
        bytecode.document(wheel, place, Digest.of(b"another interpreter")),
        bytecode.document(Digest.of(b"another wheel"), place, INTERPRETER),
    ]
    assert len({str(one) for one in documents}) == 5


def test_python_takes_the_bytecode(python: Python, store: Store, tmp_path: Path) -> None:
    """From the layer as it lies in an image, its time and size match the source, so it is not compiled again."""
    source = put(store, wheel(tmp_path / "w", FILES))
    place = Environment(prefix="/opt/venv", python=python.short)
    layer = write_wheels(store, "part", [source], place, {"fake": compiled(store, source, python)})
    (folder,) = unpacked.layers(store, [layer])
    cached = [one for one in listing.read(store, layer) if one.path.endswith(".pyc")]
    assert len(cached) == 131
    assert {(one.mode, one.owner) for one in cached} == {("0664", "fake")}
    assert (folder / cached[0].path).stat().st_mtime == NEWEST
    program = f"import sys; sys.path.insert(0, '/{place.site}'); import fake; print(fake.value, fake.__cached__)"
    (tmp_path / "mount").mkdir()
    command = Command(argv=(f"/usr/bin/python{python.short}", "-I", "-v", "-c", program))
    log = tmp_path / "log"
    assert run(Root(workspace=tmp_path / "mount", lowers=(folder, python.root)), command, log=log) == 0
    said = log.read_text()
    assert f"compiled /{place.site}/fake/__pycache__/__init__.cpython-" in said
    assert "matches /" + place.site + "/fake/__init__.py" in said


def test_bomb_in_a_source(python: Python, store: Store, tmp_path: Path) -> None:
    """A source that inflates to more than it says was inflated to its end, in memory that nobody limits. What
    a child of the compiler had to say was lost."""
    forge, data = Forge(), bytes(200 << 20)
    forge.add("fake/big.py", data, size=10)
    forge.sound({"fake/big.py": data})
    source = put(store, forge.save(tmp_path / "w"))
    with pytest.raises(StackbuildError, match="compiling bytecode failed: fake"):
        compiled(store, source, python)
    assert "11 bytes, not 10" in (store.path / "logs/test.txt").read_text()


def test_hostile_wheel_is_not_compiled(python: Python, store: Store, tmp_path: Path) -> None:
    source = put(store, wheel(tmp_path / "w", {"../evil.py": b"x"}))
    with pytest.raises(HostileInput, match="unsafe path"):
        compiled(store, source, python)


def test_flipped_bit_in_the_bytecode(python: Python, store: Store, tmp_path: Path) -> None:
    source = put(store, wheel(tmp_path / "w", {"fake.py": b"x = 1\n"}))
    digest = compiled(store, source, python)
    path = store.source(digest)
    shutil.copyfile(path, tmp_path / "copy")
    path.write_bytes(path.read_bytes().replace(b"fake.py", b"fakE.py"))
    with pytest.raises(HostileInput, match="has changed"):
        bytecode.members(store, digest)
    assert compiled(store, source, python) == digest
    assert path.read_bytes() == (tmp_path / "copy").read_bytes()
