"""Channels that misbehave, requests without a solution, and what must never be chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.kinds.conda.distributions import Distributions
from builder.kinds.conda.places import Channels
from builder.kinds.conda.question import CondaQuestion
from builder.kinds.conda.repodata import Repodata
from builder.kinds.conda.resolve import Means, resolve
from builder.kinds.conda.virtual import virtual
from builder.lock import Lock, Pin
from builder.manifest.model import Target
from builder.net import Client
from builder.store import Store
from tests.conda_channel import EARLY, Build, Served, distribution, family, served, tree, write
from tests.conda_world import MANIFEST, NOTEBOOK, SMALL, Make

DAY = 86_400_000
TARGET = Target.parse("notebook:cuda@linux/arm64")


def means(store: Store, channels: dict[str, str], named: dict[str, str] | None = None) -> Means:
    environ = {f"STACKBUILD_CHANNEL_{name.upper()}": url for name, url in channels.items()}
    found, client = Channels(named or {}, store.path, environ), Client()
    return Means(
        channels=found,
        repodata=Repodata(found, client, store),
        distributions=Distributions(client, store),
        client=client,
        store=store,
    )


def question(*request: str, channels: tuple[str, ...] = ("main",), **more: Any) -> CondaQuestion:
    target = more.pop("target", TARGET)
    fields: dict[str, Any] = {"virtual": virtual(target.platform, (), ()), **more}
    return CondaQuestion(target=target, request=request, channels=channels, **fields)


@pytest.fixture
def solve(store: Store, tmp_path: Path) -> Callable[..., Lock]:
    """Solve against channels that lie in folders."""

    def run(builds: dict[str, list[Build]], *request: str, **more: Any) -> Lock:
        urls = {name: write(tmp_path / "channels" / name, tree(some)) for name, some in builds.items()}
        return resolve(question(*request, channels=tuple(builds), **more), means(store, urls))

    return run


def pins(lock: Lock) -> dict[str, str]:
    return {pin.name: f"{pin.source} {pin.version}" for pin in lock.pins}


def test_a_channel_that_lacks_a_subdir_is_named(channel: Served, world: Make) -> None:
    for path in [one for one in channel.files if "/linux-aarch64/" in one]:
        del channel.files[path]
    with pytest.raises(StackbuildError) as caught:
        world(NOTEBOOK).lock()
    assert "channel main has no linux-aarch64" in str(caught.value)
    assert "cpu@linux/amd64" not in str(caught.value)


def test_a_folder_that_lacks_a_subdir_is_named(solve: Callable[..., Lock], tmp_path: Path, store: Store) -> None:
    url = write(tmp_path / "main", tree([], ["linux-aarch64"]))
    with pytest.raises(StackbuildError, match="channel main has no noarch"):
        resolve(question("x"), means(store, {"main": url}))


def test_an_unreachable_channel_is_told_without_its_credentials(store: Store) -> None:
    url = "http://someone:hunter2hunter2@127.0.0.1:1/t/tk-secret-token/main"
    with pytest.raises(Unreachable) as caught:
        resolve(question("x"), means(store, {"main": url}))
    said = str(caught.value)
    assert "channel main does not answer" in said
    assert "STACKBUILD_CHANNEL_MAIN" in said
    assert "hunter2" not in said and "someone" not in said and "tk-secret" not in said


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_no_missing_subdir(channel: Served, world: Make, status: int) -> None:
    for form in ("", ".zst"):
        channel.status[f"/main/noarch/repodata.json{form}"] = status
    with pytest.raises(StackbuildError) as caught:
        world(SMALL).lock()
    assert "channel main does not answer: noarch" in str(caught.value)
    assert f"HTTP {status}" in str(caught.value)


def test_credentials_reach_the_server_and_nothing_else(channel: Served, world: Make, monkeypatch: Any) -> None:
    channel.login = "someone:hunter2hunter2"
    url = channel.url.replace("http://", "http://someone:hunter2hunter2@")
    monkeypatch.setenv("STACKBUILD_CHANNEL_MAIN", f"{url}/main")
    found = world(SMALL)
    texts = found.lock()
    assert not [text for text in texts.values() if "hunter2" in text or "someone" in text]
    for path in found.store.path.rglob("*"):
        assert not (path.is_file() and b"hunter2" in path.read_bytes()), path


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"packages": 3}', b"\x28\xb5\x2f\xfd rubbish"])
def test_broken_repodata_names_its_channel(channel: Served, world: Make, content: bytes) -> None:
    channel.files["/main/noarch/repodata.json"] = content
    with pytest.raises(StackbuildError) as caught:
        world(SMALL).lock()
    assert "repodata is broken" in str(caught.value)
    assert "main" in str(caught.value) and "noarch" in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"name": "../evil"},
        {"version": "1/../../2"},
        {"build": "../x"},
        {"subdir": "../../noarch"},
        {"depends": ["a\nb: c"]},
        {"size": 1 << 50},
        {"python_site_packages_path": "../../etc"},
    ],
)
def test_repodata_that_describes_what_cannot_be_is_refused(solve: Callable[..., Lock], extra: dict[str, Any]) -> None:
    bad = Build(name="bad", version="1.0", subdir="noarch", extra=extra)
    with pytest.raises((HostileInput, StackbuildError)):
        lock = solve({"main": [bad]}, "bad")
        assert ".." not in str(lock) and "\n" not in str(lock.pins[0].fields), lock


def test_the_compressed_form_is_taken_and_asked_for_again_by_its_etag(store: Store) -> None:
    with served({"main": tree([Build(name="x", version="1", subdir="noarch")], packed=True)}) as server:
        for _ in range(2):
            lock = resolve(question("x"), means(store, {"main": f"{server.url}/main"}))
            assert pins(lock) == {"x": "main 1"}
    asked = [one for one in server.asked if "noarch/repodata" in one[0]]
    assert asked == [("/main/noarch/repodata.json.zst", 200), ("/main/noarch/repodata.json.zst", 304)]


def test_a_server_without_etags_is_believed_anew_each_time(store: Store) -> None:
    with served({"main": tree([Build(name="x", version="1", subdir="noarch")])}) as server:
        server.etags = False
        url = f"{server.url}/main"
        assert pins(resolve(question("x"), means(store, {"main": url}))) == {"x": "main 1"}
        server.put("main", tree([Build(name="x", version="2", subdir="noarch")]))
        assert pins(resolve(question("x"), means(store, {"main": url}))) == {"x": "main 2"}


def test_a_compressed_form_that_came_or_went_is_noticed(store: Store) -> None:
    with served({"main": tree([Build(name="x", version="1", subdir="noarch")], packed=True)}) as server:
        url = f"{server.url}/main"
        resolve(question("x"), means(store, {"main": url}))
        server.files.clear()
        server.put("main", tree([Build(name="x", version="2", subdir="noarch")]))
        assert pins(resolve(question("x"), means(store, {"main": url}))) == {"x": "main 2"}


def test_mirrors_are_tried_in_order(store: Store, tmp_path: Path) -> None:
    good = write(tmp_path / "good", tree([Build(name="x", version="1", subdir="noarch")]))
    with served({}) as refusing:
        refusing.login = "nobody:knows"
        lock = resolve(question("x"), means(store, {"main": f"{refusing.url}/main {good}"}))
    assert pins(lock) == {"x": "main 1"}


@pytest.mark.parametrize("order", [("main", "extra"), ("extra", "main")])
def test_the_first_channel_that_has_a_name_is_the_only_one(solve: Callable[..., Lock], order: tuple[str, str]) -> None:
    builds = {
        "main": [Build(name="lib", version="1", subdir="noarch")],
        "extra": [
            Build(name="lib", version="9", subdir="noarch"),
            Build(name="user", version="1", depends=("lib",), subdir="noarch"),
        ],
    }
    found = solve({name: builds[name] for name in order}, "user")
    assert pins(found) == {"lib": f"{order[0]} {'1' if order[0] == 'main' else '9'}", "user": "extra 1"}


def test_no_second_channel_satisfies_what_the_first_cannot(solve: Callable[..., Lock]) -> None:
    with pytest.raises(StackbuildError) as caught:
        solve(
            {
                "main": [Build(name="lib", version="1", subdir="noarch")],
                "extra": [Build(name="lib", version="9", subdir="noarch")],
            },
            "lib>=9",
        )
    assert "no solution: notebook:cuda@linux/arm64, conda" in str(caught.value)
    assert "strict channel priority not using this option from: extra" in str(caught.value)


def test_a_pin_of_a_channel_that_lost_its_place_moves(solve: Callable[..., Lock]) -> None:
    main, extra = Build(name="lib", version="1", subdir="noarch"), Build(name="lib", version="9", subdir="noarch")
    old = solve({"extra": [extra]}, "lib")
    new = solve({"main": [main], "extra": [extra]}, "lib", existing=old)
    assert pins(new) == {"lib": "main 1"}


def test_other_bytes_under_a_locked_name_are_told(solve: Callable[..., Lock]) -> None:
    one = Build(name="lib", version="1", subdir="noarch", data=b"one")
    old = solve({"main": [one]}, "lib")
    with pytest.raises(HostileInput, match="other bytes than when it was locked"):
        solve({"main": [replace(one, data=b"two")]}, "lib", existing=old)
    assert pins(solve({"main": [replace(one, data=b"two")]}, "lib", existing=old, upgrade=frozenset({"lib"})))


def test_a_package_that_needs_what_the_variant_has_not(channel: Served, world: Make) -> None:
    """The message names the variant, the platform, and the requests that conflict."""
    found = world(NOTEBOOK.replace('"tiny-torch"', '"tiny-torch==2.12.0=cuda*"'))
    with pytest.raises(StackbuildError) as caught:
        found.lock()
    said = str(caught.value)
    for cell in ("cpu@linux/amd64", "cpu@linux/arm64", "gaudi@linux/amd64", "gaudi@linux/arm64"):
        assert f"no solution: notebook:{cell}, conda" in said
    assert "no solution: notebook:cuda" not in said
    assert "asks tiny-torch==2.12.0=cuda*" in said
    assert "__cuda" in said


def test_a_package_that_is_nowhere_names_its_cell(solve: Callable[..., Lock]) -> None:
    with pytest.raises(StackbuildError) as caught:
        solve({"main": []}, "nowhere==1.0")
    assert caught.value.what == "no conda package for nowhere ==1.0: notebook:cuda@linux/arm64"


def _cutoff(day: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp((EARLY + day * DAY) / 1000, UTC)


def _days(*days: int | None, name: str = "lib") -> list[Build]:
    """A version for each day on which one was built."""
    return [
        Build(name=name, version=str(n), subdir="noarch", timestamp=None if day is None else EARLY + day * DAY)
        for n, day in enumerate(days, 1)
    ]


@pytest.mark.parametrize(("day", "version"), [(1, "1"), (10, "1"), (11, "2"), (99, "3")])
def test_exclude_newer_hides_what_was_built_then_or_later(solve: Callable[..., Lock], day: int, version: str) -> None:
    found = solve({"main": _days(0, 10, 20, None)}, "lib", exclude_newer=_cutoff(day))
    assert pins(found) == {"lib": f"main {version}"}


def test_exempt_names_may_be_newer(solve: Callable[..., Lock]) -> None:
    builds = [*_days(0, 10, 20), *_days(0, 10, 20, name="other")]
    found = solve({"main": builds}, "lib", "other", exclude_newer=_cutoff(5), exempt=frozenset({"lib"}))
    assert pins(found) == {"lib": "main 3", "other": "main 1"}


def test_a_cutoff_that_hides_the_only_solution_is_named(solve: Callable[..., Lock]) -> None:
    with pytest.raises(StackbuildError) as caught:
        solve({"main": _days(0, 10, 20)}, "lib>=2", exclude_newer=_cutoff(5))
    assert "exclude-newer hides the only solution: notebook:cuda@linux/arm64, conda" in str(caught.value)
    assert "exempt: lib" in str(caught.value)


def test_digests_that_a_channel_does_not_tell_are_learnt(solve: Callable[..., Lock]) -> None:
    whole = Build(name="lib", version="1", subdir="noarch", data=b"bytes")
    for missing in ("md5", "sha256", "size"):
        found = solve({"main": [replace(whole, extra={missing: None})]}, "lib").pins[0]
        assert found == solve({"main": [whole]}, "lib").pins[0]


@pytest.mark.parametrize(("kept", "wrong"), [("md5", "sha256"), ("sha256", "md5")])
def test_a_digest_that_lies_beside_one_that_is_missing(solve: Callable[..., Lock], kept: str, wrong: str) -> None:
    length = 32 if wrong == "md5" else 64
    lying = Build(name="lib", version="1", subdir="noarch", data=b"bytes", extra={wrong: "a" * length, kept: None})
    with pytest.raises(StackbuildError, match=f"wrong {wrong}"):
        solve({"main": [lying]}, "lib")


@pytest.mark.parametrize("ranges", [True, False])
def test_pip_names_without_ranges_are_what_the_channel_says(store: Store, ranges: bool) -> None:
    torch = Build(
        name="pytorch",
        version="2.1",
        subdir="noarch",
        noarch="python",
        depends=("python",),
        files=distribution("torch", "2.1.0"),
        extra={"purls": ["pkg:pypi/torch-said"]},
    )
    python = Build(name="python", version="3.12", subdir="noarch")
    plain = Build(name="plain", version="1.0", subdir="noarch", depends=("python",), data=b"no package")
    with served({"main": tree([torch, python, plain])}) as server:
        server.ranges = ranges
        lock = resolve(question("pytorch", "plain"), means(store, {"main": f"{server.url}/main"}))
    names = {pin.name: pin.field("pypi") for pin in lock.pins}
    assert names["plain"] == "plain==1.0"
    assert names["pytorch"] in (("torch==2.1.0",) if ranges else ("torch-said==2.1", "pytorch==2.1"))


def test_a_worker_that_dies_is_an_error_in_words(
    solve: Callable[..., Lock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "worker.py"
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr("builder.kinds.conda.solve._WORKER", program)
    with pytest.raises(StackbuildError, match=r"the conda solver failed \(exit -11\)"):
        solve({"main": []}, "lib")


NAMES = ("a", "b", "c", "d")


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[list[Build], str, str, str]:
    """A random small channel, what a parent and a child ask, and what is published later."""
    bound = st.sampled_from(["", ">=2", "<2", "==1", ">=1,<3"])
    builds = []
    for position, name in enumerate(NAMES):
        for version in range(1, draw(st.integers(1, 3)) + 1):
            others = (
                draw(st.lists(st.sampled_from(NAMES[position + 1 :]), unique=True, max_size=2)) if position < 3 else []
            )
            depends = tuple(f"{other} {draw(bound)}".strip() for other in sorted(others))
            builds.append(
                Build(
                    name=name, version=str(version), depends=depends, subdir="noarch", data=f"{name}{version}".encode()
                )
            )
    ask = st.builds("{}{}".format, st.sampled_from(NAMES), bound)
    return builds, draw(ask), draw(ask), draw(st.sampled_from(NAMES))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_worlds())
def test_a_child_never_moves_a_parents_pin(
    tmp_path_factory: pytest.TempPathFactory, some: tuple[list[Build], str, str, str]
) -> None:
    """Nor repeats or loses one; and what stays unlocked is refused, not bent."""
    builds, parents, childs, late = some
    folder = tmp_path_factory.mktemp("world")
    store = Store.open(folder / "store")
    try:
        url = write(folder / "main", tree(builds))
        parent = resolve(question(parents), means(store, {"main": url}))
        url = write(folder / "later", tree([*builds, Build(name=late, version="9", subdir="noarch", data=b"9")]))
        child = resolve(question(childs, inherited=(("parent", parent),)), means(store, {"main": url}))
    except StackbuildError as error:
        assert error.what.startswith(
            (
                "no solution: ",
                "no conda package ",
                "child may not move its parent: ",
                "child does not go with its parent: ",
            )
        )
        return
    have = {pin.name: pin for pin in (*parent.pins, *child.pins)}
    assert len(have) == len(parent.pins) + len(child.pins)
    again = resolve(question(childs, inherited=(("parent", parent),), existing=child), means(store, {"main": url}))
    assert again == child


@pytest.mark.parametrize("told", [True, False])
def test_what_lies_in_a_base_image_is_inherited(solve: Callable[..., Lock], told: bool) -> None:
    """Its pins have no file; some images tell no digests either."""
    fields: tuple[tuple[str, str], ...] = (("build", "h1_0"), ("depends", "libc"), ("constrains", "user <2"))
    if told:
        fields = (
            *fields,
            ("fn", "lib-1.0-h1_0.conda"),
            ("subdir", "linux-64"),
            ("sha256", "a" * 64),
            ("md5", "b" * 32),
        )
    base = [
        Pin(kind="conda", name=name, version="1.0", filename="", digest=Digest.of(b""), size=0, fields=more)
        for name, more in (("lib", fields), ("libc", (("build", "0"),)))
    ]
    builds = [
        Build(name="lib", version="2.0", subdir="noarch"),
        *(Build(name="user", version=one, subdir="noarch", depends=("lib",)) for one in ("1.0", "2.0")),
    ]
    inherited = (("oci:example", Lock(request=(), pins=tuple(base))),)
    assert pins(solve({"main": builds}, "user", inherited=inherited)) == {"user": "main 1.0"}
    with pytest.raises(StackbuildError, match=r"notebook needs lib==2\.0=0, oci:example pins 1\.0"):
        solve({"main": builds}, "lib>=2", inherited=inherited)


def test_what_a_lock_says_is_what_the_channel_says(channel: Served, world: Make) -> None:
    found = world(NOTEBOOK)
    found.lock()
    for subdir, cell in (("linux-64", "cpu@linux/amd64"), ("linux-aarch64", "cpu@linux/arm64")):
        entries: dict[str, Any] = {}
        for one in (subdir, "noarch"):
            entries |= json.loads(family()["main"][f"{one}/repodata.json"])["packages.conda"]
        for pin in found.read(f"notebook:{cell}").pins:
            entry = entries[pin.filename.partition("/")[2]]
            assert (pin.digest.hex, pin.size, pin.field("md5")) == (entry["sha256"], entry["size"], entry["md5"])


def test_the_manifest_wants_channels(world: Make) -> None:
    with pytest.raises(StackbuildError, match="channels"):
        world(NOTEBOOK.replace('channels = ["main"]\n', ""), MANIFEST)
