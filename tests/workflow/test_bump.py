"""`stackbuild bump`: what it writes into the manifest, how little it moves, and that it is all or nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.commands.bump import command
from builder.errors import StackbuildError
from builder.manifest.pins import places, replaced
from builder.workflow import lock
from builder.workflow.bump import Asked, Bump, bump, parse
from builder.workflow.project import Project, open_project
from tests import tiny
from tests.loopback import Service, serve
from tests.osv import affected, entry, folder

FAMILY = """
[sets.stack]
together = true
pip = ["torch==1.0", "vision==1.0"]

# The one that many know.
[images.app]
from = "base"
use = ["stack"]
pip = [
    "other[extra] == 1.0", # Not the newest, and why.
    'third>=1',
] # Behind it.

[images.side]
from = "base"
pip = ["other==1.0",    "fourth==1.0"]
"""


REQUIRES = {("torch", "1.2"): ["vision<1.2"], ("fourth", "1.0"): ["other"], ("fourth", "1.1"): ["other"]}
"""What the wheels of the index require."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    (tmp_path / "project").mkdir()
    with serve(tmp_path / "served") as service:
        tiny.archive(service, tmp_path / "project")
        for name in ("torch", "vision", "other", "third", "fourth"):
            service.publish(*tiny.wheel(name, "1.0", REQUIRES.get((name, "1.0"), ())))
        monkeypatch.setenv("STACKBUILD_STORE", str(tmp_path / "store"))
        monkeypatch.setenv("STACKBUILD_MIRROR_TOY", service.url)
        monkeypatch.setenv("PIP_INDEX_URL", f"{service.url}/simple")
        yield service


@pytest.fixture
def project(tmp_path: Path, served: Service) -> Callable[[], Project]:
    """The project as it is on disk now; it is locked, and afterwards there is more to choose from."""
    folder = tmp_path / "project"
    (folder / "stacks.toml").write_text(tiny.MANIFEST + FAMILY)
    first = open_project(folder)
    lock.lock(first, tuple(first.manifest.targets()), lock.Wish(), lambda _: None)
    for name in ("torch", "vision", "other", "third", "fourth"):
        for version in ("1.1", "1.2"):
            served.publish(*tiny.wheel(name, version, REQUIRES.get((name, version), ())))
    subprocess.run(["git", "init", "--quiet", "--initial-branch=master", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "."], check=True)
    return lambda: open_project(folder)


def move(project: Callable[[], Project], *names: str, images: tuple[str, ...] = (), dry: bool = False) -> Bump:
    return bump(project(), [parse(one) for one in names], lambda _: None, images=images, dry=dry)


def changed(project: Callable[[], Project]) -> list[str]:
    """The lines that differ from what there was at first, without a diff's marks of places."""
    command = ["git", "-C", str(project().manifest.folder), "diff", "--unified=0", "--no-color"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [one for one in text.splitlines() if one[:1] in "+-" and one[:3] not in {"+++", "---"}]


def locked(project: Callable[[], Project], image: str) -> dict[str, str]:
    here = project()
    (target,) = (one for one in here.manifest.targets() if one.image == image)
    found = here.locks.read(target, "pip")
    assert found is not None
    return {pin.name: pin.version for pin in found.pins}


def test_a_version_where_it_stands(project: Callable[[], Project]) -> None:
    found = move(project, "fourth==1.1")
    assert [(one.old, one.new) for one in found.edits] == [("fourth==1.0", "fourth==1.1")]
    assert found.edits[0].where.startswith("stacks.toml:")
    lines = changed(project)
    assert '-pip = ["other==1.0",    "fourth==1.0"]' in lines and '+pip = ["other==1.0",    "fourth==1.1"]' in lines
    assert [one.path for one in found.changes] == [f"locks/side/{_stem(project)}.pip.txt"]
    assert found.changes[0].moved == (("fourth", "1.0", "1.1"),)
    # Of the lock: the request, the pin, its digest and its file; nothing of the package beside it.
    assert len(lines) == 2 * 5 and not [one for one in lines if "other" in one and "pip = " not in one]
    assert lock.check(project(), tuple(project().manifest.targets())) == []


def _stem(project: Callable[[], Project]) -> str:
    (target,) = (one for one in project().manifest.targets() if one.image == "side")
    return target.stem


def test_the_newest_that_fits_in_every_image(project: Callable[[], Project]) -> None:
    found = move(project, "Other")
    assert [(one.old, one.new) for one in found.edits] == [
        ("other[extra] == 1.0", "other[extra] == 1.2"),
        ("other==1.0", "other==1.2"),
    ]
    text = project().manifest.path.read_text()
    assert "    \"other[extra] == 1.2\", # Not the newest, and why.\n    'third>=1',\n] # Behind it.\n" in text
    assert locked(project, "app") == {"other": "1.2", "third": "1.0", "torch": "1.0", "vision": "1.0"}
    assert locked(project, "side") == {"other": "1.2", "fourth": "1.0"}


def test_a_constraint_goes_along(project: Callable[[], Project]) -> None:
    path = project().manifest.path
    path.write_text(path.read_text().replace('use = ["stack"]\n', 'use = ["stack"]\nconstraints = ["fourth==1.0"]\n'))
    found = move(project, "fourth")
    assert [one.new for one in found.edits] == ["fourth==1.2", "fourth==1.2"]


def test_who_has_it_only_through_others_keeps_it(project: Callable[[], Project], served: Service) -> None:
    """`fourth` brings `other` to `side`, which asks for it no more."""
    path = project().manifest.path
    path.write_text(path.read_text().replace('["other==1.0",    "fourth==1.0"]', '["fourth==1.0"]'))
    found = move(project, "other==1.1")
    assert locked(project, "app")["other"] == "1.1" and locked(project, "side") == {"fourth": "1.0", "other": "1.0"}
    assert len(found.changes) == 2  # Of side, the request.
    move(project, "other")
    assert locked(project, "app")["other"] == "1.2" and locked(project, "side")["other"] == "1.0"


def test_what_a_parent_brings_moves_there(project: Callable[[], Project]) -> None:
    """Nobody asks `low` for `other`, which `fourth` needs: no bump could meet the request of its child."""
    path = project().manifest.path
    low = '[images.low]\nfrom = "base"\npip = ["fourth==1.0"]\n'
    high = '[images.high]\nfrom = "low"\npip = ["other==1.0"]\n'
    path.write_text(f"{path.read_text()}{low}constraints = ['other<1.1']\n{high}")
    lock.lock(project(), tuple(project().manifest.targets()), lock.Wish(), lambda _: None)
    path.write_text(path.read_text().replace("constraints = ['other<1.1']\n", ""))
    move(project, "other==1.1")
    assert locked(project, "low") == {"fourth": "1.0", "other": "1.1"} and locked(project, "high") == {}
    move(project, "other")
    assert locked(project, "low") == {"fourth": "1.0", "other": "1.2"} and locked(project, "app")["other"] == "1.2"
    assert lock.check(project(), tuple(project().manifest.targets())) == []


def test_one_image(project: Callable[[], Project]) -> None:
    move(project, "other", images=("side",))
    assert (locked(project, "app")["other"], locked(project, "side")["other"]) == ("1.0", "1.2")


def test_a_set_of_several_images_is_not_one_images(project: Callable[[], Project]) -> None:
    path = project().manifest.path
    path.write_text(
        path.read_text().replace(
            'from = "base"\npip = ["other==1.0"', 'from = "base"\nuse = ["stack"]\npip = ["other==1.0"'
        )
    )
    with pytest.raises(StackbuildError, match="no request pins torch"):
        move(project, "torch==1.1", images=("app",))


def test_a_set_moves_whole(project: Callable[[], Project]) -> None:
    """torch 1.2 does not go with vision 1.2: the newest that fit each other."""
    found = move(project, "torch==1.2")
    assert [(one.old, one.new) for one in found.edits] == [
        ("torch==1.0", "torch==1.2"),
        ("vision==1.0", "vision==1.1"),
    ]
    assert locked(project, "app") == {"other": "1.0", "third": "1.0", "torch": "1.2", "vision": "1.1"}


def test_what_a_range_allows_moves_in_the_lock_alone(project: Callable[[], Project]) -> None:
    found = move(project, "third")
    assert found.edits == () and locked(project, "app")["third"] == "1.2"
    with pytest.raises(StackbuildError, match="no request pins third"):
        move(project, "third==1.1")


def test_everything(project: Callable[[], Project]) -> None:
    found = move(project)
    assert len(found.edits) == 5 and found.left == ()
    assert locked(project, "side") == {"other": "1.2", "fourth": "1.2"}
    assert locked(project, "app")["other"] == "1.2"
    assert lock.check(project(), tuple(project().manifest.targets())) == []
    assert move(project).edits == ()


def test_nothing_is_written_where_there_is_no_solution(project: Callable[[], Project]) -> None:
    told: list[str] = []
    with pytest.raises(StackbuildError, match=r"9\.9"):
        bump(project(), [parse("other==9.9")], told.append)
    assert changed(project) == []
    assert "stacks.toml and its locks are as they were" in told[-1]


def commit(project: Callable[[], Project], *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(project().manifest.folder), *own, *words]
    subprocess.run(command, check=True, capture_output=True)


def merged(project: Callable[[], Project], first: str, second: str) -> list[StackbuildError]:
    """What `lock --check` says of two bumps that were made on branches of their own, and merged without a conflict."""
    path = project().manifest.path
    apart = '[\n"other==1.0",\n# Between.\n"fourth==1.0"]'
    path.write_text(path.read_text().replace('["other==1.0",    "fourth==1.0"]', apart))
    commit(project, "commit", "--all", "--message", "x")
    for branch, name in (("one", first), ("two", second)):
        commit(project, "switch", "--create", branch, "master")
        move(project, name)
        commit(project, "commit", "--all", "--message", name)
    commit(project, "merge", "--no-edit", "one")
    return lock.check(project(), tuple(project().manifest.targets()))


def test_bumps_of_neighbours_merge(project: Callable[[], Project]) -> None:
    assert merged(project, "fourth==1.1", "other==1.1") == []
    assert locked(project, "side") == {"fourth": "1.1", "other": "1.1"}


def test_a_merge_that_is_no_solution(project: Callable[[], Project], served: Service) -> None:
    served.publish(*tiny.wheel("fourth", "1.3", ["other<1.1"]))
    (problem,) = merged(project, "fourth==1.3", "other==1.1")
    assert "other<1.1" in str(problem) and problem.where.startswith("locks/side/")


def test_security(project: Callable[[], Project], tmp_path: Path) -> None:
    """What an advisory is about moves, asked for or not; what it leaves open is told."""
    every = {"introduced": "0"}
    entries = [
        entry("PYSEC-1", affected("PyPI", "fourth", every, {"fixed": "1.1"})),
        entry("PYSEC-2", affected("PyPI", "third", every, {"fixed": "1.2"})),
        entry("PYSEC-3", affected("PyPI", "vision", every, {"fixed": "9"})),
        entry("PYSEC-4", affected("PyPI", "torch", every)),
    ]
    words = ["--security", "--database", str(folder(tmp_path / "osv", entries))]
    said = CliRunner().invoke(command, words, obj=project().manifest.folder, catch_exceptions=False)
    assert said.exit_code == 0 and "fourth==1.0 → fourth==1.2" in said.stdout
    assert locked(project, "app") == {"other": "1.0", "third": "1.2", "torch": "1.2", "vision": "1.1"}
    assert locked(project, "side") == {"other": "1.0", "fourth": "1.2"}
    again = CliRunner().invoke(command, words, obj=project().manifest.folder, catch_exceptions=False)
    assert again.exit_code == 0 and "not moved: vision, fixed in 9" in again.stderr


def test_dry(project: Callable[[], Project]) -> None:
    found = move(project, "fourth", dry=True)
    assert found.edits[0].new == "fourth==1.2" and found.changes[0].moved == (("fourth", "1.0", "1.2"),)
    assert changed(project) == []


@pytest.mark.parametrize("name", ["fourht", "nothing-like-it"])
def test_nobody_asks_for_it(name: str, project: Callable[[], Project]) -> None:
    with pytest.raises(StackbuildError) as caught:
        move(project, name)
    assert caught.value.what == f"nothing is called {name} here"
    assert ("fourth" in caught.value.next_step) is (name == "fourht")


@pytest.mark.parametrize("text", ["", "==1", "a==", "a>=1", "a==1,<2", "a==1==2", "!a", "a==1 2"])
def test_no_name(text: str) -> None:
    with pytest.raises(StackbuildError, match="not a name"):
        parse(text)


@pytest.mark.parametrize("version", ["1!2.0", "2.2.4-1~deb12u1", "2:8.2.3995-1+deb12u1"])
def test_versions_of_every_kind(version: str) -> None:
    """An epoch of PEP 440, and what Debian writes (deb-version(7))."""
    assert parse(f"name=={version}") == Asked(name="name", version=version)


def test_two_versions_of_one_name(project: Callable[[], Project]) -> None:
    with pytest.raises(StackbuildError, match="third is to have two versions"):
        move(project, "third==1.1", "third")


MANIFEST = """
[sets.a.on.cuda]
pip = ["one==1.0+cu1"]
[images.b]
from = "oci:quay.io/org/base:2026-10@sha256:{}" # The base.
conda = ["pytorch==2.12.0=cuda*", "numpy>=2"]
constraints = ["one==1.0", "two<3"]
npm = ["@scope/thing==4.6.2"]
apt = ["git==1:2.39.5-0+deb12u2", "curl"]
[[images.b.fetch]]
name = "Tool"
version = "1.2" # Of upstream.
url = "https://x.example/{{version}}"
""".format("0" * 64)


def test_every_kind_of_pin() -> None:
    found = places(MANIFEST)
    assert [(one.kind, one.name, one.version, one.at("9")) for one in found] == [
        ("pip", "one", "1.0+cu1", "one==9"),
        ("oci", "quay.io/org/base", "2026-10", "oci:quay.io/org/base:9"),
        ("conda", "pytorch", "2.12.0", "pytorch==9=cuda*"),
        ("pip", "one", "1.0", "one==9"),
        ("npm", "@scope/thing", "4.6.2", "@scope/thing==9"),
        ("apt", "git", "1:2.39.5-0+deb12u2", "git==9"),
        ("fetch", "tool", "1.2", "9"),
    ]
    assert [one.opened() for one in found if one.kind in {"pip", "npm", "apt"}] == [
        "one>=1.0+cu1",
        "one>=1.0",
        "@scope/thing>=4.6.2",
        "git",
    ]
    assert all(one.opened() == one.text for one in found if one.kind in {"oci", "conda", "fetch"})


def test_the_rest_of_the_text_stays() -> None:
    found = places(MANIFEST)
    assert replaced(MANIFEST, {one.path: one.text for one in found}) == MANIFEST
    text = replaced(MANIFEST, {one.path: one.at("9") for one in found})
    pairs = zip(MANIFEST.splitlines(), text.splitlines(), strict=True)
    assert [new for old, new in pairs if old != new] == [
        'pip = ["one==9"]',
        'from = "oci:quay.io/org/base:9" # The base.',
        'conda = ["pytorch==9=cuda*", "numpy>=2"]',
        'constraints = ["one==9", "two<3"]',
        'npm = ["@scope/thing==9"]',
        'apt = ["git==9", "curl"]',
        'version = "9" # Of upstream.',
    ]
