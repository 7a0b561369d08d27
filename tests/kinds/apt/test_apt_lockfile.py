from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.apt import lockfile
from builder.kinds.apt.lockfile import Header
from builder.kinds.apt.package import FIELDS
from builder.lock import Lock, Pin

HEADER = Header(archive="debian", architecture="amd64", suites=("bookworm", "bookworm-security"))


def pin(name: str, version: str = "1.0-1", **fields: str) -> Pin:
    said = {"Architecture": "amd64", **{key.replace("_", "-"): value for key, value in fields.items()}}
    said |= {"X-Suite": "bookworm", "X-Release": "20260711T101637Z"}
    return Pin(
        kind="apt",
        name=name,
        version=version,
        filename=f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb",
        digest=Digest.of(name.encode()),
        size=1234,
        source="debian",
        via=("stacks.toml",),
        fields=tuple(said.items()),
    )


LOCK = Lock(request=("curl", "vim==2:9.0"), pins=(pin("curl", Depends="libc6 (>= 2.34)"), pin("vim", "2:9.0")))

GOLDEN = f"""\
# Debian packages that this image adds to its parent.
# Written by `stackbuild lock`, never by hand: edit stacks.toml. `stackbuild lock --check` needs no network.
Format: 1
Archive: debian
Architecture: amd64
Suites: bookworm bookworm-security
Components: main
Request:
 curl
 vim==2:9.0

Package: curl
Version: 1.0-1
Architecture: amd64
Depends: libc6 (>= 2.34)
Filename: pool/main/c/curl/curl_1.0-1_amd64.deb
Size: 1234
SHA256: {Digest.of(b"curl").hex}
X-Suite: bookworm
X-Release: 20260711T101637Z
X-Via: stacks.toml

Package: vim
Version: 2:9.0
Architecture: amd64
Filename: pool/main/v/vim/vim_2:9.0_amd64.deb
Size: 1234
SHA256: {Digest.of(b"vim").hex}
X-Suite: bookworm
X-Release: 20260711T101637Z
X-Via: stacks.toml
"""


def test_golden() -> None:
    assert lockfile.dumps(LOCK, HEADER) == GOLDEN
    assert lockfile.load(GOLDEN, "x") == (HEADER, LOCK)


def test_lock_of_nothing() -> None:
    nothing = Lock(request=(), pins=())
    assert lockfile.loads(lockfile.dumps(nothing, HEADER), "x") == nothing


VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
NAME = st.from_regex(r"\A[a-z0-9][a-z0-9+.-]{1,12}\Z")
PINS = st.builds(
    lambda name, version, size, via, fields, suite: Pin(
        kind="apt",
        name=name,
        version=version,
        filename=f"pool/main/{name}.deb",
        digest=Digest.of(name.encode()),
        size=size,
        source="debian",
        via=tuple(sorted(via)),
        fields=(
            ("Architecture", "all"),
            *((key, fields[key]) for key in FIELDS if key in fields),
            ("X-Suite", suite),
            ("X-Release", "20260711T101637Z"),
        ),
    ),
    NAME,
    st.from_regex(r"\A(\d:)?\d[A-Za-z0-9.+~-]{0,9}\Z", alphabet=st.characters(max_codepoint=126)),
    st.integers(0, 1 << 40),
    st.sets(NAME, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(FIELDS[1:]), VALUE),
    st.sampled_from(HEADER.suites),
)
LOCKS = st.builds(
    lambda request, pins: Lock(request=tuple(sorted(request)), pins=tuple(sorted(pins, key=lambda one: one.name))),
    st.sets(NAME, max_size=5),
    st.lists(PINS, max_size=5, unique_by=lambda one: one.name),
)


@given(LOCKS)
def test_what_is_written_is_read(lock: Lock) -> None:
    text = lockfile.dumps(lock, HEADER)
    assert lockfile.load(text, "x") == (HEADER, lock)


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("Format: 1", "Format: 2", 3, "Format: 1"),
        ("Archive: debian", "Archiv: debian", 4, "Archive: …"),
        (" curl\n vim==2:9.0", " vim==2:9.0\n curl", 10, "request items sorted, one a line, each once"),
        ("Version: 2:9.0", "Version: ", 24, "one of Version"),
        ("Version: 2:9.0\n", "", 23, "Version in this paragraph"),
        ("Version: 1.0-1", "Version: one", 13, "Version: a Debian version"),
        ("Size: 1234", "Size: 12.4", 17, "Size: bytes"),
        ("SHA256: ", "SHA256: 0", 18, "SHA256: 64 hexadecimal digits"),
        ("pool/main/c", "pool/../../etc", 16, "Filename: a path below the archive"),
        ("Filename: pool", "Filename: /pool", 16, "Filename: a path below the archive"),
        ("Architecture: amd64\nDepends", "Architecture: i386\nDepends", 14, "Architecture: amd64 or all"),
        ("Depends: libc6", "Suggests: x\nDepends: libc6", 15, "one of Multi-Arch"),
        ("X-Suite: bookworm\n", "X-Suite: sid\n", 19, "X-Suite: one of bookworm bookworm-security"),
        ("Package: vim", "Package: bash", 23, "packages sorted by name, each once, after curl"),
        ("Package: vim", "Package: curl", 23, "packages sorted by name, each once, after curl"),
        ("X-Via: stacks.toml\n\n", "X-Via: stacks.toml\n", 22, "an empty line before the next package"),
        ("X-Via: stacks.toml\n\nPackage: vim", "X-Via: stacks.toml \n\nPackage: vim", 21, "one of X-Via"),
    ],
)
def test_damaged(old: str, new: str, line: int, expected: str) -> None:
    assert old in GOLDEN
    with pytest.raises(StackbuildError) as caught:
        lockfile.loads(GOLDEN.replace(old, new, 1), "locks/base/linux-amd64.apt.lock")
    assert caught.value.where == f"locks/base/linux-amd64.apt.lock:{line}"
    assert caught.value.expected.startswith(expected)
    assert caught.value.next_step


@pytest.mark.parametrize("text", [GOLDEN[:-1], GOLDEN[: len(GOLDEN) // 2], GOLDEN + "\n", "", "\n"])
def test_cut_off_or_padded(text: str) -> None:
    with pytest.raises(StackbuildError, match="damaged"):
        lockfile.loads(text, "x")


def test_bumps_of_neighbours_merge(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Two branches move two packages that stand beside each other; git joins them without a conflict."""
    other = {"version": "3", "digest": Digest.of(b"new"), "size": 9, "filename": "pool/x.deb"}
    from dataclasses import replace

    ours = replace(LOCK, pins=(replace(LOCK.pins[0], **other), LOCK.pins[1]))  # type: ignore[arg-type]
    theirs = replace(LOCK, pins=(LOCK.pins[0], replace(LOCK.pins[1], **other)))  # type: ignore[arg-type]
    for name, lock in (("base", LOCK), ("ours", ours), ("theirs", theirs)):
        (tmp_path / name).write_text(lockfile.dumps(lock, HEADER))
    merged = subprocess.run(
        ["git", "merge-file", "-p", "ours", "base", "theirs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert lockfile.loads(merged.stdout, "x").pins == (ours.pins[0], theirs.pins[1])


def test_line_of_a_field() -> None:
    assert lockfile.line_of(GOLDEN, "curl") == 12
    assert lockfile.line_of(GOLDEN, "curl", "Depends") == 15
    assert lockfile.line_of(GOLDEN, "vim", "Depends") == 23
    assert lockfile.line_of(GOLDEN, "emacs") == 1


def test_reading_is_quick_and_imports_little() -> None:
    pins = tuple(pin(f"package-{n:03}", Depends="libc6 (>= 2.34), " * 20 + "x", Provides="y") for n in range(233))
    text = lockfile.dumps(Lock(request=(), pins=pins), HEADER)
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.010
    heavy = "('requests', 'pysequoia', 'networkx', 'lzma', 'email')"
    code = f"import sys, builder.kinds.apt.lockfile; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _seconds(text: str) -> float:
    start = time.process_time()
    lockfile.loads(text, "x")
    return time.process_time() - start


def test_recommends_are_told_where_they_were_asked_for() -> None:
    with_them = replace(HEADER, recommends=True)
    one = Lock(request=("bash",), pins=(pin("bash"),))
    text = lockfile.dumps(one, with_them)
    assert "Components: main\nRecommends: yes\nRequest:\n" in text
    assert lockfile.load(text, "x")[0] == with_them
    assert "Recommends" not in lockfile.dumps(one, HEADER)
    with pytest.raises(StackbuildError, match="damaged"):
        lockfile.loads(text.replace("Recommends: yes\n", "Recommends: yes\nRecommends: yes\n"), "x")
