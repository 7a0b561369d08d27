"""A request in, a lock out: the only step of this kind that trusts a moving network.

    repodata of each channel × (subdir, noarch) ─→ solve (rattler, in a process) ─→ own records ─→ pins ─→ check ─→ lock
                                                     ↑ ancestors' records: forced
                                                     ↑ records locked before: preferred

Ancestors' records stand among what is asked for, so that their constraints hold too, and are left out of the lock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from builder.digest import Digest
from builder.errors import HostileInput
from builder.kinds.conda import request
from builder.kinds.conda.distributions import Distributions
from builder.kinds.conda.document import CondaLock, with_via
from builder.kinds.conda.failure import explain
from builder.kinds.conda.places import Channels
from builder.kinds.conda.question import CondaQuestion
from builder.kinds.conda.record import Record, of_pin
from builder.kinds.conda.record import fields as fields_of
from builder.kinds.conda.repodata import Repodata
from builder.kinds.conda.solve import NoSolution, Problem, solve
from builder.kinds.conda.virtual import subdir
from builder.lock import Pin
from builder.manifest.shape import request_name
from builder.net import Client
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the resolutions of one run share."""

    channels: Channels
    repodata: Repodata
    distributions: Distributions
    client: Client
    store: Store


def resolve(question: CondaQuestion, means: Means) -> CondaLock:
    """The lock that answers a question. Safe with many threads.

    Raises:
        StackbuildError: no solution, a conflict with an ancestor, a channel that lacks something or does not answer.
    """
    question = replace(question, request=request.normalise(question.request))
    problem = _problem(question, means)
    try:
        found = solve(problem, means.store)
    except NoSolution as error:
        raise explain(error, question, problem, means.store) from None
    inherited = question.pinned
    own = [one for one in found if one.name not in inherited]
    old = {pin.filename: pin for pin in question.existing.pins} if question.existing else {}

    pins = means.client.each(lambda one: _pin(one, old.get(f"{one.subdir}/{one.file}"), means), own)
    return with_via(
        CondaLock(
            request=question.request,
            pins=tuple(pins),
            subdir=subdir(question.target.platform),
            channels=tuple((name, means.channels.public(name)) for name in question.channels),
            virtual=question.virtual,
        )
    )


def _problem(question: CondaQuestion, means: Means) -> Problem:
    subdirs = (subdir(question.target.platform), "noarch")
    inherited = [of_pin(pin) for _, pin in question.pinned.values()]
    exact = [f"{one.name} =={one.version} {one.build}" for one in inherited]
    old = question.existing.pins if question.existing else ()
    return Problem(
        channels={name: {one: means.repodata.path(name, one) for one in subdirs} for name in question.channels},
        specs=(*exact, *(request.spec(item) for item in question.request)),
        virtual=question.virtual,
        pinned=tuple(inherited),
        locked=tuple(of_pin(pin) for pin in old if not {pin.name, request_name(pin.name)} & question.upgrade),
        cutoff=question.exclude_newer,
        exempt=question.exempt,
    )


def _pin(record: Record, old: Pin | None, means: Means) -> Pin:
    """The pin of a chosen record; what did not move keeps what was learnt of it."""
    if old is not None and old.source == record.channel and of_pin(old) == replace(record, purls=(), timestamp=0):
        return replace(old, via=())
    whole = _completed(record, means)
    bare = whole.pin(())
    if old is not None and old.digest == bare.digest:
        return whole.pin(fields_of(old, "pypi"))
    return whole.pin(means.distributions(whole, means.channels.files(bare)))


def _completed(record: Record, means: Means) -> Record:
    """The record with both digests and the size, which the format wants, though some channels leave one out."""
    if record.md5 and record.sha256 and record.size:
        return record
    url = means.channels.files(record.pin(()))[0]
    with means.store.new_source() as incoming:
        digest, size = means.client.learn(url, incoming)
    md5 = hashlib.md5(usedforsecurity=False)
    with means.store.source(digest).open("rb") as stream:
        while chunk := stream.read(1 << 20):
            md5.update(chunk)
    for what, said, got in (
        ("sha256", record.sha256, Digest(digest).hex),
        ("md5", record.md5, md5.hexdigest()),
        ("size", str(record.size or ""), str(size)),
    ):
        if said and said != got:
            raise HostileInput(f"wrong {what}: {record.file} of channel {record.channel}", expected=said, got=got)
    return replace(record, sha256=digest.hex, md5=md5.hexdigest(), size=size)
