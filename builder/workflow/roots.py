"""Who needs something of a store: its tags, the releases that were recorded, the locks of each project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from builder.action import Action
from builder.awaited import ready
from builder.digest import Digest
from builder.errors import HostileInput, Problems, StackbuildError, raise_all
from builder.locks import Locks
from builder.manifest.model import Manifest
from builder.manifest.read import read
from builder.manifest.settings import Retention
from builder.marking import Roots, planned
from builder.planner import plan_targets
from builder.store import Store
from builder.workflow import projects, releases
from builder.workflow.projects import Known
from builder.workflow.releases import Release, stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what is not current is kept.

    Attributes:
        now: in UTC.
        days: instead of what manifests say; None for that.
        forget: projects whose manifest is gone do not count at all.
        as_built: projects that cannot be planned count for what they built last.
    """

    now: datetime
    days: int | None = None
    forget: bool = False
    as_built: bool = False

    def since(self, days: int) -> str:
        """The moment before which something is too old, as RFC 3339 writes it."""
        wanted = self.days if self.days is not None else days
        return stamp(self.now - timedelta(days=wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A project, and what it counts for.

    Attributes:
        state: "current": its locks; "as built" and "gone": what it built last; "forgotten": nothing.
        retention: as its manifest says; what holds without one if it cannot be read.
    """

    known: Known
    state: str
    roots: Roots = field(default_factory=Roots)
    retention: Retention = field(default_factory=Retention)


def counted(store: Store, here: Path | None, patience: Patience) -> tuple[Counted, ...]:
    """Every project that uses a store, by path.

    Args:
        here: a manifest that counts even if it never built into this store.

    Raises:
        Problems: of projects, it cannot be told what they need.
        StackbuildError: nobody seems to use the store, though something was built.
    """
    known = {one.manifest: one for one in projects.known(store)}
    if not known and any((store.path / "actions").glob("*.json")):
        raise StackbuildError(
            f"no project is known to use the store {store.path}",
            expected="every project that uses it, as its locks say what is still needed",
            next_step="stackbuild build in the folder of each project that uses it, if nothing changed too; then again",
        )
    if here is not None and here.absolute() not in known:
        known[here.absolute()] = Known(manifest=here.absolute(), name="")
    found: list[Counted] = []
    problems: list[StackbuildError] = []
    for _, one in sorted(known.items()):
        try:
            found.append(_counted(one, patience))
        except StackbuildError as error:
            problems.append(error)
    raise_all(problems)
    return tuple(found)


def _counted(one: Known, patience: Patience) -> Counted:
    built = Roots(plans=frozenset(one.built.values()))
    if _is_gone(one.manifest):
        gone = one.gone or stamp(patience.now)
        if patience.forget or gone < patience.since(Retention().days):
            return Counted(known=replace(one, gone=gone), state="forgotten")
        return Counted(known=replace(one, gone=gone), state="gone", roots=built)
    try:
        manifest = read(one.manifest)
        roots = planned(ends_of(manifest))
    except (OSError, StackbuildError) as error:
        if patience.as_built:
            return Counted(known=replace(one, gone=""), state="as built", roots=built)
        first = error.problems[0] if isinstance(error, Problems) else error
        raise StackbuildError(
            f"cannot tell what a project still needs: {one.manifest}",
            got="\n".join(first.lines()[:2]) if isinstance(first, StackbuildError) else str(first),
            next_step="correct it; or keep what it built last, and nothing else of it: stackbuild gc --as-built",
        ) from None
    return Counted(
        known=replace(one, name=manifest.project.name, gone=""),
        state="current",
        roots=roots | built,
        retention=manifest.retention,
    )


def _is_gone(manifest: Path) -> bool:
    """Whether there is certainly no manifest: a folder that cannot be looked into is no proof of that."""
    try:
        manifest.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def ends_of(manifest: Manifest) -> list[Action]:
    """The actions that all the targets of a manifest end in."""
    locks = Locks(manifest.folder / "locks")
    found = plan_targets(manifest, locks, ready(manifest, locks))
    return [one.image for one in found.values() if one.image is not None]


def named(store: Store, projects: Iterable[Counted], patience: Patience) -> Roots:
    """The images of a store that have a name: tags in its layout, whoever made them, and releases that are retained.

    Raises:
        StackbuildError: the index of the layout, or the record of releases, is damaged.
    """
    tagged: set[Digest] = set()
    for text in store.images.indexed():
        try:
            tagged.add(Digest.parse(text))
        except HostileInput:
            continue  # Of another algorithm, which nothing of ours has.
    kept = retained(releases.everything(store), tuple(projects), patience)
    pushed = (digest for one in kept for digest in (one.digest, *one.platforms.values()))
    return Roots(images=frozenset((*tagged, *pushed)))


def retained(everything: Sequence[Release], projects: Sequence[Counted], patience: Patience) -> list[Release]:
    """The releases that are kept whole, of each project as its manifest says."""
    found: list[Release] = []
    for name in dict.fromkeys(one.project for one in everything):
        own = [one for one in everything if one.project == name]
        said = [one.retention for one in projects if one.state == "current" and one.known.name == name]
        said = said or [Retention()]
        newest, days = max(one.releases for one in said), max(one.days for one in said)
        found += releases.retained(own, newest, patience.since(days))
    return found
