"""Locks from the registry that this machine's npm has."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.errors import StackbuildError, Unreachable
from builder.kinds.npm import npm as program
from builder.kinds.npm import places
from builder.kinds.npm.failure import told
from builder.kinds.npm.lockfile import NpmLock, dumps, loads
from builder.kinds.npm.resolve import Means
from builder.net import Client
from builder.store import Store
from builder.user_config import environment
from tests.kinds.npm.conftest import Npm

REQUEST = ("debug>=4.3.4", "@sindresorhus/is>=5", "semver>=7")


def versions(lock: NpmLock) -> dict[str, str]:
    return {package.title: package.version for package in lock.packages}


@pytest.fixture(scope="module")
def old(npm: Npm) -> NpmLock:
    """Ranges, as they were answered when these versions were new."""
    exact = npm.lock("debug==4.3.4", "@sindresorhus/is==5.3.0", "semver==7.5.1")
    return npm.lock(*REQUEST, existing=exact)


def test_a_lock_holds_what_its_tarballs_are(npm: Npm, old: NpmLock) -> None:
    assert versions(old) == {
        "@sindresorhus/is": "5.3.0", "debug": "4.3.4", "debug/ms": "2.1.2", "semver": "7.5.1",
        "semver/lru-cache": "6.0.0", "semver/yallist": "4.0.0",
    }  # fmt: skip
    for pin in old.pins:
        assert npm.means.store.checked(npm.means.store.source(pin.digest)).stat().st_size == pin.size
    assert {pin.name: pin.filename for pin in old.pins}["@sindresorhus/is"] == "@sindresorhus/is/-/is-5.3.0.tgz"


def test_no_registry_is_named(old: NpmLock) -> None:
    """Only the path below it is."""
    text = dumps(old)
    assert "://" not in text
    assert "resolved" not in text
    assert loads(text, "x") == old


def test_a_pin_stays_while_it_answers(npm: Npm, old: NpmLock) -> None:
    again = npm.lock(*REQUEST, existing=old)
    assert dumps(again) == dumps(old)
    further = npm.lock(*REQUEST, "is-number==7.0.0", existing=old)
    assert versions(further) == {**versions(old), "is-number": "7.0.0"}
    less = npm.lock("debug>=4.3.4", existing=old)
    assert versions(less) == {"debug": "4.3.4", "debug/ms": "2.1.2"}


def test_upgrade_moves_a_name_and_what_it_forces(npm: Npm, old: NpmLock) -> None:
    upgrade = frozenset({"semver"})
    moved = npm.lock(*REQUEST, existing=old, upgrade=upgrade)
    now, was = versions(moved), versions(old)
    assert now["semver"] != was["semver"]
    assert {name for name in now if now[name] != was.get(name)} <= {"semver"}


def test_platforms_differ_in_what_is_optional(npm: Npm) -> None:
    run = frozenset({"esbuild"})
    amd, arm = (npm.lock("esbuild==0.24.0", platform=one, run=run) for one in ("linux/amd64", "linux/arm64"))
    assert set(versions(amd)) == {"esbuild", "esbuild/@esbuild/linux-x64"}
    assert set(versions(arm)) == {"esbuild", "esbuild/@esbuild/linux-arm64"}
    other = npm.lock("esbuild==0.24.0", platform="linux/arm64", run=run, existing=amd)
    assert dumps(other) == dumps(arm)


def test_the_answer_is_for_the_nodejs_of_the_image(npm: Npm) -> None:
    """npm prefers what fits the Node.js that it runs on, which is this machine's."""
    old, new = (npm.lock("commander>=10,<14.0.3", node=one) for one in ("18.20.4", "20.19.0"))
    assert versions(old) == {"commander": "13.1.0"}
    assert versions(new)["commander"] == "14.0.2"


def test_a_script_that_nobody_decided_about(npm: Npm) -> None:
    with pytest.raises(StackbuildError, match=r"bufferutil@4\.0\.8 has an install script"):
        npm.lock("bufferutil==4.0.8")
    found = npm.lock("bufferutil==4.0.8", ignore=frozenset({"bufferutil"}))
    assert [one.title for one in found.packages if one.scripted] == ["bufferutil"]


def test_a_child_adds_only_what_its_ancestors_lack(npm: Npm, old: NpmLock) -> None:
    child = npm.lock("debug", "is-number==7.0.0", inherited=(("base", old),), image="child")
    assert versions(child) == {"is-number": "7.0.0"}
    with pytest.raises(StackbuildError, match="child may not move its parent"):
        npm.lock("debug==4.3.1", inherited=(("base", old),), image="child")


def test_a_version_that_is_not_there(npm: Npm) -> None:
    with pytest.raises(StackbuildError) as caught:
        npm.lock("is-number==1000.0.0")
    assert caught.value.lines() == [
        "no such npm package: is-number@1000.0.0",
        "  test",
        "  got: No matching version found for is-number@1000.0.0.",
        "  next: ask for another version in stacks.toml, then: stackbuild lock",
    ]


def test_a_version_that_the_cutoff_hides(npm: Npm) -> None:
    with pytest.raises(StackbuildError, match=r"no such npm package: is-number@7\.0\.0") as caught:
        npm.lock("is-number==7.0.0", before=datetime(2015, 1, 1, tzinfo=UTC))
    assert "move exclude-newer" in caught.value.next_step


def test_a_name_that_is_not_there(npm: Npm) -> None:
    with pytest.raises(StackbuildError, match="no such npm package: stackbuild-has-no-such-package") as caught:
        npm.lock("stackbuild-has-no-such-package")
    assert "://" not in str(caught.value)


def test_a_conflict_of_peers(npm: Npm) -> None:
    with pytest.raises(StackbuildError, match="no solution: npm, test") as caught:
        npm.lock("react-dom==18.2.0", "react==17.0.2")
    assert 'peer react@"^18.2.0" from react-dom@18.2.0' in caught.value.got
    assert "--force" not in str(caught.value)


def test_peers_lie_beside_what_asks_for_them(npm: Npm) -> None:
    found = npm.lock("react-dom==18.2.0")
    assert {package.title for package in found.packages if package.top} == {"react-dom", "react"}


def test_an_unreachable_registry(store: Store, npm_program: str) -> None:
    environ = {**environment(os.environ), "STACKBUILD_NPM_REGISTRY": "http://127.0.0.1:9"}
    with pytest.raises(Unreachable, match="npm cannot reach its registry: test"):
        Npm(Means(client=Client(), store=store, environ=environ)).lock("ms")


def test_without_npm_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="npm is not installed here") as caught:
        program.registry({"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert "STACKBUILD_NPM_REGISTRY" in caught.value.next_step
    assert program.registry({"STACKBUILD_NPM_REGISTRY": "https://user:secret@npm.example/x/"}).endswith("npm.example/x")


def test_a_registry_must_be_a_url() -> None:
    with pytest.raises(StackbuildError, match="no http or https URL") as caught:
        program.registry({"STACKBUILD_NPM_REGISTRY": "ftp://user:secret@x"})
    assert "secret" not in str(caught.value)


def test_places(old: NpmLock) -> None:
    (pin,) = [pin for pin in old.pins if pin.name == "@sindresorhus/is"]
    url = places.url("https://npm.example/base", pin.filename)
    assert url == "https://npm.example/base/@sindresorhus/is/-/is-5.3.0.tgz"


@pytest.mark.parametrize("said", ["", "nonsense", "[]", '{"error": 1}', '{"error": {"code": "EWHATEVER"}}'])
def test_whatever_npm_says_is_an_error_in_words(said: str) -> None:
    error = told(said, "cannot go on: https://user:secret@host/x?token=1", "img", "npm install", cutoff=False)
    assert error.what == "npm failed: img"
    assert "secret" not in str(error)


def test_network_errors_are_no_wrong_request() -> None:
    said = '{"error": {"code": "ENOTFOUND", "summary": "request to https://host/ms failed"}}'
    assert isinstance(told(said, "", "img", "npm install", cutoff=False), Unreachable)
