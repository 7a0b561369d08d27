"""The text of a lock: ours and conda-lock's are one, other tools read it, and nothing else is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import HostileInput
from builder.kinds.conda.document import CondaLock, with_via
from builder.kinds.conda.lockfile import dumps, line_of, loads, render, request_line
from builder.kinds.conda.record import Record, checked

MAIN = ("main", "https://conda.example.com/main")


def record(name: str = "numpy", **more: Any) -> Record:
    fields: dict[str, Any] = {
        "channel": "main",
        "subdir": "linux-64",
        "name": name,
        "version": "2.1.0",
        "build": "py312h58c1407_0",
        "md5": "0" * 32,
        "sha256": "1" * 64,
        "size": 8_000_000,
        **more,
    }
    fields.setdefault("file", f"{name}-{fields['version']}-{fields['build']}.conda")
    return checked(Record(**fields))


def lock(*records: Record, request: tuple[str, ...] = ("numpy>=2",), **more: Any) -> CondaLock:
    pins = [one.pin(("numpy==2.1.0",) if one.name == "numpy" else ()) for one in records or (record(),)]
    fields: dict[str, Any] = {
        "request": request,
        "pins": tuple(sorted(pins, key=lambda pin: pin.name)),
        "subdir": "linux-64",
        "channels": (MAIN,),
        "virtual": ("__glibc==2.36", "__unix==0"),
        **more,
    }
    return with_via(CondaLock(**fields))


FULL = lock(
    record(depends=("libblas >=3.9,<4.0a0", "python >=3.12,<3.13.0a0", "python_abi 3.12.* *_cp312")),
    record(
        "libblas",
        version="3.9.0",
        build="31_h59b9bed_openblas",
        constrains=("blas 2.131   openblas".replace("   ", " "),),
    ),
    record("pure", subdir="noarch", noarch="python", build="pyhd8ed1ab_1", depends=("python", "python >=3.9")),
    record("python", version="3.13.0", build="h1_0_cp313t", site_packages="lib/python3.13t/site-packages"),
    request=("numpy==2.1.0", "pure", "python"),
)


def test_conda_lock_writes_what_we_render() -> None:
    text = dumps(FULL)
    assert text == render(FULL)
    assert loads(text, "numpy.conda-lock.yml") == FULL


_WORD = st.from_regex(r"[a-z0-9_]([a-z0-9._-]{0,20}[a-z0-9_])?", fullmatch=True).filter(
    lambda text: not text.startswith("__")
)
_SPEC = st.builds(
    "{} {}".format,
    _WORD,
    st.sampled_from([">=1,<2", "1.*", "==1.0 py_0", "[when='python >=3']", "*", ">=" + "1." * 60]),
)


@st.composite
def _locks(draw: st.DrawFn) -> CondaLock:
    names = draw(st.lists(_WORD, unique=True, max_size=4))
    records = [
        record(
            name,
            version=draw(st.sampled_from(["1.0", "2024a", "1!2.0+3", "1e5", "0x10", "0o17", "1e", "1_000", "007"])),
            build=draw(st.sampled_from(["0", "py_0", "1e3", "h1_0"])),
            noarch=draw(st.sampled_from(["", "python", "generic"])),
            md5=draw(st.sampled_from(["0" * 32, "1" * 32, "12345678901234567890123456789e12"[:32].ljust(32, "0")])),
            depends=tuple(sorted(set(draw(st.lists(_SPEC, max_size=4))))),
            constrains=tuple(sorted(set(draw(st.lists(_SPEC, max_size=2))))),
            size=draw(st.integers(1, 10**12)),
        )
        for name in names
    ]
    request = tuple(sorted(set(draw(st.lists(st.builds("{}>=1".format, _WORD), max_size=3)))))
    return lock(*records, request=request) if records else lock(request=request, pins=())


@settings(max_examples=40)
@given(_locks())
def test_every_lock_is_read_back_and_is_conda_locks_text(some: CondaLock) -> None:
    text = dumps(some)
    assert text == render(some)
    assert loads(text, "x") == some


def test_conda_locks_own_parser_reads_it(tmp_path: Path) -> None:
    from conda_lock.lockfile import parse_conda_lock_file  # type: ignore[import-untyped]

    path = tmp_path / "linux-amd64.conda-lock.yml"
    path.write_text(dumps(FULL))
    found = parse_conda_lock_file(path)
    assert {one.name: (one.version, one.build, one.url) for one in found.package} == {
        pin.name: (pin.version, pin.field("build"), f"{MAIN[1]}/{pin.filename}") for pin in FULL.pins
    }
    assert all(one.hash.sha256 == "1" * 64 and one.platform == "linux-64" for one in found.package)
    numpy = next(one for one in found.package if one.name == "numpy")
    assert numpy.dependencies["python_abi"] == "3.12.* *_cp312"
    assert found.metadata.custom_metadata["request"].split() == ["numpy==2.1.0", "pure", "python"]


def test_rattler_reads_it(tmp_path: Path) -> None:
    """In a process of its own, for rattler can crash while the interpreter exits."""
    path = tmp_path / "linux-amd64.conda-lock.yml"
    path.write_text(dumps(FULL))
    program = (
        "import json, os, sys, rattler\n"
        "found = rattler.LockFile.from_path(sys.argv[1])\n"
        "((_, environment),) = found.environments()\n"
        "(platform,) = environment.platforms()\n"
        "rows = {one.name: one.location for one in environment.packages(platform)}\n"
        "print(json.dumps([platform.name, rows])); sys.stdout.flush(); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    platform, rows = json.loads(done.stdout)
    assert platform == "linux-64"
    assert rows == {pin.name: f"{MAIN[1]}/{pin.filename}" for pin in FULL.pins}


def test_reading_imports_nothing_slow() -> None:
    program = (
        "import sys; from builder.kinds.conda.lockfile import loads; loads(sys.stdin.read(), 'x')\n"
        "assert not {'conda_lock', 'rattler', 'pydantic', 'requests', 'networkx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], input=dumps(FULL), text=True, check=True)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("version: 2.1.0", "version: 2.1.1", "  url", "numpy-2.1.1-py312h58c1407_0.conda"),
        ("    sha256: '1111", "    sha256: '111", "  url", "111"),
        ("    md5: '0000", "    md5: 'x000", "  url", "x000"),
        ("  manager: conda", "  manager: pip", "manager: pip", "manager: conda"),
        ("  category: main", "  category: dev", "category: dev", "category: main"),
        ("  - linux-64\n", "  - win-64\n", "content_hash", "win-64"),
        ("size 8000000", "size 8000000x", "pin libblas", "size"),
        ("size 8000000", "weight 8000000", "pin libblas", "size, noarch"),
        ("pypi numpy==2.1.0", "pypi numpy", "pin numpy", "pypi"),
        (
            "url: https://conda.example.com/main/linux-64/numpy",
            "url: https://evil.example.com/numpy",
            "evil",
            "channels",
        ),
        ("main https://conda.example.com", "main https://u:secret@conda.example.com", "u:secret@", "without user"),
        ("format: '1'", "format: '2'", "format", "format 1"),
        ("linux-64/numpy-2.1.0-py312h58c1407_0.conda", "linux-64/../../x.conda", "../../x.conda", ""),
        ("  dependencies: {}", "  dependencies: []", "name: libblas", "dependencies"),
        ("build: py312h58c1407_0", "build: 'py312 h'", "  url", "py312 h"),
        ("version: 1\n", "version: 1\nversion: 1\n", "version", ""),
        ("version: 1\n", "version: 1  # by hand\n", "by hand", "version: 1"),
        ("      __unix==0\n", "      __a==0\n", "virtual", "sorted"),
    ],
)
def test_a_lock_edited_by_hand_is_refused_with_the_line(old: str, new: str, line: str, says: str) -> None:
    text = dumps(FULL)
    assert old in text
    edited = text.replace(old, new, 1)
    with pytest.raises(HostileInput) as caught:
        loads(edited, "locks/x/linux-amd64.conda-lock.yml")
    assert caught.value.what == "lock is damaged"
    assert says in caught.value.expected + caught.value.got
    place, _, number = caught.value.where.rpartition(":")
    assert place == "locks/x/linux-amd64.conda-lock.yml"
    near = "\n".join(edited.split("\n")[max(0, int(number) - 3) : int(number) + 1])
    assert line in near, (number, near)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "version: 1\n", "a: [", "&a [*a]", "%", "\x00", "a: " + "[" * 3000, "- 1"]
)
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(HostileInput, match="lock is damaged"):
        loads(text, "x")


def test_a_lock_cut_off_is_refused() -> None:
    lines = dumps(FULL).split("\n")
    for count in range(0, len(lines) - 1, 7):
        with pytest.raises(HostileInput):
            loads("\n".join(lines[:count]), "x")


def test_two_packages_of_one_name_are_refused() -> None:
    text = dumps(FULL)
    start = text.index("- name: libblas")
    entry = text[start : text.index("- name: numpy")]
    with pytest.raises(HostileInput, match="lock is damaged"):
        loads(text.replace(entry, entry * 2), "x")


def test_bumps_of_neighbours_merge(tmp_path: Path) -> None:
    """Of two branches, one moves libblas and one numpy, in request, pins and what stands beside them."""
    base = FULL
    moved = {
        name: lock(
            *(
                record(
                    pin.name,
                    version="9.9" if pin.name == name else pin.version,
                    build=pin.field("build"),
                    size=9 if pin.name == name else pin.size,
                )
                for pin in base.pins
            ),
            request=("numpy==2.1.0", "pure", "python"),
        )
        for name in ("libblas", "numpy")
    }
    plain = lock(
        *(record(pin.name, version=pin.version, build=pin.field("build"), size=pin.size) for pin in base.pins),
        request=base.request,
    )
    files = [tmp_path / name for name in ("ours", "base", "theirs")]
    for path, one in zip(files, (moved["libblas"], plain, moved["numpy"]), strict=True):
        path.write_text(dumps(one))
    done = subprocess.run(["git", "merge-file", "-p", *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    merged = loads(done.stdout, "x")
    assert {pin.name: pin.version for pin in merged.pins if pin.version == "9.9"} == {"libblas": "9.9", "numpy": "9.9"}


def test_lines_are_found() -> None:
    text = dumps(FULL)
    lines = text.split("\n")
    assert lines[line_of(text, "numpy") - 1] == "- name: numpy"
    assert lines[request_line(text, "pure") - 1].strip() == "pure"
    assert line_of(text, "nobody") == 1
