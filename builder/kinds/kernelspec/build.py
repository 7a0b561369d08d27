"""Plan and perform: kernel images' digests and launchers → folders of kernelspecs, one small layer.

    image of kernel-py (its result: a digest) ─┐
    wheel of gateway_provisioners ─────────────┼─▶ /usr/local/share/jupyter/kernels/NAME/{kernel.json,scripts/…}
    the manifest's words ──────────────────────┘

An edge of the graph that is not `from`: the plan key has the kernel image's plan key, the key the digest of its result.
So a kernel image that is built again with the same bytes rebuilds nothing here, and one that changes only this layer.

The digest is that of the kernel image's manifest for the same platform, not of an index over several. An index needs
all platforms to be built, here or elsewhere, and is another one once a platform joins; so it could be no part of a key.
The price: a gateway starts kernels of its own architecture only, which a cluster of mixed machines must be told.

The launchers are those of the wheel that the kernel image's own environment is locked to, else this image's: launcher
and bootstrap-kernel.sh come of one version, whatever speaks between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from builder.action import Action, Result, Workshop
from builder.digest import Json
from builder.errors import StackbuildError
from builder.kinds.kernelspec import document, launchers
from builder.kinds.kernelspec.request import KEY, Request, requests
from builder.kinds.oci import standing
from builder.listing import folders
from builder.lock import Pin
from builder.parts import write_parts
from builder.site import Planned, Site
from builder.tree import Bytes, Entry, with_parents

KIND: Final = "kernelspec"
VERSION: Final = 3
FROM_LISTINGS: Final = frozenset({KIND})
_FOLDER: Final = document.FOLDER.strip("/")
_WAY: Final = tuple(_FOLDER[:end] for end, one in enumerate(_FOLDER + "/") if one == "/")


def plan(site: Site) -> tuple[Action, ...]:
    """One layer with all kernelspecs of the image.

    Raises:
        StackbuildError: an image is no kernel image, or nothing says of which version its launcher is to be.
    """
    specs: dict[str, Json] = {}
    needs = {f"below-{n}": action for n, action in enumerate(site.below()) if action.kind in {"apt", "account"}}
    sources: dict[str, Pin] = {}
    for one in requests(site.manifest, site.target):
        end = site.named[one.kernel].image
        assert end is not None, one
        specs[one.name] = _spec(site, one)
        needs[f"image of {one.name}"] = end
        sources[f"launchers of {one.name}"] = _wheel(site, one)
    if not specs:
        return ()
    options: dict[str, Json] = {"specs": specs, "codec": site.codec}
    foreign = standing.of(site)
    if foreign is not None:
        options["standing"] = foreign.among(_WAY)
    called = f"{KEY} of {site.target}"
    return (Action(kind=KIND, version=VERSION, name=called, options=options, needs=needs, sources=sources),)


def _spec(site: Site, one: Request) -> Json:
    repository = site.manifest.published(one.kernel)
    if "/" not in repository:
        raise StackbuildError(
            f"nobody could pull it: {repository}@sha256:…",
            where=site.manifest.where(site.target, KEY, one.name),
            expected="a registry, which kernelspecs can name",
            next_step='repository = "registry.example.com/notebooks/{image}" in [project]',
        )
    theirs = _site(site, one)
    found: dict[str, Json] = {
        "display": one.display,
        "language": one.language,
        "reader": one.reader,
        "repository": repository,
    }
    if document.encrypts((*theirs.pins("pip").values(), *theirs.pins("conda").values())):
        found["encrypts"] = True
    return found


def _site(site: Site, one: Request) -> Site:
    """The kernel image, with its locks and its ancestors'."""
    above = tuple(Planned(target=each, actions=()) for each in site.manifest.lineage(one.kernel)[:-1])
    return Site(manifest=site.manifest, target=one.kernel, locks=site.locks, ancestors=above)


def _wheel(site: Site, one: Request) -> Pin:
    """The wheel with the launchers, of the kernel image's lock, else of this one's."""
    for each in (_site(site, one), site):
        found = each.pins("pip").get(launchers.PACKAGE)
        if found is not None and found.filename.endswith(".whl"):
            return found
    raise StackbuildError(
        f"no launcher for the kernelspec {one.name}",
        where=site.manifest.where(site.target, KEY, one.name),
        expected=f"a wheel of {launchers.PACKAGE} in the locks of {one.kernel.image} or {site.target.image}",
        next_step=f'pip = ["{launchers.PACKAGE}==0.5.0"] in images.{one.kernel.image}, then stackbuild lock',
    )


def perform(action: Action, results: Mapping[str, Result], workshop: Workshop) -> Result:
    """Lay the folders. Those on the way that a layer below has are repeated as they stand there.

    Returns:
        `layers`, and `names`: the references of the images that are named, sorted.

    Raises:
        StackbuildError: a folder on the way is a link; a wheel has no launcher.
        HostileInput: a wheel is none.
    """
    options = cast(dict[str, Any], action.options)
    entries, names = [], []
    for name, spec in options["specs"].items():
        wheel = action.sources[f"launchers of {name}"]
        digest = results[f"image of {name}"]["manifest"]["digest"]
        reference = f"{spec['repository']}@{digest}"
        text = document.dumps(
            document.Spec(
                reader=spec["reader"],
                language=spec["language"],
                display=spec["display"],
                reference=reference,
                name=name,
                encrypts=spec.get("encrypts", False),
            )
        )
        names.append(reference)
        path = workshop.store.source(wheel.digest)
        found = launchers.files(path, wheel.filename, spec["reader"], spec["language"])
        for file, data in (("kernel.json", text.encode()), *found):
            entries.append(Entry(f"{_FOLDER}/{name}/{file}", "file", 0o644, content=Bytes(data)))
    laid = with_parents(entries, _standing(action, results, workshop))
    return {**write_parts(workshop, [(KEY, laid)], options["codec"]), "names": sorted(set(names))}


def _standing(action: Action, results: Mapping[str, Result], workshop: Workshop) -> dict[str, Entry]:
    """The folders on the way, as they stand below."""
    roots = [result for role, result in results.items() if role.startswith("below-")]
    stand, links = folders(workshop.store, roots)
    found = {path: [int(one.mode, 8), *map(int, one.ids.split(":"))] for path, one in stand.items() if path in _WAY}
    for path, one in cast(Any, action.options).get("standing", {}).items():
        if isinstance(one, str):
            links.setdefault(path, one)
        else:
            found.setdefault(path, one)
    for path in _WAY:
        if path in links:
            raise StackbuildError(
                f"kernelspecs would replace a link of the image: /{path} -> {links[path]}",
                where=action.name,
                expected=f"a folder, as everywhere else, for {document.FOLDER}",
            )
    return {path: Entry(path, "dir", mode, uid, gid) for path, (mode, uid, gid) in found.items()}
