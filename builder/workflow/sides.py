"""What the words of `stackbuild diff` mean: targets, the working tree, a git revision, an image of a registry.

    .                                   the working tree, all targets
    jupyter, jupyter:cuda@linux/arm64   targets of the working tree
    REF, REF:jupyter                    a git revision: all targets, or these
    registry.example.com/nb/jupyter:1   an image; oci:… says that it is one

A word that could be several things is the first of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from builder.awaited import ready
from builder.difference import Contents
from builder.errors import StackbuildError
from builder.kinds.oci import reference
from builder.manifest.model import Target
from builder.planner import plan_target
from builder.site import Planned
from builder.workflow import git, since_revision
from builder.workflow.contents import contents
from builder.workflow.project import Project, locked
from builder.workflow.registry_image import images

TREE = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one word means.

    Attributes:
        text: as it was typed, for people.
        where: the revision's commit, or the reference of the image; "" for the working tree.
        targets: those that it names; "" for all.
    """

    kind: Literal["tree", "revision", "image"]
    text: str
    where: str = ""
    targets: str = ""

    @property
    def label(self) -> str:
        """What it is, for people."""
        if self.kind == "tree":
            return f"working tree, {self.targets}" if self.targets else "working tree"
        short = self.where[:12]
        return f"{self.text} ({short})" if self.kind == "revision" and short != self.text else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a word's targets are.

    Attributes:
        state: the project as it is there; None of an image of a registry, which is in `images` instead.
    """

    state: Project | None
    targets: tuple[Target, ...]
    images: Mapping[Target, Contents]
    _planned: dict[Target, Planned] = field(default_factory=dict)

    def planned(self, target: Target) -> Planned | None:
        """A target's planned actions; None where it cannot be planned, which `contents` gives the reason of."""
        try:
            state = self.state
            return plan_target(state.manifest, state.locks, target, self._planned) if state is not None else None
        except StackbuildError:
            return None

    def key(self, target: Target) -> str:
        """The plan key of a target, "" where it has none."""
        found = self.planned(target)
        return found.image.plan_key if found is not None and found.image is not None else ""

    def contents(self, target: Target, *, packages: bool) -> Contents:
        """What a target holds.

        Args:
            packages: whether they are wanted.

        Raises:
            StackbuildError: a lock is damaged.
        """
        if self.state is None:
            return self.images[target]
        return contents(self.state, target, self._planned, packages=packages)


def read(project: Project, text: str) -> Word:
    """What a word means.

    Raises:
        StackbuildError: there is nothing of that name.
    """
    if text == TREE:
        return Word(kind="tree", text=text)
    if text.strip("@:") and any(target.matches(text) for target in project.manifest.targets()):
        return Word(kind="tree", text=text, targets=text)
    if text.startswith("oci:"):
        return Word(kind="image", text=text, where=text.removeprefix("oci:"))
    folder = project.manifest.folder
    revision, _, targets = text.partition(":")
    if whole := git.commit_of(folder, text):
        return Word(kind="revision", text=text, where=whole)
    if commit := git.commit_of(folder, revision):
        return Word(kind="revision", text=text, where=commit, targets=targets)
    if revision == "HEAD":
        raise StackbuildError(
            "no commit to compare with",
            where=str(folder),
            expected="a git repository with a commit in it",
            next_step="commit what there is, or name what is compared: stackbuild diff TARGET TARGET",
        )
    host, slash, _ = text.partition("/")
    if slash and (host == "localhost" or "." in host or ":" in host):
        return Word(kind="image", text=text, where=text)
    raise StackbuildError(
        f"nothing of that name: {text}",
        expected="a target, a git revision (REF or REF:TARGET), `.`, or an image (HOST/REPOSITORY:TAG)",
        next_step="stackbuild status, git log",
    )


def published(project: Project, image: Word) -> str:
    """The targets that are published under the name of an image, as a text that means them.

    Raises:
        StackbuildError: there are none.
    """
    name = reference.parse(image.where, image.text).name
    for target in project.manifest.targets():
        if project.manifest.published(target) == name:
            return f"{target.image}:{target.variant}"
    raise StackbuildError(
        f"no target is published as {name}", next_step=f"name the other side too: stackbuild diff {image.text} TARGET"
    )


@contextmanager
def opened(project: Project, word: Word, targets: str) -> Iterator[Side]:
    """The targets of a word, in the order of the manifest, for as long as its files are there.

    Args:
        targets: those of the other side, where the word names none; what of them is not there is left out.

    Raises:
        StackbuildError: the word names a target that is not there; there is no such image.
    """
    if word.kind == "image":
        found = dict(images(project, reference.parse(word.where, word.text)))
        yield Side(state=None, targets=tuple(found), images=found)
        return
    there: AbstractContextManager[Project] = (
        since_revision.at(project, word.where) if word.kind == "revision" else nullcontext(project)
    )
    with there as state:
        if word.targets:
            chosen = locked(state, [word.targets])
        else:
            chosen = tuple(one for one in ready(state.manifest, state.locks) if not targets or one.matches(targets))
        yield Side(state=state, targets=chosen, images={})
