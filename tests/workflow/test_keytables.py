"""Key tables: they say what planning would, whatever was edited; and what was not touched is not planned again."""

from __future__ import annotations

import builtins
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from builder import image
from builder.action import Action
from builder.awaited import ready
from builder.digest import Digest
from builder.errors import Problems, StackbuildError
from builder.inputs import Inputs
from builder.locks import Locks
from builder.manifest import edges
from builder.manifest.model import Target
from builder.manifest.read import read
from builder.planner import plan_targets
from builder.project_files import files
from builder.store import Store
from builder.workflow import keytables, plan, since_revision
from builder.workflow.project import Project
from tests import families

ROOT = Path(__file__).parent.parent.parent
SHAPE = families.Shape(images=9, fan_out=2, variants=("cpu", "cuda"), packages=6, large=2, shared=40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    families.write(tmp_path / "family", SHAPE)
    return tmp_path / "family"


def project(folder: Path) -> Project:
    """The project as it lies there now, read anew."""
    manifest = read(folder / "stacks.toml")
    return Project(manifest=manifest, locks=Locks(folder / "locks"), store=Store.open(folder.parent / "store"))


def cold(state: Project) -> dict[Target, dict[Digest, str]]:
    """Every target's actions by plan key, planned without any table."""
    targets = tuple(state.manifest.targets())
    found = plan_targets(state.manifest, Locks(state.manifest.folder / "locks"), targets)
    return {
        target: {action.plan_key: action.kind for action in end.walk()}
        for target in targets
        if (end := found[target].image) is not None
    }


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The images that are planned meanwhile, as often as they are."""
    found: list[str] = []
    plain = image.plan

    def spy(*arguments: Any) -> Action:
        found.append(str(arguments[1]))
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(image, "plan", spy)
        yield found


def agree(state: Project) -> None:
    """The tables say what a cold plan does."""
    targets = tuple(state.manifest.targets())
    tables = keytables.of(state)
    wanted = cold(state)
    assert {target: set(steps) for target, steps in tables.steps(targets).items()} == {
        target: set(found) for target, found in wanted.items()
    }
    images = {
        target: next(key for key, kind in reversed(found.items()) if kind == "image")
        for target, found in wanted.items()
    }
    assert tables.keys(targets) == images
    assert {step.key for step in tables.every(targets)} == {key for found in wanted.values() for key in found}


def test_they_say_what_a_plan_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agree(project(folder))
    with counted(monkeypatch) as planned:
        keytables.of(project(folder)).steps(project(folder).manifest.targets())
    assert planned == []


def test_the_catalogue_s_too(tmp_path: Path) -> None:
    """Every kind there is, foreign images, names of other images, overlays, scripts."""
    manifest = read(ROOT / "stacks.toml")
    state = Project(manifest=manifest, locks=Locks(ROOT / "locks"), store=Store.open(tmp_path / "store"))
    tables = keytables.of(state)
    targets = tables.ready()
    found = plan_targets(manifest, state.locks, targets)
    for again in (tables, keytables.of(state)):
        for target, steps in again.steps(targets).items():
            end = found[target].image
            assert end is not None
            assert steps.keys() == {action.plan_key for action in end.walk()}, target
            assert again.keys([target]) == {target: end.plan_key}


def in_text(path: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))

    return edit


def bumped(number: int) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        families.bump(folder, SHAPE, number)

    return edit


def _gone(folder: Path) -> None:
    shutil.rmtree(folder / "overlays/note/etc")
    (folder / "overlays/note/other").write_text("x")


def _program(folder: Path) -> None:
    (folder / "overlays/note/etc/note").chmod(0o755)


BELOW_1 = {1, 3, 4, 7, 8}
EDITS = {
    "a leaf's pin": (bumped(8), {8}),
    "a pin of one with children": (bumped(1), BELOW_1),
    "a variable": (in_text("stacks.toml", 'NUMBER = "3"', 'NUMBER = "three"'), {3, 7, 8}),
    "a label": (in_text("stacks.toml", 'NUMBER = "4" }', 'NUMBER = "4" }\nlabels = { a = "b" }'), {4}),
    "another parent": (in_text("stacks.toml", 'from = "image-0003"', 'from = "image-0004"'), {7, 8}),
    "a comment, which moves every line": (in_text("stacks.toml", "[project]", "# A family.\n\n[project]"), set()),
    "compression": (in_text("stacks.toml", 'name = "family"', 'name = "family"\ncompression = "zstd"'), set(range(9))),
    "what no plan looks at": (in_text("stacks.toml", "[archives", "[retention]\ndays = 3\n\n[archives"), set()),
    "the layout": (in_text("stacks.toml", "uid = 1000", "uid = 1001"), set(range(9))),
    "an overlay": (in_text("overlays/note/etc/note", "a note", "another"), set(range(1, 9))),
    "the mode of an overlay's file": (_program, set(range(1, 9))),
    "the names of an overlay's files": (_gone, set(range(1, 9))),
    "a script": (in_text("scripts/step", "sh", "bash"), set(range(1, 9))),
    "the root's lock": (in_text("locks/image-0000/linux-amd64.apt.lock", "3.11.2-6", "3.11.2-7"), set(range(9))),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_after_an_edit(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables agree with a cold plan still, and only what the edit may concern was planned again."""
    edit, concerned = EDITS[name]
    before = project(folder)
    keytables.of(before).keys(before.manifest.targets())
    edit(folder)
    state = project(folder)
    tables = keytables.of(state)
    with counted(monkeypatch) as planned:
        tables.keys(state.manifest.targets())
    found = {str(one).partition(":")[0] for one in planned}
    wanted = {f"image-{number:04}" for number in concerned}
    lineages = {
        one.image for target in state.manifest.targets() if target.image in wanted for one in _line(state, target)
    }
    assert wanted <= found <= lineages
    agree(state)


def _line(state: Project, target: Target) -> tuple[Target, ...]:
    return state.manifest.lineage(target)


def test_all_that_planning_reads_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kind that read another file of the project would be told to say so (`reads`)."""
    seen: set[str] = set()
    plain = open

    def spy(file: Any, *rest: Any, **named: Any) -> Any:
        path = Path(os.fsdecode(file)) if not isinstance(file, int) else Path()
        if path.is_relative_to(ROOT) and path.exists():  # One that comes is in a folder that counts.
            seen.add(path.relative_to(ROOT).as_posix())
        return plain(file, *rest, **named)

    manifest = read(ROOT / "stacks.toml")
    inputs = Inputs(manifest, files(ROOT))
    for target in ready(manifest, Locks(ROOT / "locks")):
        with monkeypatch.context() as patch:
            for module in (builtins, io):  # pathlib's is the latter's.
                patch.setattr(module, "open", spy)
            seen.clear()
            plan_targets(manifest, Locks(ROOT / "locks"), [target])
        needed = {one.image for one in edges.whole(manifest, target)}
        counted = {path for image in needed for path in inputs.files(image)}
        assert seen, target
        assert {path for path in seen if not path.startswith(("builder/", ".venv/"))} <= counted, target


def test_a_damaged_table_counts_as_none(folder: Path) -> None:
    agree(project(folder))
    tables = sorted((folder.parent / "store/keys").iterdir())
    assert len(tables) == SHAPE.images
    tables[0].write_bytes(tables[0].read_bytes()[:-9])
    tables[1].write_bytes(b"")
    tables[2].write_bytes(tables[2].read_bytes().replace(b"sha256:0", b"sha256:1"))
    agree(project(folder))


def test_targets_join_a_table_that_is_there(folder: Path) -> None:
    state = project(folder)
    some = [one for one in state.manifest.targets() if one.variant == "cuda"]
    assert set(keytables.of(state).keys(some)) == set(some)
    agree(state)


def test_a_store_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StackbuildError("cannot write to the store")

    monkeypatch.setattr(Store, "write", refuse)
    agree(project(folder))
    assert not (folder.parent / "store/keys").exists()


def test_everything_that_cannot_be_planned_is_told(folder: Path) -> None:
    """Once each; the rest has its tables, so that the next run goes on from there."""
    for name in ("image-0004/linux-amd64.pip.txt", "image-0005/cuda.linux-arm64.pip.txt"):
        (folder / "locks" / name).unlink()
    state = project(folder)
    with pytest.raises(Problems) as caught:
        keytables.of(state).keys(state.manifest.targets())
    assert {problem.what for problem in caught.value.problems} == {
        "lock is missing: image-0004:cpu@linux/amd64, pip",
        "lock is missing: image-0005:cuda@linux/arm64, pip",
    }
    assert len(list((folder.parent / "store/keys").iterdir())) == SHAPE.images


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments], cwd=folder, check=True)


@pytest.mark.parametrize("name", EDITS)
def test_a_revision_has_the_keys_that_it_had(name: str, folder: Path) -> None:
    """Though its files are not read again where git says that they are the same."""
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "x")
    was = cold(project(folder))
    edit, concerned = EDITS[name]
    edit(folder)
    (folder / "overlays/note/untracked").write_text("x")
    state = project(folder)
    now = keytables.of(state)
    then = since_revision.tables_at(state, "HEAD", now)
    targets = tuple(state.manifest.targets())
    assert {target: set(steps) for target, steps in then.steps(then.ready()).items()} == {
        target: set(found) for target, found in was.items()
    }
    chosen = since_revision.since(state, "HEAD", targets)
    assert {int(one.image.removeprefix("image-")) for one in chosen} == concerned | set(range(1, 9))
    (folder / "overlays/note/untracked").unlink()
    chosen = since_revision.since(state, "HEAD", targets)
    assert {int(one.image.removeprefix("image-")) for one in chosen} == concerned
    jobs = plan.plan(state, targets, "HEAD")
    assert sorted(one for job in jobs for one in job.targets) == sorted(chosen)
