"""The text of a lock: one for each lock, npm's own format, and nothing but what we wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import StackbuildError
from builder.kinds.npm.lockfile import NpmLock, dumps, loads, lock
from tests.conftest import Golden
from tests.kinds.npm.conftest import Npm, package, tree

LOCK = lock(
    ("@s/c>=1,<2", "ancestors-have-it", "ms==2.1.3"),
    tree(
        package("node_modules/ms", "2.1.3", license="MIT", bin={"ms": "bin/ms.js"}, engines={"node": ">=4"}),
        replace(
            package("node_modules/@s/c", "1.4.0", hasInstallScript=True, dependencies={"ms": "^1", "in": "1"}),
            path="download/@s/c/1.4.0/abc",
            elsewhere={"win": "1.0.0"},
        ),
        package("node_modules/@s/c/node_modules/ms", "1.0.0"),
        replace(
            package("node_modules/@s/c/node_modules/in", inBundle=True), integrity="", digest=None, size=0, path=""
        ),
        replace(package("node_modules/@s/c/node_modules/alias", "3.0.0"), name="real", path="real/-/real-3.0.0.tgz"),
    ),
    "18.20.4",
    "linux/amd64",
)


def test_text(golden: Golden) -> None:
    golden("npm-lock.json", dumps(LOCK))


def test_loads_gives_back_what_dumps_got() -> None:
    found = loads(dumps(LOCK), "x.npm-lock.json")
    assert found == LOCK
    assert [pin.name for pin in found.pins] == ["@s/c", "@s/c/alias", "@s/c/ms", "ms"]
    assert {pin.filename for pin in found.pins} == {
        "download/@s/c/1.4.0/abc", "real/-/real-3.0.0.tgz", "ms/-/ms-1.0.0.tgz", "ms/-/ms-2.1.3.tgz"
    }  # fmt: skip


NAMES = st.from_regex(r"(@[a-z]{1,3}/)?[a-z][a-z0-9.-]{0,5}", fullmatch=True)


@given(st.dictionaries(NAMES, st.tuples(st.integers(0, 99), st.lists(NAMES, max_size=2)), max_size=5))
def test_round_trip(shape: dict[str, tuple[int, list[str]]]) -> None:
    packages = {}
    for name, (major, needs) in shape.items():
        packages[f"node_modules/{name}"] = package(f"node_modules/{name}", f"{major}.0.0")
        for need in needs:
            packages[f"node_modules/{name}/node_modules/{need}"] = package(f"node_modules/{name}/node_modules/{need}")
    made = lock(tuple(sorted(f"{name}>={one[0]}" for name, one in shape.items())), packages, "20.1.0", "linux/arm64")
    assert loads(dumps(made), "x") == made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"node_modules/ms"', '"../../etc/ms"'),
        ('"node_modules/ms"', '"node_modules/../ms"'),
        ('"node_modules/ms"', '"node_modules/a\\\\b"'),
        ('"node_modules/ms"', '"etc/node_modules/ms"'),
        ('"bin/ms.js"', '"../../../bin/sh"'),
        ('"bin/ms.js"', '"/bin/sh"'),
        ('{\n        "ms": "bin/ms.js"', '{\n        "../ms": "bin/ms.js"'),
        ("download/@s/c/1.4.0/abc", "../../secret"),
        ('"sha512-', '"sha1-'),
        ('"size": 8', '"size": -8'),
        ('"size": 8', '"size": "8"'),
        ('"license": "MIT"', '"license":  "MIT"'),
        ('"version": "2.1.3"', '"version": "2.1.3", "version": "2.1.3"'),
        ('"version": "2.1.3"', '"version": "-2/x"'),
        ('"requires": true', '"requires": false'),
        ('"ms": "2.1.3"', '"ms": "2.1.4"'),
        ("  }\n}\n", "  }\n}"),
        ("  }\n}\n", "  }\n"),
        ('"dependencies": {\n        "ms": "^1"', '"dependencies": {\n        "ms": 1'),
    ],
)
def test_a_changed_text_is_refused(old: str, new: str) -> None:
    text = dumps(LOCK)
    assert old in text
    with pytest.raises(StackbuildError) as caught:
        loads(text.replace(old, new, 1), "locks/a/linux-amd64.npm-lock.json")
    assert caught.value.what


def test_the_changed_line_is_named() -> None:
    text = dumps(LOCK).replace('"ms": "2.1.3"', '"ms": "2.1.4"')
    with pytest.raises(StackbuildError, match="lock is damaged") as caught:
        loads(text, "locks/a.npm-lock.json")
    line = text.splitlines().index('        "ms": "2.1.4"') + 1
    assert caught.value.where == f"locks/a.npm-lock.json:{line}"
    assert "git checkout -- locks/a.npm-lock.json" in caught.value.next_step


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"stackbuild": {"format": 1}}'])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(StackbuildError, match="lock is damaged"):
        loads(text, "x")


def test_other_formats_are_told() -> None:
    with pytest.raises(StackbuildError, match="another format"):
        loads(dumps(LOCK).replace('"format": 1', '"format": 2'), "x")


def test_npm_takes_a_lock_as_it_stands(npm: Npm, tmp_path: Path) -> None:
    """`npm ci` refuses a lock that does not answer its package.json, or lacks an optional dependency."""
    found: NpmLock = npm.lock("esbuild==0.24.0", "is-number>=7,<8", run=frozenset({"esbuild"}))
    text = dumps(found)
    document = json.loads(text)
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": document["packages"][""]["dependencies"]}))
    (tmp_path / "package-lock.json").write_text(text)
    done = npm.run(tmp_path, "ci", "--ignore-scripts")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "package-lock.json").read_text() == text
    there = {path.parent for path in tmp_path.rglob("package.json")}
    assert there >= {tmp_path / one.location for one in found.packages}
    assert npm.run(tmp_path, "ls", "--all").returncode == 0
