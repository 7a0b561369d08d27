"""Orders, submitted to a Dask scheduler at once, and awaited until none runs any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from distributed import CancelledError, Client, Future, KilledWorker, as_completed

from builder.action import Action
from builder.digest import Digest, key
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.executors.dask_worker import TOPIC, errand
from builder.executors.order import Order, waited_for
from builder.executors.outcome import Failed, Failure, Outcome, failure, outcome
from builder.executors.placing import Amounts, taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an action has no outcome.

    Attributes:
        passing: whether another try may do better.
        failure: what the worker said, if it said anything.
    """

    error: StackbuildError
    passing: bool
    failure: Failure | None = None


class Watch(Protocol):
    """Is told what becomes of orders; from any thread."""

    def begun(self, action: Action) -> None: ...

    def late(self, action: Action, seconds: int, worker: str) -> None: ...

    def done(self, action: Action, found: Outcome) -> None: ...


@dataclass(slots=True, kw_only=True)
class Round:
    """One try.

    Attributes:
        orders: by plan key.
        shop: what else must be equal for the same action of two clients to be one task.
        ranked: larger is earlier.
        number: which try it is.
        finished: plan keys of what has an outcome.
    """

    client: Client
    orders: Mapping[Digest, Order]
    shop: str
    ranked: Mapping[Digest, int]
    number: int
    finished: set[Digest] = field(default_factory=set)

    def offers(self) -> list[Amounts]:
        """What each worker offers that is there now."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return [dict(one["resources"]) for one in workers.values()]

    def perform(
        self, actions: Sequence[Action], done: MutableMapping[Digest, str], watch: Watch
    ) -> dict[Digest, Fault]:
        """Have the actions performed; why some have no outcome, without those that only wait for such.

        Args:
            actions: inputs first.
            done: outcomes of earlier rounds, as text, to which this one's are added.
        """
        wanted = {action.plan_key: action for action in actions}
        faults: dict[Digest, Fault] = {}
        with self._followed(wanted, watch):
            futures = self._submitted(actions, done)
            names = {str(future.key): wanted[one] for one, future in futures.items()}
            for future in as_completed(futures.values(), loop=self.client.loop):  # type: ignore[no-untyped-call]
                action = names[future.key]
                try:
                    text = future.result()
                    found = outcome(text, action)
                except Exception as error:
                    culprit, fault = _judged(error, action, names)
                    faults[culprit.plan_key] = fault
                else:
                    done[action.plan_key] = text
                    self.finished.add(action.plan_key)
                    watch.done(action, found)
        return faults

    def _submitted(self, actions: Sequence[Action], done: Mapping[Digest, str]) -> dict[Digest, Future[str]]:
        offers, found = self.offers(), dict[Digest, Future[str]]()
        for action in actions:
            order = self.orders[action.plan_key]
            needs = [one.plan_key for one in waited_for(action, order.given)]
            inputs = [done[one] if one in done else found[one] for one in needs]
            found[action.plan_key] = self.client.submit(
                errand,
                order.dumps(),
                *inputs,
                key=self._name(action, [str(found[one].key) if one in found else "" for one in needs]),
                resources=taken(action, order.shop.program, offers),
                priority=self.ranked[action.plan_key],
            )
        return found

    def _name(self, action: Action, waits: Sequence[str]) -> str:
        """What the scheduler calls an action: equal for all clients that use one cache and lack the same inputs.

        A task of a name that the scheduler knows, but with other dependencies, may never end (dask/dask#9888).
        """
        return f"{action.kind}-{action.plan_key.hex}-{key([self.shop, self.number, *waits]).hex[:16]}"

    @contextmanager
    def _followed(self, actions: Mapping[Digest, Action], watch: Watch) -> Iterator[None]:
        """Pass on what workers say; other clients' actions are nothing to us."""

        def heard(event: tuple[float, Any]) -> None:
            said = event[1] if isinstance(event[1], dict) else {}
            action = actions.get(said.get("key", ""))
            if action is None or action.plan_key in self.finished:
                return
            if isinstance(said.get("late"), int):
                watch.late(action, said["late"], str(said.get("worker", ""))[:100])
            else:
                watch.begun(action)

        self.client.subscribe_topic(TOPIC, heard)  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            self.client.unsubscribe_topic(TOPIC)  # type: ignore[no-untyped-call]


def _judged(error: Exception, action: Action, names: Mapping[str, Action]) -> tuple[Action, Fault]:
    """Whose fault it is that an action has no outcome, as far as that is told: it may only wait for the culprit."""
    if isinstance(error, Failed):
        try:
            said = failure(str(error.args[0]) if error.args else "")
        except HostileInput as hostile:
            return action, Fault(error=hostile, passing=False)
        culprit = next((one for one in names.values() if one.plan_key == said.key), action)
        return culprit, Fault(error=said.error, passing=said.passing, failure=said)
    if isinstance(error, KilledWorker):
        died = StackbuildError(
            "the workers that performed an action died, one after the other",
            where=names[str(error.task)].name if str(error.task) in names else action.name,
            next_step="look at the workers' own logs: there may be too little memory, or the step has no end",
        )
        return names.get(str(error.task), action), Fault(error=died, passing=True)
    if isinstance(error, StackbuildError):
        return action, Fault(error=error, passing=False)
    gone = Unreachable(
        "the scheduler gave up an action", where=action.name, got=_line(error), next_step="run the same command again"
    )
    return action, Fault(error=gone, passing=isinstance(error, CancelledError | OSError))


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
