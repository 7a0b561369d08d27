"""Build: plan, find what is stale, perform it, tag what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder import about, image, impure
from builder.action import Action
from builder.awaited import ready
from builder.digest import Digest
from builder.errors import StackbuildError, raise_all
from builder.executors.local import execute
from builder.executors.step import Watcher
from builder.fetching import Fetcher, Progress, foresee
from builder.lock import Pin
from builder.manifest.model import Target
from builder.manifest.settings import PLAIN
from builder.offline import offline
from builder.plan import Plan
from builder.planner import plan_targets, space
from builder.site import Planned
from builder.workflow import explain, fresh, projects
from builder.workflow.fresh import Built
from builder.workflow.gather import gather
from builder.workflow.project import Project
from builder.workflow.took import Timed

if TYPE_CHECKING:
    from builder.cache import Cache
    from builder.net import Client
    from builder.workflow.elsewhere import Elsewhere


def plan(project: Project, targets: Sequence[Target]) -> dict[Target, Planned]:
    """The planned actions of these targets and their ancestors.

    Raises:
        Problems: locks are missing or damaged.
    """
    return plan_targets(project.manifest, project.locks, targets)


def refuse_unsigned(project: Project, targets: Sequence[Target]) -> None:
    """Go on only if every foreign image that these families begin with was signed, as the manifest says, when locked.

    Raises:
        Problems: which were not; those of which no signature is asked too.
    """
    from builder.kinds.oci import signed

    raise_all(list(signed.unsigned(project.manifest, targets, project.locks)))


def stale(project: Project, planned: Mapping[Target, Planned], targets: Sequence[Target]) -> tuple[Action, ...]:
    """The actions that a build of these targets would look at, inputs first; nothing is fetched or run."""
    wanted = _images(planned, targets)
    whole = Plan.of(wanted)
    needed = whole.stale(project.store, wanted)
    return tuple(action for action in whole.order() if action.plan_key in needed)


def build(
    project: Project,
    targets: Sequence[Target],
    *,
    jobs: int,
    watcher: Watcher,
    progress: Progress | None = None,
    planned: Mapping[Target, Planned],
    client: Client | None = None,
    cache: Cache | None = None,
    share: bool = False,
    elsewhere: Elsewhere | None = None,
) -> Built:
    """Build what is stale of these targets, and tag them in the store's image layout.

    Args:
        cache: what it has need not be built.
        share: leave there what it does not have.
        elsewhere: performs what is stale instead of this machine.

    Raises:
        Problems: actions failed; what was finished is kept.
        StackbuildError: the disk cannot hold it.
        Unreachable: there may be no network, and files are missing.
    """
    with project.store.leased():
        project.store.sweep()
        projects.note(project.store, project.manifest, {})  # Its locks count for `gc`, however far this comes.
        wanted = _images(planned, targets)
        whole = Plan.of(wanted)
        if cache is not None:
            cache.fill(whole, wanted)
        needed = whole.stale(project.store, wanted)
        ends, read = {end.plan_key for end in wanted}, {one for stale in needed for one in whole.needs(stale)}
        for key in (ends | read) - needed:
            project.store.used(key)
        try:
            if elsewhere is not None:
                elsewhere(whole, needed, wanted, watcher)
            else:
                client, nearby = (cache.client, cache.url) if cache is not None else (client, None)
                fetcher = Fetcher(project.manifest, project.store, client, progress, nearby=nearby)
                _here(project, targets, whole, needed, _Means(jobs, fetcher, watcher))
        except BaseException as error:
            share = share and isinstance(error, StackbuildError)  # Whoever presses ^C waits for no upload.
            raise
        finally:
            explain.record(project, planned)
            projects.note(project.store, project.manifest, _ends(project, planned))
            if cache is not None and share:
                cache.keep(whole.order())
        _tag(project, planned, targets)
    return Built(
        fresh=tuple(target for target, end in zip(targets, wanted, strict=True) if end.plan_key in needed),
        kept=tuple(target for target, end in zip(targets, wanted, strict=True) if end.plan_key not in needed),
    )


@dataclass(frozen=True, slots=True)
class _Means:
    """What this machine performs a plan with."""

    jobs: int
    fetcher: Fetcher
    watcher: Watcher


def _here(project: Project, targets: Sequence[Target], whole: Plan, needed: frozenset[Digest], means: _Means) -> None:
    """Perform what is needed on this machine."""
    store, fetcher = project.store, means.fetcher
    actions = [action for action in whole.order() if action.plan_key in needed]
    foresee(store, fetcher.missing(pins_of(actions)), sum(map(space, actions)))
    if offline(os.environ):
        gather(fetcher, actions, targets)
    try:
        execute(whole, needed, store, jobs=means.jobs, fetch=fetcher, watcher=Timed(store, means.watcher))
    except BaseException:
        fetcher.stop()
        raise


def _ends(project: Project, planned: Mapping[Target, Planned]) -> dict[str, Digest]:
    """The plan keys of the images that are built, by target."""
    ends = {str(target): one.image.plan_key for target, one in planned.items() if one.image is not None}
    return {target: key for target, key in ends.items() if project.store.has_action(key)}


def remember(project: Project, planned: Mapping[Target, Planned], targets: Sequence[Target]) -> None:
    """Let the next build of these targets see at once that nothing changed."""
    tags = project.store.images.tags()
    table = {target: fresh.Known(key="", tags={}) for target in ready(project.manifest, project.locks)}
    for target in targets:
        names = (tag_of(target), family_tag(target))
        (end,) = _images(planned, [target])
        table[target] = fresh.Known(key=end.plan_key, tags={name: tags.get(name, "") for name in names})
    fresh.remember(project.manifest.path, project.store, table)


def pins_of(actions: Sequence[Action]) -> list[Pin]:
    """Every pinned file that these actions read."""
    return [pin for action in actions for pin in action.pins]


def result(project: Project, planned: Mapping[Target, Planned], target: Target) -> dict[str, Any]:
    """What the store holds of a built target: `manifest`, `config`, `layers`.

    Raises:
        StackbuildError: it is not built, or not as the manifest and locks now say.
    """
    (end,) = _images(planned, [target])
    found = project.store.action(end.plan_key)
    if found is None:
        raise StackbuildError(f"not built: {target}", next_step=f"stackbuild build {target.image}")
    project.store.used(end.plan_key)
    return dict(found["result"])


def complete(project: Project, planned: Mapping[Target, Planned], target: Target) -> None:
    """Fetch the foreign layers that a built target only refers to, so that it can be started or copied.

    Raises:
        Problems: they cannot be fetched, or are not what they were when they were locked.
    """
    (end,) = _images(planned, [target])
    wanted = [need.content for need in end.needs.values() if need.content is not None]
    whole = Plan.of(wanted)
    needed = whole.stale(project.store, wanted)
    if needed:
        fetcher = Fetcher(project.manifest, project.store)
        actions = [whole.action(key) for key in sorted(needed)]
        foresee(project.store, fetcher.missing(pins_of(actions)), 0)
        if offline(os.environ):
            gather(fetcher, actions, [target])
        execute(whole, needed, project.store, jobs=1, fetch=fetcher, watcher=_Silent())


class _Silent:
    """A watcher for what has no progress to show."""

    def started(self, action: Action) -> None: ...

    def finished(self, action: Action, how: str) -> None: ...


def unproven(project: Project, planned: Mapping[Target, Planned], target: Target) -> tuple[str, ...]:
    """The names of a built target's steps that may come out otherwise another time, for all that is known."""
    (end,) = _images(planned, [target])
    return tuple(action.name for action in impure.unproven(project.store, end.needs.values()))


def _images(planned: Mapping[Target, Planned], targets: Sequence[Target]) -> list[Action]:
    found = []
    for target in targets:
        end = planned[target].image
        assert end is not None
        found.append(end)
    return found


def tag_of(target: Target) -> str:
    """The name of one target in the store's layout: `jupyter-linux-amd64`, `jupyter-cuda-linux-amd64`."""
    return f"{family_tag(target)}-{target.platform.replace('/', '-')}"


def family_tag(target: Target) -> str:
    """The name of an image over all its platforms: `jupyter`, `jupyter-cuda`."""
    return target.image if target.variant == PLAIN else f"{target.image}-{target.variant}"


def _tag(project: Project, planned: Mapping[Target, Planned], targets: Sequence[Target]) -> None:
    """Tag each target, and each image: its only manifest, or an index over the platforms that are built."""
    families: dict[str, dict[Target, Digest]] = {}
    for target, one in planned.items():
        if one.image is not None:
            families.setdefault(family_tag(target), {})[target] = one.image.plan_key
    store = project.store
    for target in targets:
        built, said = [], []
        for sibling, key in families[family_tag(target)].items():
            action = store.action(key)
            if action is None:
                continue
            end = planned[sibling].image
            assert end is not None
            descriptor = action["result"]["manifest"]
            built.append(descriptor)
            said.append(image.says(end))
            if sibling == target:
                store.images.tag(tag_of(target), descriptor)
        index = built[0] if len(built) == 1 else image.write_index(store, built, about.common(said))
        store.images.tag(family_tag(target), index)
