"""Whether a base image is signed by whom the manifest names: looked at once, when it is locked, and kept in the lock.

A lock names index and manifest by digest, so what was signed then is what is built on ever after: a build need not ask
again, and works where no registry is. What it must not do is build on a lock that was made when nobody had asked for a
signature, or by a key that the manifest does not name any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from builder.errors import StackbuildError
from builder.kinds.oci.lockfile import BaseLock
from builder.kinds.oci.source import Source
from builder.locking import relative
from builder.locks import Locks
from builder.manifest.model import Manifest, Target
from builder.own import own
from builder.signatures.keys import PublicKey, public
from builder.signatures.search import search


def keys(manifest: Manifest, target: Target) -> tuple[PublicKey, ...]:
    """The keys of which one must have signed the target's base; none where none need.

    Raises:
        StackbuildError: one is not there, or no key, or reached through a link.
    """
    paths = manifest.image(target).require_signature
    return tuple(public(own(manifest.folder, path, "a public key"), path) for path in paths)


def stands(lock: BaseLock, known: Sequence[PublicKey]) -> bool:
    """Whether the lock says that one of the keys had signed; or nothing, where there is none."""
    return lock.signed_by in [(one.name, one.digest) for one in known] if known else lock.signed_by is None


def vouched(lock: BaseLock, source: Source, known: Sequence[PublicKey], where: str) -> BaseLock:
    """The lock with the key that has signed its index or its manifest.

    Args:
        where: the line of the image in the manifest.

    Raises:
        StackbuildError: none has; the registry refuses, or does not answer.
        HostileInput: what lies beside the image are no signatures.
    """
    if not known:
        return replace(lock, signed_by=None)
    defects: dict[str, None] = {}
    for digest in dict.fromkeys((lock.index, lock.manifest)):
        found = search(source, digest, known)
        if found.key is not None:
            return replace(lock, signed_by=(found.key.name, found.key.digest))
        defects[found.why] = None
    raise StackbuildError(
        f"not signed: {lock.name}@{lock.index}",
        where=where,
        expected="a signature by " + " or ".join(one.name for one in known),
        got="\n".join(defects),
        next_step="take an image that is signed, or name its signer's key in require-signature",
    )


def unasked(manifest: Manifest, target: Target) -> StackbuildError | None:
    """The error for a family that begins with a foreign image of which no signature is asked; None for any other."""
    target = manifest.lineage(target)[0]
    image = manifest.image(target)
    if not image.base or image.require_signature:
        return None
    return StackbuildError(
        f"nobody says who must have signed the base image of {target}: {image.base}",
        where=manifest.place(target.image),
        next_step='require-signature = ["keys/NAME.pub"], with the public key of whoever signs it',
    )


def unsigned(manifest: Manifest, targets: Sequence[Target], locks: Locks) -> Iterator[StackbuildError]:
    """Which of the foreign images that these families begin with are not said to be signed; needs no network."""
    for root in dict.fromkeys(manifest.lineage(target)[0] for target in targets):
        lock = locks.read(root, "oci")
        if (error := unasked(manifest, root)) is not None:
            yield error
        elif isinstance(lock, BaseLock) and not stands(lock, keys(manifest, root)):
            yield StackbuildError(
                f"lock is stale: {root}, oci",
                where=relative(manifest, locks.path(root, "oci")),
                expected="an image that is signed as stacks.toml says",
                next_step=f"stackbuild lock {root.image}",
            )
