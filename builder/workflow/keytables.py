"""The plan keys of many targets: looked up in the store's key tables, and planned only where no table has them.

manifest, files ── inputs ──▶ digest of each image ──▶ STORE/keys/<digest>
                                     └── not there ──▶ planned, image by image, and written
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol

from builder import keytable, planner, project_files
from builder.action import Action
from builder.awaited import ready
from builder.digest import Digest
from builder.errors import StackbuildError, raise_all
from builder.inputs import Inputs
from builder.keytable import KeyTable, Row, Step
from builder.locks import Listed
from builder.manifest import edges
from builder.manifest.model import Manifest, Target
from builder.project_files import Files
from builder.site import Planned
from builder.store import Store
from builder.workflow.project import Project

ROOM = "keys"


def of(project: Project) -> KeyTables:
    """Those of the project as it lies there."""
    found = project_files.files(project.manifest.folder)
    return KeyTables(project.manifest, found, project.store, lambda: nullcontext(project))


class Opened(Protocol):
    """Makes a state of the project readable, for as long as something is planned in it."""

    def __call__(self) -> AbstractContextManager[Project]: ...


class KeyTables:
    """The plan keys and steps of one state of a project."""

    def __init__(self, manifest: Manifest, files: Files, store: Store, opened: Opened) -> None:
        """
        Args:
            files: the state's.
            opened: called only if something is to be planned.
        """
        self.files = files
        self._manifest = manifest
        self._inputs = Inputs(manifest, files)
        self._store = store
        self._opened = opened
        self._tables: dict[str, KeyTable] = {}
        self._steps: dict[Digest, Step] = {}

    def ready(self) -> tuple[Target, ...]:
        """Every target whose locks do not wait for a source."""
        return ready(self._manifest, Listed(self.files))

    def keys(self, targets: Iterable[Target]) -> dict[Target, Digest]:
        """The plan key of each target's image.

        Raises:
            Problems: locks are missing or damaged; all of them are reported.
        """
        wanted = tuple(targets)
        self._look_up(wanted)
        return {target: self._tables[target.image].key(target) for target in wanted}

    def steps(self, targets: Iterable[Target]) -> dict[Target, dict[Digest, Step]]:
        """Everything that is performed for each target, its ancestors' steps among it, by plan key.

        Raises:
            Problems: as `keys`.
        """
        wanted = tuple(targets)
        self._look_up(wanted)
        found: dict[Target, dict[Digest, Step]] = {}
        for target in wanted:
            self._add(target, found)
        return {target: found[target] for target in wanted}

    def every_key(self, targets: Iterable[Target]) -> frozenset[Digest]:
        """The plan keys of all that is performed for any of the targets.

        Raises:
            Problems: as `keys`.
        """
        wanted = tuple(targets)
        self._look_up(wanted)
        return frozenset(step.key for one in edges.whole(self._manifest, *wanted) for step in self._own(one))

    def _own(self, target: Target) -> Iterator[Step]:
        """A target's own steps; those that targets share are one object."""
        for step in self._tables[target.image].steps(target):
            yield self._steps.setdefault(step.key, step)

    def _add(self, target: Target, found: dict[Target, dict[Digest, Step]]) -> None:
        todo = [target]
        while todo:
            one = todo[-1]
            table = self._tables[one.image]
            missing = [other for other in table.above(one) if other not in found]
            if one in found or missing:
                todo = [*todo, *missing] if one not in found else todo[:-1]
                continue
            steps = {key: step for other in table.above(one) for key, step in found[other].items()}
            if (parent := self._manifest.parent(one)) is not None:
                del steps[self._tables[parent.image].key(parent)]  # Its layers are read, its own config is not.
            found[one] = steps | {step.key: step for step in self._own(one)}

    def _look_up(self, wanted: Iterable[Target]) -> None:
        missing: dict[str, list[Target]] = {}
        for target in edges.whole(self._manifest, *wanted):
            table = self._table(target.image)
            if table is None or target not in table:
                missing.setdefault(target.image, []).append(target)
        if missing:
            with self._opened() as state:
                raise_all(list(self._plan(state, missing)))

    def _table(self, image: str) -> KeyTable | None:
        if image not in self._tables:
            path = self._store.path / ROOM / self._inputs.digest(image).hex
            with suppress(FileNotFoundError):
                if (found := keytable.loads(path.read_bytes())) is not None:
                    self._tables[image] = found
        return self._tables.get(image)

    def _plan(self, state: Project, missing: Mapping[str, list[Target]]) -> Iterator[StackbuildError]:
        """Plan what no table has, and write the tables. Only what the next image stands on is kept meanwhile.

        Yields:
            What cannot be planned, each reason once.
        """
        planned: dict[Target, Planned] = {}
        told: set[str] = set()
        for image in sorted(missing, key=self._place):
            needed = set(edges.whole(self._manifest, *missing[image]))
            for one in planned.keys() - needed:
                del planned[one]
            state.locks.forget(keep=needed)
            rows: dict[Target, Row] = {}
            for target in missing[image]:
                try:
                    planner.plan_target(state.manifest, state.locks, target, planned)
                except StackbuildError as error:
                    if str(error) not in told:
                        told.add(str(error))
                        yield error
                else:
                    rows[target] = self._row(planned, target)
            self._keep(image, rows)

    def _place(self, image: str) -> tuple[str, ...]:
        """Where an image stands in a walk down the family: after its ancestors, before their other children."""
        found = [image]
        while parent := self._manifest.images[found[-1]].parent:
            found.append(parent)
        return tuple(reversed(found))

    def _row(self, planned: Mapping[Target, Planned], target: Target) -> Row:
        parent = self._manifest.parent(target)
        above = (*((parent,) if parent else ()), *edges.named(self._manifest, target))
        end, *ends = (planned[one].image for one in (target, *above))
        assert end is not None
        known = {action.plan_key for one in ends if one is not None for action in one.walk()}
        own = {action.plan_key: action for action in end.walk(known)}
        return Row(key=end.plan_key, above=above, steps=tuple(map(step, own.values())))

    def _keep(self, image: str, rows: Mapping[Target, Row]) -> None:
        if image in self._tables:
            table = self._tables[image]
            rows = {**{target: table.row(target) for target in table.targets()}, **rows}
        data = keytable.dumps(rows)
        found = keytable.loads(data)
        assert found is not None
        self._tables[image] = found
        with suppress(StackbuildError):  # A store that cannot be written has no tables, but a plan all the same.
            self._store.write(f"{ROOM}/{self._inputs.digest(image).hex}", data)


def step(action: Action) -> Step:
    """An action, as far as its costs are concerned."""
    return Step(
        key=action.plan_key,
        name=action.name,
        seconds=planner.effort(action),
        disk=planner.space(action),
        pins={pin.digest.hex: pin.size for pin in action.pins},
    )
