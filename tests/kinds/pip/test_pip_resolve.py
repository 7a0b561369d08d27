"""Resolving against a loopback index: real uv, tiny wheels."""

from __future__ import annotations

import platform
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.pip.check import problems
from builder.kinds.pip.lockfile import PipLock, dumps, loads
from builder.kinds.pip.question import PipQuestion
from builder.kinds.pip.resolve import resolve
from builder.kinds.pip.sdist import BuiltWheel, SdistQuestion
from builder.net import Client
from builder.store import Store

CUTOFF = datetime(2026, 6, 1, tzinfo=UTC)
LATE = "2026-07-01T00:00:00Z"


@pytest.fixture
def lock(client: Client, store: Store, environ: dict[str, str]) -> Callable[..., PipLock]:
    """Resolves and returns the lock."""

    def run(*request: str, **more: Any) -> PipLock:
        question = PipQuestion(
            request=request,
            **{"python": "3.11.2", "platform": "linux/amd64", "glibc": "2.36", "image": "child"} | more,
        )
        found, build = resolve(question, client, store, environ=environ)
        assert build is None
        assert loads(dumps(found), "x") == found
        return found

    return run


def versions(lock: PipLock) -> dict[str, str]:
    return {pin.name: pin.version for pin in lock.pins}


@pytest.mark.parametrize("kind", ["html", "json"])
def test_a_lock_names_one_file_and_who_asked(kind: str, index: Any, lock: Callable[..., PipLock]) -> None:
    index.json = kind == "json"
    index.wheel("top", "1.0", "Mid_Dle >=1, <3", 'win ; sys_platform == "win32"', 'new ; python_version < "3.11"')
    index.wheel("mid-dle", "2.0", 'extra-dep ; extra == "more"')
    amd = index.wheel("mid-dle", "2.1", tag="cp311-cp311-manylinux_2_17_x86_64")
    index.wheel("mid-dle", "2.1", tag="cp311-cp311-manylinux_2_17_aarch64", padding=10)
    index.wheel("mid-dle", "3.0")
    found = lock("Top==1.0")
    top = found.pin("top")
    mid = found.pin("mid-dle")
    assert top and mid and len(found.pins) == 2
    assert found.request == ("top==1.0",)
    assert top.fields == (("requires", "mid-dle<3,>=1"),)
    assert top.via == ("stacks.toml",)
    assert mid.via == ("top",)
    assert mid.filename == "mid_dle-2.1-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert (mid.digest, mid.size) == (Digest.of(amd), len(amd))
    arm = lock("top==1.0", platform="linux/arm64").pin("mid-dle")
    assert arm and arm.filename == "mid_dle-2.1-cp311-cp311-manylinux_2_17_aarch64.whl"


def test_extras_bring_what_they_ask_for(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("app", "1", 'dep[fast] ; extra == "all"', "app[all] ; extra == 'self'")
    index.wheel("dep", "1", 'speedy>=1 ; extra == "fast"', 'slow ; extra == "slow"')
    index.wheel("speedy", "1")
    found = lock("app[Self]")
    assert versions(found) == {"app": "1", "dep": "1", "speedy": "1"}
    assert [pin.fields for pin in found.pins] == [
        (("requires", "app[all]"), ("requires", "dep[fast]")),
        (("requires", "speedy>=1"),),
        (),
    ]


def test_pins_stay_until_they_may_move(index: Any, lock: Callable[..., PipLock]) -> None:
    for name in ("one", "two"):
        index.wheel(name, "1.0")
    before = lock("one", "two")
    for name in ("one", "two"):
        index.wheel(name, "2.0")
    index.wheel("one", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    assert lock("one", "two", existing=before) == before
    assert versions(lock("one", "two", existing=before, upgrade=frozenset({"Two"}))) == {
        "one": "1.0",
        "two": "2.0",
    }
    assert versions(lock("one", "two", existing=before, upgrade_all=True)) == {"one": "2.0", "two": "2.0"}
    assert versions(lock("one>=2", "two", existing=before)) == {"one": "2.0", "two": "1.0"}


def test_the_parents_pins_are_left_out_and_kept(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("base", "1.0")
    index.wheel("shared", "1.0")
    parent = lock("base", "shared")
    index.wheel("base", "2.0")
    index.wheel("child", "1.0", "base", "shared")
    found = lock("child", inherited=(("parent", parent),))
    assert versions(found) == {"child": "1.0"}
    assert problems(found, [("parent", parent)], ("child",), "x") == []


def test_an_extra_of_a_parents_pin_is_the_childs(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("base", "1.0", 'more ; extra == "x"')
    index.wheel("more", "1.0")
    parent = lock("base")
    found = lock("base[x]", inherited=(("parent", parent),))
    assert versions(found) == {"more": "1.0"}
    assert found.pins[0].via == ("base",)


def test_a_conflict_with_the_parent_names_both_and_the_remedy(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("numpy", "2.3.5")
    parent = lock("numpy")
    index.wheel("numpy", "2.4.6")
    index.wheel("pandas", "3.0.3", "numpy>=2.4")
    index.wheel("mid", "1", "pandas==3.0.3")
    with pytest.raises(StackbuildError) as caught:
        lock("mid", inherited=(("jupyter", parent),), image="jupyter-scipy")
    assert str(caught.value) == (
        "child may not move its parent: jupyter-scipy needs numpy>=2.4, jupyter pins 2.3.5\n"
        "  because pandas==3.0.3 requires numpy>=2.4; "
        "numpy==2.3.5 is pinned in the lock of jupyter for linux/amd64\n"
        '  next: lower pandas, or add constraints = ["numpy>=2.4"] to jupyter and: '
        "stackbuild lock jupyter jupyter-scipy"
    )
    with pytest.raises(StackbuildError, match=r"jupyter-scipy needs numpy==2.4.6, jupyter pins 2.3.5"):
        lock("numpy==2.4.6", inherited=(("jupyter", parent),), image="jupyter-scipy")


def test_the_cutoff_hides_and_names_what_it_hides(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0")
    index.wheel("one", "2.0", uploaded=LATE)
    assert versions(lock("one", exclude_newer=CUTOFF)) == {"one": "1.0"}
    assert versions(lock("one", exclude_newer=CUTOFF, exempt=frozenset({"one"}))) == {"one": "2.0"}
    with pytest.raises(StackbuildError) as caught:
        lock("one>=2", exclude_newer=CUTOFF)
    text = str(caught.value)
    assert text.startswith("exclude-newer hides the only solution: pip, child linux/amd64")
    assert "exclude-newer = 2026-06-01T00:00:00Z" in text
    assert "one==2.0, uploaded 2026-07-01" in text
    assert 'add "one" to exempt' in text


def test_a_better_wheel_past_the_cutoff_is_not_chosen(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0")
    index.wheel("one", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64", uploaded=LATE)
    assert lock("one", exclude_newer=CUTOFF).pins[0].filename == "one-1.0-py3-none-any.whl"


def test_a_parents_pin_past_the_childs_cutoff_still_counts(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("base", "2.0", uploaded=LATE)
    index.wheel("child", "1.0", "base")
    parent = lock("base")
    assert versions(lock("child", inherited=(("p", parent),), exclude_newer=CUTOFF)) == {"child": "1.0"}


def test_an_index_for_some_names(index: Any, new_index: Callable[[], Any], lock: Callable[..., PipLock]) -> None:
    """torch from its own index, though it is only required by others; all else from the default one."""
    own = new_index()
    own.wheel("torch", "2.0+cpu", "dep")
    own.wheel("dep", "9.0")
    index.wheel("torch", "2.1")
    index.wheel("dep", "1.0")
    index.wheel("vision", "1.0", "torch>=2")
    more = {
        "indexes": {"torch-cpu": own.url},
        "sources": {"Torch": "torch-cpu", "unused": "torch-cpu", "dep": "pypi"},
    }
    for request in (("vision",), ("vision", "torch")):
        found = lock(*request, **more)
        assert versions(found) == {"dep": "1.0", "torch": "2.0+cpu", "vision": "1.0"}
        assert [pin.source for pin in found.pins] == ["", "torch-cpu", ""]
    index.wheel("child", "1.0", "torch")
    child = lock("child", inherited=(("parent", found),), indexes={"torch-cpu": own.url})
    assert versions(child) == {"child": "1.0"}
    del index.projects["torch"]
    index.wheel("strict", "1.0", "torch==2.0+cpu")
    assert versions(lock("strict", **more))["torch"] == "2.0+cpu"


def test_constraints_limit_and_request_nothing(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0")
    index.wheel("one", "2.0")
    found = lock("one", constraints=("one<2", "absent>=5"))
    assert versions(found) == {"one": "1.0"}
    assert found.constraints == ("absent>=5", "one<2")
    assert problems(found, [], ("one",), "x", constraints=("absent>=5", "one<2")) == []


def test_yanked_and_other_pythons_are_passed_over(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0")
    index.wheel("one", "2.0", yanked=True)
    index.wheel("one", "3.0", requires_python=">=3.11.5")
    assert versions(lock("one")) == {"one": "1.0"}
    assert versions(lock("one==2.0")) == {"one": "2.0"}
    assert versions(lock("one", python="3.11.5")) == {"one": "3.0"}


def test_a_file_without_digest_is_downloaded_to_find_out(
    index: Any, lock: Callable[..., PipLock], store: Store
) -> None:
    data = index.wheel("one", "1.0", digest=False)
    (pin,) = lock("one").pins
    assert (pin.digest, pin.size) == (Digest.of(data), len(data))
    assert store.source(pin.digest).read_bytes() == data


def test_no_wheel_for_one_platform(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    with pytest.raises(StackbuildError) as caught:
        lock("one==1.0", platform="linux/arm64")
    text = str(caught.value)
    assert text.startswith("no wheel for one==1.0: child linux/arm64 CPython 3.11.2\n")
    assert "expected: CPython 3.11.2, linux/arm64, glibc 2.36" in text
    assert "got: wheels for cp311-cp311-manylinux_2_17_x86_64\n" in text
    assert "so that linux/arm64 is left out" in text
    index.sdist("one", "1.0")
    with pytest.raises(StackbuildError, match='add "one" to sdists'):
        lock("one==1.0", platform="linux/arm64")


def test_no_release_for_that_python(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64", requires_python=">=3.12")
    index.sdist("one", "1.0", requires_python=">=3.12")
    with pytest.raises(StackbuildError, match=r"got: it wants Python >=3.12"):
        lock("one==1.0")


def test_only_a_source_archive(index: Any, lock: Callable[..., PipLock]) -> None:
    index.sdist("one", "1.0")
    index.wheel("top", "1.0", "one")
    with pytest.raises(StackbuildError, match="source archives only") as caught:
        lock("top")
    assert 'add "one" to sdists' in str(caught.value)


def test_no_solution_keeps_the_explanation_and_no_host(index: Any, lock: Callable[..., PipLock]) -> None:
    index.wheel("one", "1.0", "two>=2")
    index.wheel("two", "1.0")
    with pytest.raises(StackbuildError) as caught:
        lock("one")
    text = str(caught.value)
    assert text.startswith("no solution: pip, child linux/amd64 CPython 3.11.2")
    assert "only two==1.0 is available" in text
    assert "127.0.0.1" not in text


def test_no_solution_names_no_package_that_is_only_a_word(index: Any, lock: Callable[..., PipLock]) -> None:
    """That stacks.toml requests something does not make it about the package `requests`."""
    index.wheel("requests", "2.0")
    index.wheel("one", "1.0", "two>=2")
    index.wheel("two", "1.0")
    parent = lock("requests")
    with pytest.raises(StackbuildError) as caught:
        lock("one", "two==1.0", inherited=(("parent", parent),))
    assert "stacks.toml requests" in str(caught.value) and "is pinned by parent" not in str(caught.value)


def test_credentials_are_never_printed_nor_written(
    index: Any, client: Client, tmp_path: Path, environ: dict[str, str]
) -> None:
    store = Store.open(tmp_path / "fresh")
    secret = index.url.replace("http://", "http://someone:hunter2hunter2@")
    index.login = "someone:hunter2hunter2"
    index.wheel("fine", "1.0")
    question = PipQuestion(
        request=("fine", "torch"),
        python="3.11.2",
        platform="linux/amd64",
        glibc="2.36",
        indexes={"own": secret},
        sources={"torch": "own"},
    )
    with pytest.raises(StackbuildError) as caught:
        resolve(question, client, store, environ={**environ, "PIP_INDEX_URL": secret})
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    index.wheel("torch", "1.0")
    found, _ = resolve(question, client, store, environ={**environ, "PIP_INDEX_URL": secret})
    assert versions(found) == {"fine": "1.0", "torch": "1.0"}
    for path in [one for one in store.path.rglob("*") if one.is_file()]:
        assert b"hunter2" not in path.read_bytes(), path


def test_a_dead_index_is_an_error_in_words(client: Client, store: Store, environ: dict[str, str]) -> None:
    question = PipQuestion(request=("one",), python="3.11.2", platform="linux/amd64", glibc="2.36")
    with pytest.raises(StackbuildError) as caught:
        resolve(
            question,
            client,
            store,
            environ={**environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"},
        )
    assert "uv failed" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_users_settings_change_nothing(
    index: Any, client: Client, store: Store, environ: dict[str, str], tmp_path: Path
) -> None:
    index.wheel("one", "1.0")
    index.wheel("one", "2.0")
    (tmp_path / "c.txt").write_text("one<2\n")
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text('resolution = "lowest"\n')
    own = {
        "UV_CONSTRAINT": str(tmp_path / "c.txt"),
        "UV_RESOLUTION": "lowest",
        "XDG_CONFIG_HOME": str(tmp_path),
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_OFFLINE": "1",
    }
    question = PipQuestion(request=("one",), python="3.11.2", platform="linux/amd64", glibc="2.36")
    assert versions(resolve(question, client, store, environ={**environ, **own})[0]) == {"one": "2.0"}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("one @ https://h/one-1.0.tar.gz", "pip request names a URL: one"),
        ("-r other.txt", "not a pip requirement"),
        ("one==1.0 --hash=sha256:00", "not a pip requirement"),
        ("one\ntwo", "not a pip requirement"),
    ],
)
def test_hostile_requests(request_: str, words: str, lock: Callable[..., PipLock]) -> None:
    with pytest.raises(StackbuildError, match=words):
        lock(request_)


def test_nothing_asked_nothing_locked(lock: Callable[..., PipLock], index: Any) -> None:
    assert lock().pins == ()
    assert index.asked == []


# Source archives --------------------------------------------------------------------------------------------

BACKEND = {
    "pyproject.toml": '[build-system]\nrequires = ["maker>=1"]\nbuild-backend = "maker"\n',
    "setup.py": "raise SystemExit('ran on the host')\n",
}


class Sandbox:
    """Stands in for the sandbox: knows what each version's wheel would require, and runs nothing."""

    def __init__(
        self,
        folder: Path,
        make_wheel: Callable[..., bytes],
        requires: dict[str, list[str]],
        backend: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.make_wheel = make_wheel
        self.requires = requires
        self.backend = backend
        self.asked: list[SdistQuestion] = []

    def __call__(self, question: SdistQuestion) -> BuiltWheel:
        self.asked.append(question)
        assert tarfile.is_tarfile(question.sdist)
        path = self.folder / f"{question.name}-{question.version}-py3-none-any.whl"
        path.write_bytes(self.make_wheel(question.name, question.version, self.requires[question.version]))
        return BuiltWheel(path=path, requires=self.backend)


def sdist_question(**more: Any) -> PipQuestion:
    facts: dict[str, Any] = {
        "request": ("top",),
        "python": "3.11.2",
        "platform": "linux/amd64",
        "glibc": "2.36",
        "sdists": frozenset({"Srconly"}),
        "exclude_newer": CUTOFF,
    }
    return PipQuestion(**facts | more)


def test_an_sdist_is_built_once_and_locked(
    index: Any, client: Client, store: Store, environ: dict[str, str], tmp_path: Path, make_wheel: Any
) -> None:
    index.wheel("top", "1.0", "srconly>=1")
    data = index.sdist("srconly", "1.5", BACKEND)
    index.sdist("srconly", "0.5", BACKEND)
    index.sdist("srconly", "1.6", BACKEND, uploaded=LATE)
    index.wheel("maker", "1.2", "gears")
    for name in ("gears", "needed", "hook"):
        index.wheel(name, "1.0")
    sandbox = Sandbox(tmp_path, make_wheel, {"1.5": ["needed>=1"]}, ("hook",))
    lock, build = resolve(sdist_question(), client, store, build_wheel=sandbox, environ=environ)
    pin = lock.pin("srconly")
    assert pin and build
    assert (pin.filename, pin.digest, pin.size) == ("srconly-1.5.tar.gz", Digest.of(data), len(data))
    assert pin.fields == (("requires", "needed>=1"),)
    assert versions(lock) == {"top": "1.0", "srconly": "1.5", "needed": "1.0"}
    assert build.request == ("hook", "maker>=1")
    assert versions(build) == {"gears": "1.0", "hook": "1.0", "maker": "1.2"}
    assert [sorted(versions(one.requirements)) for one in sandbox.asked] == [
        ["gears", "maker"],
        ["gears", "hook", "maker"],
    ]
    # Again: nothing is built, nothing moves.
    index.wheel("maker", "1.3")
    sandbox.asked.clear()
    again = sdist_question(existing=lock, existing_build=build)
    assert resolve(again, client, store, build_wheel=sandbox, environ=environ) == (lock, build)
    assert sandbox.asked == []


def test_real_requirements_may_choose_another_version(
    index: Any, client: Client, store: Store, environ: dict[str, str], tmp_path: Path, make_wheel: Any
) -> None:
    """The newest version's requirements, known only after its build, forbid it."""
    index.wheel("top", "1.0", "srconly", "needed<2")
    for version in ("1.0", "2.0"):
        index.sdist("srconly", version, BACKEND)
        index.wheel("needed", version)
    index.wheel("maker", "1.0")
    sandbox = Sandbox(tmp_path, make_wheel, {"2.0": ["needed>=2"], "1.0": ["needed"]})
    lock, _ = resolve(sdist_question(), client, store, build_wheel=sandbox, environ=environ)
    assert versions(lock) == {"top": "1.0", "srconly": "1.0", "needed": "1.0"}
    assert [one.version for one in sandbox.asked] == ["2.0", "1.0"]


def test_a_release_with_a_wheel_is_not_built(index: Any, client: Client, store: Store, environ: dict[str, str]) -> None:
    index.wheel("top", "1.0", "srconly")
    index.sdist("srconly", "1.0", BACKEND)
    index.wheel("srconly", "1.0")
    lock, build = resolve(sdist_question(), client, store, environ=environ)
    assert build is None
    assert lock.pins[0].filename == "srconly-1.0-py3-none-any.whl"


def test_without_a_sandbox_nothing_runs(index: Any, client: Client, store: Store, environ: dict[str, str]) -> None:
    index.wheel("top", "1.0", "srconly")
    index.sdist("srconly", "1.0", BACKEND)
    index.wheel("maker", "1.0")
    with pytest.raises(StackbuildError, match="no sandbox is there"):
        resolve(sdist_question(), client, store, environ=environ)


def test_a_changed_archive_is_refused(
    index: Any, client: Client, store: Store, environ: dict[str, str], tmp_path: Path, make_wheel: Any
) -> None:
    index.wheel("top", "1.0", "srconly")
    data = index.sdist("srconly", "1.0", BACKEND)
    index.content["/files/srconly-1.0.tar.gz"] = data[:-1] + b"x"
    with pytest.raises(HostileInput, match="wrong digest"):
        resolve(sdist_question(), client, store, build_wheel=Sandbox(tmp_path, make_wheel, {}), environ=environ)


# pip-tools --------------------------------------------------------------------------------------------------


def here(**more: Any) -> PipQuestion:
    return PipQuestion(
        **{
            "python": platform.python_version(),
            "platform": {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()],
            "glibc": platform.libc_ver()[1] or "2.36",
            "resolver": "pip-tools",
        }
        | more
    )


def test_pip_tools_finds_the_same(index: Any, client: Client, store: Store, environ: dict[str, str]) -> None:
    index.wheel("top", "1.0", "mid>=1", "kept")
    index.wheel("mid", "1.0")
    index.wheel("mid", "2.0")
    index.wheel("mid", "3.0", uploaded=LATE)
    index.wheel("kept", "1.0")
    parent = resolve(here(request=("kept",)), client, store, environ=environ)[0]
    index.wheel("kept", "2.0")
    question = here(request=("top", "pip-like[x]"), inherited=(("p", parent),), exclude_newer=CUTOFF)
    index.wheel("pip-like", "1.0")
    found = resolve(question, client, store, environ=environ)
    assert versions(found[0]) == {"top": "1.0", "mid": "2.0", "pip-like": "1.0"}
    assert found == resolve(replace(question, resolver="uv"), client, store, environ=environ)
    stays = here(request=("top",), inherited=(("p", parent),), existing=replace(found[0]), exclude_newer=None)
    assert versions(resolve(stays, client, store, environ=environ)[0]) == {"top": "1.0", "mid": "2.0"}


def test_pip_tools_explains_and_does_not_build(
    index: Any, client: Client, store: Store, environ: dict[str, str]
) -> None:
    index.sdist("srconly", "1.0", BACKEND)
    with pytest.raises(StackbuildError, match="no solution: pip") as caught:
        resolve(here(request=("srconly",)), client, store, environ=environ)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [{"python": "3.10.1"}, {"platform": "linux/arm64" if platform.machine() == "x86_64" else "linux/amd64"}],
)
def test_pip_tools_locks_no_other_target(
    more: dict[str, str], client: Client, store: Store, environ: dict[str, str]
) -> None:
    with pytest.raises(StackbuildError, match="pip-tools cannot lock") as caught:
        resolve(here(request=("one",), **more), client, store, environ=environ)
    assert 'resolver = "uv"' in str(caught.value)
    assert sys.version_info[:2] >= (3, 11)
