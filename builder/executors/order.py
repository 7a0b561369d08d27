"""What goes to a worker and what comes back, as JSON: an order, and its outcome.

    order      an action: its document, the pins that it reads, and the documents of the actions that it needs
               the project's manifest, which says where pinned files are fetched; the cache through which files go
               results of needs that were there before; those of the others are outcomes of other orders
    outcome    the result, and the sizes of its files, which lie in the cache

Nothing names a file of the machine that ordered: what an action reads of the project was lent to the cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from builder.action import Action, Result
from builder.digest import Digest, canonical
from builder.errors import HostileInput, Problems, StackbuildError, Unreachable
from builder.lock import Pin
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an order came to.

    Attributes:
        sizes: bytes of every file that the result names.
        how: `done`, `same inputs`, `from the cache`, or `kept` where the worker had it.
    """

    result: Result
    sizes: Mapping[Digest, int]
    how: str = "kept"

    def dumps(self) -> str:
        return canonical(
            {"result": self.result, "sizes": {str(one): size for one, size in self.sizes.items()}, "how": self.how}
        ).decode()


class Failed(StackbuildError):
    """What a worker says of an action that failed. Pickled as it is: made with one argument, the rest are attributes.

    Attributes:
        key: of the action.
        error: why.
        log: the output of its sandboxed steps.
        log_path: where that lies on the worker.
        worker: its name.
    """

    key: str
    error: StackbuildError
    log: str
    log_path: str
    worker: str

    @property
    def passing(self) -> bool:
        """Whether another try may do better."""
        problems = self.error.problems if isinstance(self.error, Problems) else (self.error,)
        return all(isinstance(one, Unreachable) for one in problems)

    def here(self, path: Path) -> StackbuildError:
        """The error as it is told where the build was ordered, with the log at `path`."""
        error = self.error
        if isinstance(error, Problems):
            return error
        where = error.where.replace(self.log_path, str(path))
        shell = error.next_step.startswith("stackbuild shell")  # The root of the step was kept on the worker.
        next_step = f"on the worker {self.worker}: {error.next_step}" if shell else error.next_step
        return type(error)(error.what, where=where, expected=error.expected, got=error.got, next_step=next_step)


def outcome(text: str) -> Outcome:
    """Raises: HostileInput: the text is no outcome."""
    try:
        found = json.loads(text)
        sizes = {Digest.parse(one): int(size) for one, size in found["sizes"].items()}
        return Outcome(result=dict(found["result"]), sizes=sizes, how=str(found["how"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise HostileInput(f"not what a worker says of an action ({type(error).__name__})") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What all orders of a build share.

    Attributes:
        manifest: the text of `stacks.toml`.
        place: the cache, `oci://HOST/REPOSITORY`.
        require_signature: whether a trusted registry is not enough.
    """

    manifest: str
    place: str
    require_signature: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One action to be performed elsewhere.

    Attributes:
        local: sizes of the project's files that it reads; they were lent to the cache.
        given: outcomes of needs by their plan keys, as far as they were known before.
    """

    shop: Shop
    action: Action
    local: Mapping[Digest, int] = field(default_factory=dict)
    given: Mapping[Digest, Outcome] = field(default_factory=dict)

    def dumps(self) -> str:
        action = self.action
        return canonical(
            {
                "shop": asdict(self.shop),
                "key": action.plan_key,
                "kind": action.kind,
                "version": action.version,
                "name": action.name,
                "options": action.options,
                "platform": action.platform,
                "layers": action.layers,
                "sources": {role: asdict(pin) for role, pin in action.sources.items()},
                "tools": {role: asdict(pin) for role, pin in action.tools.items()},
                "local": {str(one): size for one, size in self.local.items()},
                "needs": {role: _need(one) for role, one in action.needs.items()},
                "given": {one: found.dumps() for one, found in self.given.items()},
            }
        ).decode()


def order(text: str, store: Store) -> Order:
    """The order that a text is; files of the project are looked for among the store's sources.

    Raises:
        HostileInput: it is none, or its action has another key than it says: another stackbuild wrote it.
    """
    try:
        found = json.loads(text)
        local = {Digest.parse(one): int(size) for one, size in found["local"].items()}
        action = Action(
            kind=found["kind"],
            version=int(found["version"]),
            name=found["name"],
            options=found["options"],
            platform=found["platform"],
            needs={role: _known(one) for role, one in found["needs"].items()},
            sources={role: _pin(one) for role, one in found["sources"].items()},
            tools={role: _pin(one) for role, one in found["tools"].items()},
            local={digest: store.source(digest) for digest in local},
            layers=bool(found["layers"]),
        )
        given = {Digest.parse(one): outcome(said) for one, said in found["given"].items()}
        shop, key = Shop(**found["shop"]), found["key"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise HostileInput(f"not an order ({type(error).__name__})") from None
    if action.plan_key != key:
        raise HostileInput(f"another stackbuild ordered this: {action.name}", expected=str(key), got=action.plan_key)
    return Order(shop=shop, action=action, local=local, given=given)


def _need(action: Action) -> dict[str, Any]:
    return {"name": action.name, "layers": action.layers, "document": action.document}


def _known(found: Mapping[str, Any]) -> Action:
    """An action of which only its result is read. Its needs are not here, so all its inputs look like sources: the
    document, and so the key, is the same."""
    document = found["document"]
    action = Action(
        kind=document["kind"],
        version=int(document["kind_version"]),
        name=found["name"],
        options=document["options"],
        platform=document["platform"],
        sources={role: _input(role, Digest.parse(one)) for role, one in document["inputs"].items()},
        layers=bool(found["layers"]),
    )
    if action.document != document:
        raise ValueError("of another schema")
    return action


def _input(role: str, digest: Digest) -> Pin:
    return Pin(kind="", name=role, version="", filename="", digest=digest, size=0)


def _pin(found: Mapping[str, Any]) -> Pin:
    return Pin(
        **{
            **found,
            "digest": Digest.parse(found["digest"]),
            "via": tuple(found["via"]),
            "fields": tuple((name, value) for name, value in found["fields"]),
        }
    )
