"""The text of a lock: one text for one lock, merged by git itself, edited by hand only with an error in words."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.pip.askers import askers
from builder.kinds.pip.lockfile import PipLock, dumps, loads, pin_line, request_line
from builder.lock import Pin
from builder.store import Store

NAMES = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc[0-9])?(\+cpu)?", fullmatch=True)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def pin(name: str, version: str, *requires: str, via: tuple[str, ...] = ("stacks.toml",), seed: str = "") -> Pin:
    return Pin(
        kind="pip",
        name=name,
        version=version,
        filename=f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        digest=Digest.of(f"{name} {version} {seed}".encode()),
        size=len(name) * 1000,
        via=via,
        fields=tuple(("requires", one) for one in sorted(requires)),
    )


def lock(*pins: Pin, request: tuple[str, ...] = ("a==1",)) -> PipLock:
    return PipLock(request=request, pins=pins, python="3.11.2", platform="linux/amd64", glibc="2.36")


@st.composite
def locks(draw: st.DrawFn) -> PipLock:
    pins = []
    for name in sorted(draw(st.sets(NAMES, max_size=8))):
        requires = draw(st.sets(WORDS | NAMES, max_size=4))
        pins.append(pin(name, draw(VERSIONS), *requires, via=tuple(draw(st.sets(NAMES, max_size=3)))))
    request = tuple(sorted(draw(st.sets(WORDS | NAMES, max_size=5))))
    asked = askers(request, pins)
    pins = [replace(one, via=tuple(sorted({*one.via, *asked[one.name]}))) for one in pins]
    return PipLock(
        request=request,
        constraints=tuple(sorted(draw(st.sets(WORDS, max_size=2)))),
        pins=tuple(pins),
        python=draw(st.sampled_from(["3.11.2", "3.13.0"])),
        platform="linux/arm64",
        glibc="2.36",
    )


@given(locks())
def test_text_and_lock_are_the_same(found: PipLock) -> None:
    text = dumps(found)
    assert loads(text, "x") == found
    lines = text.splitlines()
    for one in found.pins:
        assert lines[pin_line(found, one.name) - 1].startswith(f"{one.name}==")
    for item in found.request:
        assert lines[request_line(found, item) - 1] == f"# request: {item}"


def test_text_is_readable() -> None:
    made = lock(
        pin("anyio", "4.9.0", "idna>=2.8", "sniffio>=1.1", via=("httpx",)),
        Pin(
            kind="pip",
            name="torch",
            version="2.12.0+cpu",
            filename="torch-2.12.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
            digest=Digest.of(b"torch"),
            size=190000000,
            source="pytorch-cpu",
            via=("stacks.toml",),
        ),
        request=("httpx", "torch==2.12.0"),
    )
    assert dumps(made) == (
        "# stackbuild-lock: 2\n"
        "# written by `stackbuild lock`; edit stacks.toml instead\n"
        "# python: 3.11.2\n"
        "# platform: linux/amd64\n"
        "# glibc: 2.36\n"
        "#\n"
        "# request: httpx\n"
        "#\n"
        "# request: torch==2.12.0\n"
        "\n"
        "# anyio\n"
        "anyio==4.9.0 \\\n"
        f"    --hash={Digest.of(b'anyio 4.9.0 ')}\n"
        "    # file: anyio-4.9.0-py3-none-any.whl 5000\n"
        "    # requires: idna>=2.8\n"
        "    # requires: sniffio>=1.1\n"
        "    # via httpx\n"
        "\n"
        "# torch\n"
        "torch==2.12.0+cpu \\\n"
        f"    --hash={Digest.of(b'torch')}\n"
        "    # file: torch-2.12.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl 190000000\n"
        "    # index: pytorch-cpu\n"
    )


GOOD = dumps(lock(pin("a", "1", "b>=1"), pin("b", "2", via=("a", "z")), pin("b-c", "3"), request=("a==1", "b-c")))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("--hash=sha256:", "--hash=sha256:0", 13, "digest of a is cut or changed"),
        ("--hash=sha256:", "--hash=md5:", 13, "digest of a is cut or changed"),
        ("a==1 \\", "a==2 \\", 14, "the file of a==2 is another's"),
        ("b==2 \\", "a==1 \\", 17, "a pin begins otherwise"),
        ("# b\n", "# a\n", 17, "a pin begins otherwise"),
        ("# file: a-1-", "# file: c-1-", 14, "the file of a==1 is another's"),
        ("# file: a-1-py3-none-any.whl 1000", "# file: ../a-1-py3-none-any.whl 1000", 14, "a has another line"),
        ("# file: a-1-py3-none-any.whl 1000", "# file: a-1-py3-none-any.whl", 14, "a has another line"),
        ("    # requires: b>=1", "    # required: b>=1", 15, "unknown line at a"),
        ("    # requires: b>=1", "    --hash=sha256:12", 15, "unknown line at a"),
        (
            "    # via z\n",
            "    # via z\n    # via z\n",
            18,
            "`via` lines of b are not sorted, or one is there twice",
        ),
        ("    # via z\n", "    # via a\n    # via z\n", 21, "a line is not as it was written"),
        ("# python: 3.11.2\n", "", 1, "does not name its python"),
        ("# python: 3.11.2", "# python: 3.11.2\n# python: 3.11.3", 4, "names python twice"),
        ("# glibc: 2.36", "# musl: 1", 5, "unknown line in the header: # musl: 1"),
        ("# request: a==1\n", "# request: z\n", 1, "requests in the header are not sorted"),
        ("a==1 \\", "a==1", 12, "a pin begins otherwise"),
        ("a==1 \\", "A==1 \\", 11, "a pin begins otherwise"),
        ("a==1 \\", "-r other.txt", 11, "a pin begins otherwise"),
        ("# a\n", "", 11, "a pin begins otherwise"),
        ("    # via z\n", "    #  via z\n", 21, "unknown line at b"),
        ("\n\n# b\n", "\n\n\n# b\n", 17, "a pin begins otherwise"),
        ("    # via z\n", "    # via z \n", 21, "unknown line at b"),
    ],
)
def test_edits_by_hand_are_errors(old: str, new: str, line: int, words: str) -> None:
    assert GOOD.count(old)
    with pytest.raises(StackbuildError) as caught:
        loads(GOOD.replace(old, new, 1), "locks/x/linux-amd64.pip.txt")
    text = str(caught.value)
    assert words in text
    assert f"locks/x/linux-amd64.pip.txt:{line}\n" in text
    assert "next: " in text


def test_a_name_twice_is_an_error() -> None:
    twice = GOOD + "\n" + "\n".join(GOOD.splitlines()[10:15]) + "\n"
    with pytest.raises(StackbuildError, match="a is pinned twice"):
        loads(twice, "x")


def test_windows_line_ends_and_a_missing_last_one_are_errors() -> None:
    for text in (GOOD.replace("\n", "\r\n"), GOOD[:-1], GOOD + "\n", ""):
        with pytest.raises(StackbuildError):
            loads(text, "x")


def test_another_format_is_refused_in_words() -> None:
    with pytest.raises(StackbuildError, match="not a pip lock of format 2: x"):
        loads(GOOD.replace("stackbuild-lock: 2", "stackbuild-lock: 3"), "x")


def test_all_problems_come_at_once() -> None:
    broken = GOOD.replace("--hash=sha256:", "--hash=sha256:0").replace("    # requires:", "    # needs:")
    with pytest.raises(StackbuildError) as caught:
        loads(broken, "x")
    assert str(caught.value).startswith("3 problems")


def merged(tmp_path: Path, base: str, ours: str, theirs: str) -> tuple[int, str]:
    for name, text in (("base", base), ("ours", ours), ("theirs", theirs)):
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["git", "merge-file", "-p", "ours", "base", "theirs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_neighbouring_bumps_merge(tmp_path: Path) -> None:
    """Every pair of bumps, each of which changes every line of its pin and its request."""

    def made(bumped: frozenset[int]) -> PipLock:
        versions = {n: "2" if n in bumped else "1" for n in range(6)}
        pins = [
            pin(
                f"p{n}",
                version,
                f"q>={version}",
                f"r{version}",
                via=(f"by{version}", "stacks.toml"),
                seed=version,
            )
            for n, version in versions.items()
        ]
        return lock(*pins, request=tuple(f"p{n}=={version}" for n, version in versions.items()))

    base = dumps(made(frozenset()))
    for one, two in itertools.permutations(range(6), 2):
        conflicts, text = merged(tmp_path, base, dumps(made(frozenset({one}))), dumps(made(frozenset({two}))))
        assert conflicts == 0
        assert loads(text, "merged") == made(frozenset({one, two}))


def test_what_comes_and_what_goes_does_not_touch_its_neighbours(tmp_path: Path) -> None:
    """A rehearsal of a year of bumps conflicted here: greenlet went beside h5py, which moved."""
    base = lock(pin("g", "1"), pin("h", "1"), pin("j", "1"))
    goes = lock(pin("h", "1"), pin("j", "1"))
    moves = lock(pin("g", "1"), pin("h", "2"), pin("j", "1"))
    comes = lock(pin("g", "1"), pin("h", "1"), pin("i", "1"), pin("j", "1"))
    behind = lock(pin("g", "1"), pin("h", "1"), pin("j", "2"))
    for one, two, wanted in (
        (goes, moves, lock(pin("h", "2"), pin("j", "1"))),
        (comes, moves, lock(pin("g", "1"), pin("h", "2"), pin("i", "1"), pin("j", "1"))),
        (comes, behind, lock(pin("g", "1"), pin("h", "1"), pin("i", "1"), pin("j", "2"))),
    ):
        for ours, theirs in ((one, two), (two, one)):
            conflicts, text = merged(tmp_path, dumps(base), dumps(ours), dumps(theirs))
            assert conflicts == 0
            assert loads(text, "merged") == wanted


def test_who_asks_changes_no_line_of_what_is_asked_for(tmp_path: Path) -> None:
    """That rehearsal conflicted here as well: pandas moved, which one bump began to ask for, and another no more."""

    def made(x: str, y: str, z: str) -> PipLock:
        asks = {"x": x == "1", "y": y == "2"}
        asked = pin("p", z, *(["q>=1"] if z == "1" else []), via=tuple(name for name, true in asks.items() if true))
        return lock(
            asked,
            pin("x", x, *(["p"] if asks["x"] else [])),
            pin("y", y, *(["p"] if asks["y"] else [])),
            request=(f"x=={x}", f"y=={y}"),
        )

    base = dumps(made("1", "1", "1"))
    conflicts, text = merged(tmp_path, base, dumps(made("2", "1", "1")), dumps(made("1", "2", "1")))
    assert conflicts == 0
    conflicts, text = merged(tmp_path, base, text, dumps(made("1", "1", "2")))
    assert conflicts == 0
    (asked, *_) = loads(text, "merged").pins
    assert (asked.version, asked.via) == ("2", ("y",))


@given(locks())
def test_the_format_before_is_read_as_it_is(found: PipLock) -> None:
    old = replace(found, form="1")
    text = dumps(old)
    assert loads(text, "x") == found and dumps(loads(text, "x")) == text
    lines = text.splitlines()
    for one in found.pins:
        assert lines[pin_line(old, one.name) - 1].startswith(f"{one.name}==")
        assert f"    # via {one.via[0]}" in lines if one.via else True


def test_a_bump_that_adds_and_one_that_removes_merge(tmp_path: Path) -> None:
    base = lock(pin("a", "1"), pin("b", "1"), pin("d", "1"))
    adds = lock(pin("a", "1"), pin("b", "1"), pin("c", "1"), pin("d", "1"))
    removes = lock(pin("b", "1"), pin("d", "1"))
    conflicts, text = merged(tmp_path, dumps(base), dumps(adds), dumps(removes))
    assert conflicts == 0
    assert loads(text, "merged") == lock(pin("b", "1"), pin("c", "1"), pin("d", "1"))


def test_loading_imports_little() -> None:
    code = "import sys, builder.kinds.pip.lockfile; print({'packaging', 'requests', 'uv', 'pip'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_real_installers_read_it(
    tool: str, tmp_path: Path, store: Store, index: Any, environ: dict[str, str]
) -> None:
    """`--require-hashes` accepts the right file and refuses a changed digest."""
    import hashlib

    from builder.kinds.pip.uv import binary

    data = index.wheel("tiny", "1.0")
    digest = Digest("sha256:" + hashlib.sha256(data).hexdigest())
    one = Pin(
        kind="pip", name="tiny", version="1.0", filename="tiny-1.0-py3-none-any.whl", digest=digest, size=len(data)
    )
    wrong = Pin(
        kind="pip", name="tiny", version="1.0", filename=one.filename, digest=Digest.of(b"other"), size=len(data)
    )
    program = [sys.executable, "-m", "pip", "install"] if tool == "pip" else [binary(), "pip", "install"]
    program += ["--python", sys.executable, "--no-cache"] if tool == "uv" else ["--no-cache-dir"]
    more = {"UV_DEFAULT_INDEX": index.url, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": "/dev/null"}
    for number, (one_pin, status) in enumerate([(one, 0), (wrong, 1)]):
        path = tmp_path / f"{number}.txt"
        path.write_text(dumps(lock(one_pin)))
        done = subprocess.run(
            [
                *program,
                "--require-hashes",
                "--no-deps",
                "--target",
                str(tmp_path / f"to{number}"),
                "-r",
                str(path),
            ],
            env={**environ, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == bool(status), done.stderr
