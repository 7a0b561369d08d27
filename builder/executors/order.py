"""What goes to a worker, as JSON: one action to be performed, and what it needs to know of others.

    an action: its document, the pins that it reads, and the documents of the actions that it needs
    which stackbuild ordered it; the project's manifest, which says where pinned files are fetched, by its digest
    the cache through which files go
    outcomes of needs that were there before; those of the others are outcomes of other orders

Nothing names a file of the machine that ordered: what an action reads of the project was lent to the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from builder.action import Action
from builder.digest import Digest, Json, canonical
from builder.errors import HostileInput
from builder.executors import fields
from builder.executors.outcome import Outcome, of_document
from builder.kinds import kinds
from builder.lock import Pin
from builder.store import Store
from builder.tree import safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What all orders of a build share.

    Attributes:
        program: `program.identity` of the stackbuild that ordered.
        manifest: the digest of `stacks.toml`, which was lent to the cache; `size`, its bytes.
        place: the cache, `oci://HOST/REPOSITORY`.
        plain_http: registries that the manifest lets speak plain HTTP.
        require_signature: whether a trusted registry is not enough.
        sources: whether the pinned files that actions read are left in the cache, beside what they come to.
    """

    program: str
    manifest: Digest
    size: int
    place: str
    plain_http: tuple[str, ...] = ()
    require_signature: bool = False
    sources: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One action to be performed elsewhere.

    Attributes:
        local: sizes of the project's files that it reads; they were lent to the cache.
        given: outcomes of needs by their plan keys, as far as they were known before.
        estimate: milliseconds that performing it is thought to take.
    """

    shop: Shop
    action: Action
    local: Mapping[Digest, int] = field(default_factory=dict)
    given: Mapping[Digest, Outcome] = field(default_factory=dict)
    estimate: int = 0

    def dumps(self) -> str:
        action = self.action
        given: dict[str, Json] = {one: found.document() for one, found in self.given.items()}
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
                "sources": [[role, asdict(pin)] for role, pin in action.sources.items()],  # In their order.
                "tools": [[role, asdict(pin)] for role, pin in action.tools.items()],
                "local": {str(one): size for one, size in self.local.items()},
                "needs": [[role, _need(one)] for role, one in action.needs.items()],
                "given": given,
                "estimate": self.estimate,
            }
        ).decode()


def order(text: str, store: Store) -> Order:
    """The order that a text is; files of the project are looked for among the store's sources.

    Raises:
        HostileInput: it is none, or its action has another key than it says.
    """
    with fields.judged("an order"):
        found = fields.parsed(text)
        local = {Digest.parse(one): fields.whole(size) for one, size in fields.table(found["local"]).items()}
        action = Action(
            kind=_kind(found["kind"]),
            version=fields.whole(found["version"]),
            name=fields.string(found["name"]),
            options=found["options"],
            platform=fields.string(found["platform"]),
            needs={fields.string(role): _known(one) for role, one in found["needs"]},
            sources={fields.string(role): _pin(one) for role, one in found["sources"]},
            tools={fields.string(role): _pin(one) for role, one in found["tools"]},
            local={digest: store.source(digest) for digest in local},
            layers=fields.flag(found["layers"]),
        )
        if action.plan_key != found["key"]:
            raise HostileInput(f"not the action that it says: {action.name}", expected=str(found["key"])[:100])
        needs = {need.plan_key: need for need in action.needs.values()}
        rows = fields.table(found["given"]).items()
        given = {Digest(one): of_document(fields.table(said), needs[Digest.parse(one)]) for one, said in rows}
        shop, estimate = _shop(fields.table(found["shop"])), fields.whole(found["estimate"])
    return Order(shop=shop, action=action, local=local, given=given, estimate=estimate)


def waited_for(action: Action, given: Mapping[Digest, Outcome]) -> list[Action]:
    """The actions whose orders must be performed first, each once, in a fixed order."""
    needs = {need.plan_key: need for need in action.needs.values()}
    return [needs[one] for one in sorted(needs.keys() - given.keys())]


def _shop(found: Mapping[str, Any]) -> Shop:
    return Shop(
        program=fields.string(found["program"]),
        manifest=Digest.parse(found["manifest"]),
        size=fields.whole(found["size"]),
        place=fields.string(found["place"]),
        plain_http=tuple(fields.string(one) for one in found["plain_http"]),
        require_signature=fields.flag(found["require_signature"]),
        sources=fields.flag(found["sources"]),
    )


def _kind(found: object) -> str:
    kind = fields.string(found)
    if kind != "image" and kind.partition(".")[0] not in kinds():
        raise ValueError("no kind")
    return kind


def _need(action: Action) -> dict[str, Any]:
    return {"name": action.name, "layers": action.layers, "document": action.document}


def _known(found: Mapping[str, Any]) -> Action:
    """An action of which only its result is read. Its needs are not here, so all its inputs look like sources: the
    document, and so the key, is the same."""
    document = fields.table(found["document"])
    action = Action(
        kind=_kind(document["kind"]),
        version=fields.whole(document["kind_version"]),
        name=fields.string(found["name"]),
        options=document["options"],
        platform=fields.string(document["platform"]),
        sources={role: _input(role, Digest.parse(one)) for role, one in fields.table(document["inputs"]).items()},
        layers=fields.flag(found["layers"]),
    )
    if action.document != document:
        raise ValueError("of another schema")
    return action


def _input(role: str, digest: Digest) -> Pin:
    return Pin(kind="", name=role, version="", filename="", digest=digest, size=0)


def _pin(found: Mapping[str, Any]) -> Pin:
    filename = fields.string(found["filename"])
    return Pin(
        kind=_kind(found["kind"]),
        name=fields.string(found["name"]),
        version=fields.string(found["version"]),
        filename=safe(filename, "an order") if filename else "",
        digest=Digest.parse(found["digest"]),
        size=fields.whole(found["size"]),
        source=fields.string(found["source"]),
        via=tuple(fields.string(one) for one in found["via"]),
        fields=tuple(_field(*row) for row in found["fields"]),
    )


def _field(name: object, value: object) -> tuple[str, str]:
    """A field of an ecosystem's own format: its value may have several lines."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return fields.string(name), value
