"""Plan and perform: a locked base → layers that are referred to, and read only where something must read them.

oci             one for each layer: refers to it by digest. Fetches nothing
oci.layer       the same layer, fetched and judged: `content` of the former, in a plan only if something reads it
oci.relayout    the layer again, with the layout's owners: once for all children (see `relayout.py`)
oci.account     the layout's user in passwd and group, and the home, where the base has them otherwise
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, cast

from builder.action import Action, Result, Workshop
from builder.difference import Layer as Expected
from builder.digest import Digest, Json
from builder.errors import HostileInput, StackbuildError
from builder.image import Defaults
from builder.kinds.oci import relayout
from builder.kinds.oci.archive import Layer, Member
from builder.kinds.oci.inherited_file import InheritedLock
from builder.kinds.oci.lockfile import BaseLayer, BaseLock
from builder.layer import escaped
from builder.site import Site
from builder.store import Store
from builder.tree import NEWEST

VERSION = 1


def plan(site: Site) -> tuple[Action, ...]:
    """The base's layers, of those that hold files of its user a copy with the layout's owners, and the account."""
    if not site.image.base:
        return ()
    lock, holds = site.lock("oci"), site.lock("inherited")
    assert isinstance(lock, BaseLock) and isinstance(holds, InheritedLock)
    if lock.request != (site.image.base,) or holds.base != lock.manifest:
        raise StackbuildError(
            f"lock is stale: {site.target}, oci",
            where=str(site.locks.path(site.target, "oci")),
            expected=site.image.base,
            got=lock.request[0],
            next_step=f"stackbuild lock {site.target.image}",
        )
    _refuse_unsigned(site, lock)
    layout = site.manifest.layout(site.target)
    change = relayout.change(lock, holds, layout) if layout else None
    found = [_reference(site, number, layer, change) for number, layer in enumerate(lock.layers, 1)]
    if layout is not None and (account := relayout.account(holds, layout)) is not None:
        options: Json = {**account, "codec": site.codec}
        found.append(Action(kind="oci.account", version=VERSION, name=f"account of {site.target}", options=options))
    return tuple(found)


def _refuse_unsigned(site: Site, lock: BaseLock) -> None:
    """Go on only if the lock says of the image's signature what the manifest does.

    Keys are told apart by their paths, so that a plan reads nothing but manifest and locks; `lock --check` reads them.
    """
    asked, path = site.image.require_signature, lock.signed_by[0] if lock.signed_by else ""
    if path in asked or not (path or asked):
        return
    raise StackbuildError(
        f"lock is stale: {site.target}, oci",
        where=str(site.locks.path(site.target, "oci")),
        expected=f"an image signed by {' or '.join(asked)}" if asked else "an image of which no signature is asked",
        got=f"one signed by {path}" if path else "one of which no signature was asked",
        next_step=f"stackbuild lock {site.target.image}",
    )


def _reference(site: Site, number: int, layer: BaseLayer, change: relayout.Change | None) -> Action:
    name = f"oci/{number:03}"
    options: dict[str, Json] = {
        "digest": layer.pin.digest,
        "diff_id": layer.diff_id,
        "media_type": layer.media_type,
        "name": name,
        "size": layer.pin.size,
    }
    content = Action(
        kind="oci.layer",
        version=VERSION,
        name=f"content of layer {number} of {site.target}",
        options=options,
        sources={"layer": layer.pin},
    )
    if change is not None and change.old in layer.uids:
        return Action(
            kind="oci.relayout",
            version=VERSION,
            name=f"owners in layer {number} of {site.target}",
            options={
                "codec": site.codec,
                "gid": change.gid,
                "name": name,
                "newest": NEWEST,
                "old": change.old,
                "uid": change.uid,
            },
            needs={"layer": content},
        )
    return Action(
        kind="oci", version=VERSION, name=f"layer {number} of {site.target}", options=options, content=content
    )


def defaults(site: Site) -> Defaults | None:
    """What the config says of the foreign image that the family begins with; None where it does not."""
    root = site.manifest.lineage(site.target)[0]
    if not site.manifest.image(root).base:
        return None
    lock = site.locks.read(root, "oci")
    if not isinstance(lock, BaseLock):
        return None  # Told when the root is planned.
    history = lock.history
    if sum(not row.get("empty_layer") for row in history) != len(lock.layers):
        history = tuple({"created_by": f"{lock.name}, layer {number}"} for number in range(1, len(lock.layers) + 1))
    base = {"base.name": lock.name, "base.digest": str(lock.index)} if lock.host else {}
    return Defaults(config=lock.defaults, history=history, annotations=base)


def expected(action: Action) -> Iterator[Expected]:
    """The layer it will leave: that of the base, or about the same with other owners."""
    if action.kind == "oci":
        options = cast(dict[str, Any], action.options)
        yield Expected(name=options["name"], digest=action.plan_key, size=options["size"])
        return
    pins = [pin for need in action.needs.values() for pin in need.sources.values()]
    size = sum(pin.size for pin in pins) if pins else None
    yield Expected(name=action.name.rpartition(" of ")[0], digest=action.plan_key, size=size)


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """What one of this kind's steps leaves.

    Raises:
        HostileInput: a layer is not what its manifest and config claim, or may not be part of an image.
    """
    options = cast(dict[str, Any], action.options)
    if action.kind == "oci":
        taken = ("name", "digest", "diff_id", "size", "media_type")
        return {"layers": [{**{name: options[name] for name in taken}, "foreign": True}]}
    if action.kind == "oci.layer":
        found: dict[str, Any] = workshop.heavy(_judged, workshop.store, options).result()
        return {"layers": [found]}
    if action.kind == "oci.relayout":
        (layer,) = results["layer"]["layers"]
        rule = relayout.Change(old=options["old"], uid=options["uid"], gid=options["gid"])
        return {"layers": [workshop.heavy(relayout.rewrite, workshop.store, layer, rule, options["codec"]).result()]}
    return relayout.perform_account(options, workshop)


def _judged(store: Store, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read a fetched layer to its end, list what it holds, and let it appear among the blobs of images."""
    source = store.checked(store.source(Digest(options["digest"])))
    layer = Layer(source, options["name"])
    lines = [_line(member) for member in layer]
    if layer.diff_id != options["diff_id"]:
        raise HostileInput(f"wrong diff ID: {options['name']}", expected=options["diff_id"], got=layer.diff_id)
    listing = "".join(lines).encode("utf-8", "surrogateescape")
    with store.new_source() as incoming:
        incoming.write(listing)
        incoming.commit(Digest.of(listing))
    _adopt(store, Digest(options["digest"]))
    taken = ("name", "digest", "diff_id", "size", "media_type")
    return {**{name: options[name] for name in taken}, "raw": layer.raw, "listing": Digest.of(listing)}


def _adopt(store: Store, digest: Digest) -> None:
    """A fetched file is a blob of images too: the same bytes under a second name."""
    blob = store.blob(digest)
    try:
        os.link(store.source(digest), blob)
    except FileExistsError:
        store.checked(blob)
    except OSError:
        with store.new_blob() as incoming, store.source(digest).open("rb") as stream:
            shutil.copyfileobj(stream, incoming)
            incoming.commit(digest)


def _line(member: Member) -> str:
    """A line of the layer's entry list, as `layer.write` makes them; contents are not told apart by a digest."""
    info = member.info
    if member.kind in {"whiteout", "opaque"}:
        path = f"{member.path}/.wh..opq".lstrip("/") if member.kind == "opaque" else member.path
        return f"whiteout 0000 0:0 0 -\t{escaped(path)}\t\n"
    size = info.size if member.kind == "file" else 0
    mark = f"-> {member.target}" if member.target else ""
    head = f"{member.kind} {info.mode & 0o7777:04o} {info.uid}:{info.gid} {size} {escaped(mark) or '-'}"
    return f"{head}\t{escaped(member.path)}\t\n"
