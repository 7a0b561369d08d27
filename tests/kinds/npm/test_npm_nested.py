"""Trees that a package keeps in folders of its own: locked from its shrinkwrap, checked, laid below the folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from builder.errors import HostileInput, StackbuildError
from builder.kinds.npm import lay, nested
from builder.kinds.npm.check import problems
from builder.kinds.npm.lay import document, layings, of_document
from builder.kinds.npm.lockfile import NpmLock, dumps, loads
from builder.kinds.npm.part import tree
from builder.kinds.npm.resolve import Means
from builder.net import Client
from builder.store import Store
from builder.user_config import environment
from tests.kinds.npm.conftest import Npm, package, stored, tarball, wanted
from tests.kinds.npm.local_registry import LocalRegistry, local_registry

ELSEWHERE = "https://registry.example"
"""Another host than the one that the tests' registry has: it must never be asked."""
FOLDER = "app/lib/code"
Entries = dict[str, dict[str, Any]]


def resolved(name: str, version: str = "1.0.0") -> str:
    return f"{ELSEWHERE}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


class Bench:
    """A registry, an npm that reaches it, and a package `app` with whatever nested tree a test wants."""

    def __init__(self, registry: LocalRegistry, store: Store) -> None:
        self.registry, self.store = registry, store
        environ = environment({**os.environ, "STACKBUILD_NPM_REGISTRY": registry.url})
        self.npm = Npm(Means(client=Client(), store=store, environ=environ))

    def publish(self, name: str, **manifest: Any) -> dict[str, Any]:
        """Add a package; what a shrinkwrap says of it."""
        integrity = self.registry.publish(name, "1.0.0", {"x.js": f"// {name}"}, **manifest)
        listed: dict[str, Any] = {key: manifest[key] for key in ("dependencies", "os", "bin") if key in manifest}
        return {"version": "1.0.0", "resolved": resolved(name), "integrity": integrity, **listed}

    def app(
        self, packages: Entries, needs: dict[str, str], files: dict[str, str] | None = None, **manifest: Any
    ) -> None:
        """Publish `app`, whose folder lib/code pins these packages."""
        own = {
            "lib/code/package.json": json.dumps({"dependencies": needs, **manifest}),
            "lib/code/npm-shrinkwrap.json": json.dumps({"lockfileVersion": 3, "packages": packages}),
        }
        self.registry.publish("app", "1.0.0", {**own, **(files or {})}, bin={"app": "lib/code/package.json"})

    def lock(self, **fields: Any) -> NpmLock:
        return self.npm.lock("app==1.0.0", nested=(FOLDER,), **fields)

    def laid(self, lock: NpmLock) -> dict[str, str]:
        """Path → what an entry is, of all trees."""
        found = [
            of_document(json.loads(json.dumps(document(one))), one.package.digest)
            for within, every in lock.trees.items()
            for one in layings(every.values(), every, {"app"} if not within else ())
            if one.package.digest
        ]
        with self.store.workspace() as scratch:
            entries = tree(self.store, found, "/opt/npm", scratch)
        return {one.path.removeprefix("opt/npm/"): one.target or one.kind for one in entries if one.kind != "dir"}


@pytest.fixture
def bench(npm_program: str, store: Store) -> Iterator[Bench]:
    with local_registry() as registry:
        yield Bench(registry, store)


@pytest.fixture(scope="module")
def sound(npm_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, NpmLock]]:
    """What is required, what that requires, one for another platform, one for development only; and its lock."""
    with local_registry() as registry:
        bench = Bench(registry, Store.open(tmp_path_factory.mktemp("nested") / "store"))
        _publish_sound(bench)
        yield bench, bench.lock()


def _publish_sound(bench: Bench) -> None:
    bench.app(
        {
            "": {"name": "code"},
            "node_modules/outer": bench.publish("outer", dependencies={"@s/inner": "^1"}, bin={"outer": "x.js"}),
            "node_modules/outer/node_modules/@s/inner": bench.publish("@s/inner"),
            "node_modules/wish": {**bench.publish("wish", os=["win32"]), "optional": True},
            "node_modules/tool": {**bench.publish("tool"), "dev": True},
            "node_modules/stray": bench.publish("stray"),
        },
        {"outer": "^1"},
        optionalDependencies={"wish": "*"},
        devDependencies={"tool": "*"},
    )


def test_a_nested_tree_is_locked_and_laid_below_its_folder(sound: tuple[Bench, NpmLock]) -> None:
    bench, found = sound
    assert [pin.name for pin in found.pins] == ["app", f"{FOLDER}:outer", f"{FOLDER}:outer/@s/inner"]
    laid = bench.laid(found)
    assert {path for path in laid if path.startswith("lib/node_modules/app/lib/code/node_modules/")} == {
        f"lib/node_modules/app/lib/code/node_modules/{path}"
        for path in (
            ".bin/outer", "outer/package.json", "outer/x.js", "outer/node_modules/@s/inner/package.json",
            "outer/node_modules/@s/inner/x.js",
        )
    }  # fmt: skip
    assert laid["lib/node_modules/app/lib/code/node_modules/.bin/outer"] == "../outer/x.js"
    assert [path for path in laid if path.startswith("bin/")] == ["bin/app"], "nested programs are not for users"


def test_all_is_fetched_from_the_registry_of_this_machine(sound: tuple[Bench, NpmLock]) -> None:
    """The shrinkwrap names another host."""
    bench, found = sound
    text = dumps(found)
    assert "://" not in text and "127.0.0.1" not in text
    assert "/@s/inner/-/inner-1.0.0.tgz" in bench.registry.asked
    assert "/stray/-/stray-1.0.0.tgz" not in bench.registry.asked, "nothing requires it"


def test_the_lock_has_one_text_and_npm_sees_nothing_of_nested_trees(sound: tuple[Bench, NpmLock]) -> None:
    _, found = sound
    text = dumps(found)
    assert loads(text, "x") == found
    assert list(json.loads(text)) == ["name", "lockfileVersion", "requires", "stackbuild", "packages", "nested"]
    with pytest.raises(HostileInput):
        loads(text.replace(f'"{FOLDER}"', '"app/../../etc"'), "x")
    with pytest.raises(HostileInput):
        loads(text.replace('"node_modules/outer": {\n          "v', '"../outer": {\n          "v'), "x")


def test_what_is_kept_is_not_fetched_again(sound: tuple[Bench, NpmLock]) -> None:
    bench, found = sound
    asked = len(bench.registry.asked)
    assert dumps(bench.lock(existing=found)) == dumps(found)
    assert not [path for path in bench.registry.asked[asked:] if path.endswith(".tgz")]


def test_a_lock_without_what_it_needs_is_none(sound: tuple[Bench, NpmLock]) -> None:
    _, found = sound
    asked = wanted("app==1.0.0", nested=(FOLDER,))
    assert problems(found, asked) == []
    (own,) = found.nested
    gone = replace(own, packages=tuple(one for one in own.packages if one.name != "@s/inner"))
    (problem,) = problems(replace(found, nested=(gone,)), asked)
    assert "outer@1.0.0 in app/lib/code needs @s/inner ^1" in str(problem)
    (problem,) = problems(replace(found, nested=(replace(own, packages=()),)), asked)
    assert "app/lib/code needs outer" in str(problem)
    (problem,) = problems(found, wanted("app==1.0.0"))
    assert "npm-nested no longer asks for app/lib/code" in str(problem)
    (problem,) = problems(replace(found, nested=()), asked)
    assert "npm-nested asks for app/lib/code" in str(problem)


def test_a_nested_install_script_must_be_decided_about(bench: Bench) -> None:
    bench.app({"node_modules/native": bench.publish("native", scripts={"install": "make"})}, {"native": "*"})
    with pytest.raises(StackbuildError, match=r"native@1\.0\.0 has an install script") as caught:
        bench.lock()
    assert f"{FOLDER}:native" in str(caught.value)
    (own,) = bench.lock(ignore=frozenset({"native"})).nested
    assert [one.scripted for one in own.packages] == [True]


def test_a_nested_and_a_plain_package_of_one_name_are_two(bench: Bench) -> None:
    bench.registry.publish("dep", "2.0.0")
    entry = bench.publish("dep")
    bench.app({"node_modules/dep": entry}, {"dep": "^1"})
    found = bench.npm.lock("app==1.0.0", "dep==2.0.0", nested=(FOLDER,))
    assert {pin.name: pin.version for pin in found.pins} == {"app": "1.0.0", "dep": "2.0.0", f"{FOLDER}:dep": "1.0.0"}
    folders = {lay.folder("/opt/npm", one) for one in found.every}
    assert folders >= {"opt/npm/lib/node_modules/dep", "opt/npm/lib/node_modules/app/lib/code/node_modules/dep"}


def test_a_wrong_integrity_is_refused(bench: Bench) -> None:
    bench.app({"node_modules/a": {**bench.publish("a"), "integrity": bench.publish("b")["integrity"]}}, {"a": "*"})
    with pytest.raises(StackbuildError, match=r"wrong integrity: a@1\.0\.0"):
        bench.lock()


def test_no_integrity_is_refused(bench: Bench) -> None:
    bench.app({"node_modules/a": {**bench.publish("a"), "integrity": "md5-1B2M2Y8AsgTpgAmY7PhCfg=="}}, {"a": "*"})
    with pytest.raises(StackbuildError, match=r"the registry tells no integrity: a@1\.0\.0"):
        bench.lock()


def test_two_packages_in_one_place_are_refused(bench: Bench) -> None:
    """The tarball of `app` brings what its shrinkwrap would lay."""
    bench.app({"node_modules/a": bench.publish("a")}, {"a": "*"}, {"lib/code/node_modules/a/x.js": "another one"})
    with pytest.raises(StackbuildError, match=r"x\.js"):
        bench.laid(bench.lock())


def test_a_folder_of_a_package_that_is_not_asked_for(bench: Bench) -> None:
    bench.registry.publish("app", "1.0.0")
    with pytest.raises(StackbuildError, match="a folder of a package that is not there: other/lib"):
        bench.npm.lock("app==1.0.0", nested=("other/lib",))


def pinned(store: Store, lock: str | Entries, package_json: str = "{}") -> nested.Shrinkwrap:
    """What a package's folder pins, whose shrinkwrap is `lock` or has these packages."""
    text = lock if isinstance(lock, str) else json.dumps({"lockfileVersion": 3, "packages": lock})
    files = [("lib/package.json", package_json), ("lib/npm-shrinkwrap.json", text)]
    data = tarball([(f"package/{path}", text.encode()) for path, text in files if text != "none"], {})
    app = stored(store, data, package("node_modules/app"))
    assert app.digest is not None
    return nested.read(store.source(app.digest), app, "lib")


def entry(**said: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "resolved": resolved("a"), "integrity": "sha512-x", **said}


def test_what_is_for_development_alone_is_passed_over(store: Store) -> None:
    found = pinned(
        store, {"": {}, "node_modules/a": entry(), "node_modules/b": entry(dev=True, resolved="git+ssh://x")}
    )
    assert list(found.entries) == ["node_modules/a"]


def test_what_is_optional_is_no_need(store: Store) -> None:
    """npm lists optional dependencies among the others as well."""
    found = pinned(store, {}, '{"dependencies": {"a": "1", "b": "2"}, "optionalDependencies": {"b": "2"}}')
    assert (found.needs, found.wishes) == ({"a": "1"}, {"b": "2"})


@pytest.mark.parametrize(
    ("said", "got"),
    [
        ({"resolved": "git+https://user:s3cr3t@git.example/a.git#abc"}, "git+https://…"),
        ({"resolved": "git+ssh://git@git.example/a.git"}, "git+ssh://…"),
        ({"resolved": "https://user:s3cr3t@codeload.example/a/tar.gz/main?token=s3cr3t"}, "https://…"),
        ({"resolved": f"{ELSEWHERE}/b/-/b-1.0.0.tgz"}, "https://…"),
        ({"resolved": f"{ELSEWHERE}/a/-/a-1.0.1.tgz"}, "https://…"),
        ({"resolved": f"{ELSEWHERE}/a/-/%2e%2e/a-1.0.0.tgz"}, "https://…"),
        ({"resolved": "ftp://registry.example/a/-/a-1.0.0.tgz"}, "ftp://…"),
        ({"resolved": "file:../../../etc"}, "a folder"),
        ({"resolved": "../up", "link": True}, "a folder"),
        ({"resolved": {"a": 1}}, "a folder"),
    ],
)
def test_what_is_not_from_a_registry_is_refused(said: dict[str, Any], got: str, store: Store) -> None:
    with pytest.raises(StackbuildError, match="a nested npm package does not come from a registry: a") as caught:
        pinned(store, {"node_modules/a": entry(**said)})
    assert caught.value.got == got
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "location",
    ["node_modules/../../../etc", "../node_modules/a", "/etc/node_modules/a", "packages/a", "node_modules/a\\b", "a"],
)
def test_a_place_outside_of_the_folder_is_refused(location: str, store: Store) -> None:
    with pytest.raises(HostileInput):
        pinned(store, {location: entry()})


MALFORMED = (
    "",
    "[]",
    "[" * 100_000,
    '{"packages": []}',
    '{"lockfileVersion": 1, "dependencies": {}}',
    '{"packages": {"node_modules/a": 1}}',
    '{"packages": {"node_modules/a": {"version": "1/../.."}}}',
    '{"packages": {"node_modules/a": {"version": "1.0.0", "name": "../b"}}}',
    "none",
)


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_tree_is_refused(text: str, store: Store) -> None:
    with pytest.raises(StackbuildError):
        pinned(store, text)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"dependencies": {"a": 1}}', "none"], ids=range(6))
def test_a_malformed_request_is_refused(text: str, store: Store) -> None:
    with pytest.raises(StackbuildError):
        pinned(store, {}, text)


def test_a_huge_shrinkwrap_is_refused(store: Store) -> None:
    with pytest.raises(HostileInput, match=r"too many packages: app@1\.0\.0"):
        pinned(store, {f"node_modules/a{number}": {"version": "1.0.0"} for number in range(10_001)})
    with pytest.raises(HostileInput, match="too large for a lock of npm"):
        pinned(store, '{"packages": {}}' + " " * (16 << 20))
