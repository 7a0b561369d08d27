"""Bundle: one file with all that building some targets takes, for a machine that reaches nothing.

<project>-bundle/README, stackbuild     what to do with it, and the command
<project>-bundle/SHA256SUMS             of everything below
<project>-bundle/program/, wheels/      stackbuild, and what it runs on
<project>-bundle/project/               what of the project a build or a lock reads
<project>-bundle/store/                 pinned files; with results, what is built
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from builder import __version__, program, templates
from builder.action import Action
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.fetching import Fetcher, Progress, foresee, gigabytes
from builder.kinds.oci.reference import parse
from builder.lock import Pin
from builder.manifest.model import Manifest, Target
from builder.own import own
from builder.plan import files_of, present
from builder.platforms import NATIVE
from builder.program import Wheel
from builder.project_files import FOLDERS
from builder.replacing import replacing
from builder.site import Planned
from builder.store import Store
from builder.transports.bundle import Member, from_bytes, from_file, size, stream, sums
from builder.workflow.project import MANIFEST, Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a file will hold. `name` is that of its folder, `size` the bytes of the file."""

    name: str
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        return size(self.name, self.members)


def choose(targets: Sequence[Target], wanted: Sequence[str]) -> tuple[list[Target], list[Target]]:
    """Those of the wanted targets that are bundled, and those that are not: of other platforms, unless named."""
    chosen: list[Target] = []
    left: list[Target] = []
    for target in targets:
        named = any("@" in text and target.matches(text) for text in wanted)
        (chosen if named or target.platform == NATIVE else left).append(target)
    return chosen, left


def pins(planned: Mapping[Target, Planned], targets: Sequence[Target]) -> tuple[Pin, ...]:
    """Every file that building these targets, and starting them, reads: each digest once, in the order of digests."""
    found = {pin.digest: pin for action in _actions(planned, targets) for pin in action.pins}
    return tuple(found[digest] for digest in sorted(found))


def fetch(project: Project, wanted: Sequence[Pin], progress: Progress | None = None) -> None:
    """Let the store hold these files.

    Raises:
        Problems: they cannot be fetched, or are not what they were when they were locked.
        StackbuildError: the disk cannot hold them.
    """
    fetcher = Fetcher(project.manifest, project.store, progress=progress)
    foresee(project.store, fetcher.missing(wanted), 0)
    fetcher(wanted)


def bundle(
    project: Project,
    planned: Mapping[Target, Planned],
    targets: Sequence[Target],
    wheels: Sequence[Wheel],
    *,
    results: bool = False,
) -> Bundle:
    """What a bundle of these targets holds; pinned files may still be missing.

    Args:
        results: with what is built of them already.

    Raises:
        StackbuildError: the project cannot be read.
    """
    store = project.store
    sources = {pin.digest: pin.size for pin in pins(planned, targets)}
    names = {f"store/sources/sha256/{digest.hex}": digest for digest in sources}
    members = [
        Member(name=name, digest=digest, size=sources[digest], content=store.source(digest))
        for name, digest in names.items()
    ]
    members += [
        Member(name=f"wheels/{one.filename}", digest=one.digest, size=one.size, content=store.source(one.digest))
        for one in wheels
    ]
    members += [from_file(f"program/builder/{name}", path) for name, path in program.files()]
    members += {one.name: one for one in _project(project.manifest)}.values()
    if results:
        found = {one.name: one for action in _actions(planned, targets) for one in _result(store, action, sources)}
        members += [one for name, one in found.items() if name not in names]
    members += _own(project.manifest, targets)
    return Bundle(name=f"{project.manifest.project.name}-bundle", members=(*members, sums(members)))


def write(made: Bundle, path: Path) -> Digest:
    """Write the file, which appears whole or not at all; its digest. What is there already stays if it is the same.

    Raises:
        StackbuildError: something else is there; the disk cannot hold it; it cannot be written.
        HostileInput: a file that goes into it has changed.
    """
    data = stream(made.name, made.members)
    try:
        if path.is_file():
            return _compared(data, path)
        if path.exists():  # A pipe, or a device.
            with path.open("wb") as out:
                return _filled(data, out.write)
        free = shutil.disk_usage(path.parent).free
        if made.size > free:
            raise StackbuildError(
                f"not enough room on disk: the bundle needs {gigabytes(made.size)}, {gigabytes(free)} free",
                where=str(path.absolute().parent),
            )
        return _written(data, path)
    except OSError as error:
        raise StackbuildError(
            f"cannot write the bundle {path}", where=str(error.filename or ""), got=str(error.strerror)
        ) from None


def _written(data: Iterator[bytes], path: Path) -> Digest:
    with replacing(path) as out:
        return _filled(data, out.write)


def _filled(data: Iterator[bytes], take: Callable[[bytes], object]) -> Digest:
    hasher = hashlib.sha256()
    for chunk in data:
        hasher.update(chunk)
        take(chunk)
    return Digest("sha256:" + hasher.hexdigest())


def _compared(data: Iterator[bytes], path: Path) -> Digest:
    with path.open("rb") as there:

        def compare(chunk: bytes) -> None:
            if there.read(len(chunk)) != chunk:
                raise _another(path)

        digest = _filled(data, compare)
        if there.read(1):
            raise _another(path)
        return digest


def _another(path: Path) -> StackbuildError:
    return StackbuildError(
        f"there is another file: {path}",
        expected="no file, or the very same bundle",
        next_step=f"rm {path}, or give another name to --output",
    )


# What goes into it ----------------------------------------------------------------------------------------------


def _actions(planned: Mapping[Target, Planned], targets: Sequence[Target]) -> Iterator[Action]:
    """What making these images performs, and what starting or copying them does: a base's layers are read then."""
    seen: set[Digest] = set()
    for target in targets:
        end = planned[target].image
        assert end is not None
        for action in end.walk():
            for one in (action, *(action.content.walk() if action.content is not None else ())):
                if one.plan_key not in seen:
                    seen.add(one.plan_key)
                    yield one


def _result(store: Store, action: Action, sources: Mapping[Digest, int]) -> Iterator[Member]:
    """An action's result with the files that it names, if the store has all of them.

    A base's layer, which is its own source, is left out: the bundle has it already.
    """
    known = store.action(action.plan_key)
    if known is None or not present(store, known["result"]):
        return
    named = list(files_of(known["result"]))
    if any(blob and digest in sources for digest, blob in named):
        return
    for digest, blob in named:
        path = store.blob(digest) if blob else store.source(digest)
        yield Member(
            name=f"store/{path.relative_to(store.path)}", digest=digest, size=path.stat().st_size, content=path
        )
    name = f"actions/{action.plan_key.hex}.json"
    yield from_bytes(f"store/{name}", (store.path / name).read_bytes())


def _project(manifest: Manifest) -> Iterator[Member]:
    """What a plan is made from, and what locking reads: keyrings, keys, folders of channels, indexes and images."""
    folder = manifest.folder.resolve()
    yield from_file(f"project/{MANIFEST}", manifest.path)
    for name in FOLDERS:
        yield from _below(folder, folder / name, links=name == "overlays")
    for archive in manifest.archives.values():
        if (folder / archive.keyring).is_file():
            yield from_file(f"project/{archive.keyring}", folder / archive.keyring)
    for key in sorted({key for target in manifest.targets() for key in manifest.image(target).require_signature}):
        if (path := own(folder, key, "a public key")).is_file():
            yield from_file(f"project/{key}", path)
    urls = [urlsplit(url) for url in (*manifest.channels.values(), *manifest.indexes.values())]
    places = [unquote(url.path) for url in urls if url.scheme == "file"]
    references = [parse(image.base) for image in manifest.images.values() if image.base]
    places += [reference.repository for reference in references if not reference.host]
    for place in places:
        path = (folder / place).resolve()
        if path.is_relative_to(folder) and path != folder:
            yield from _below(folder, path)


def _below(project: Path, folder: Path, *, links: bool = False) -> Iterator[Member]:
    """The files below a folder of the project, without what Python left there.

    Args:
        links: links are content, as in an overlay, and so is everything; elsewhere they are followed.

    Raises:
        StackbuildError: a folder that a link means is none of the project's, or the one that the link is in.
    """
    for base, names, files in os.walk(folder, followlinks=not links):
        names[:] = sorted(name for name in names if links or name != "__pycache__")
        for name in sorted([*files, *(one for one in names if os.path.islink(os.path.join(base, one)))]):
            path = Path(base) / name
            place = f"project/{path.relative_to(project).as_posix()}"
            if links and path.is_symlink():
                yield Member(name=place, target=os.readlink(path))
            elif path.is_file():
                yield from_file(place, path)
            elif path.is_dir():
                _refuse_elsewhere(project, path)


def _refuse_elsewhere(project: Path, link: Path) -> None:
    meant, here = link.resolve(), link.parent.resolve()
    if not meant.is_relative_to(project) or here.is_relative_to(meant):
        raise StackbuildError(
            f"a link to a folder that cannot go along: {link}",
            expected="a folder of the project, and not one that the link is in",
            got=str(meant),
            next_step="put the folder's files in its place",
        )


def _own(manifest: Manifest, targets: Sequence[Target]) -> Iterator[Member]:
    """What the bundle has beside the project: what it is, and its command."""
    said = {
        "@PROJECT@": manifest.project.name,
        "@NAMES@": " ".join(dict.fromkeys(target.image for target in targets)),
        "@TARGETS@": "\n".join(f"    {target}" for target in targets),
        "@PYTHON@": program.python(),
        "@MACHINE@": platform.machine(),
        "@VERSION@": __version__,
    }
    for name in ("README", "stackbuild"):
        text = (templates.folder() / "bundle" / name).read_text("utf-8")
        for mark, value in said.items():
            text = text.replace(mark, value)
        yield from_bytes(name, text.encode(), program=name == "stackbuild")
