"""A project in git, and one bump as a branch of it: made with the command, judged by the texts, merged, built."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.project import Said, Site
from tests.e2e.rehearsal import compared, family, forced, texts
from tests.e2e.rehearsal.spared import spared
from tests.e2e.rehearsal.texts import Locks


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What two revisions of the locks differ in, as their texts say.

    Attributes:
        touched: targets in which a package differs.
        moved: packages that moved, came or went beside those that were bumped, each once, with why.
        unforced: of these, such as need not have, all others being as they are or were.
        spared: such as could have stayed with another version of something else.
        faults: why the locks are no solution.
        needless: lines that changed for nothing.
    """

    touched: frozenset[str]
    moved: Mapping[str, str]
    unforced: tuple[str, ...]
    spared: tuple[str, ...]
    faults: tuple[str, ...]
    needless: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bumped:
    """A branch that was merged.

    Attributes:
        name: what was bumped, in one word.
        lines: that git counts in locks, added and removed.
        wrong: what `diff` or `plan` said against the texts.
        rebuilt: targets whose image is another one, or was composed.
        foreign: builds, or other digests, of targets that nothing touched.
        actions: that ran.
        seconds: by command.
    """

    name: str
    versions: Mapping[str, tuple[str, str]]
    lines: tuple[int, int]
    judged: Judged
    wrong: tuple[str, ...]
    rebuilt: tuple[str, ...]
    foreign: tuple[str, ...]
    actions: int
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A bump that there was no solution for.

    Attributes:
        said: the error, whole.
        left: what git finds changed afterwards; "" as it must be.
    """

    name: str
    said: str
    left: str


@dataclass(frozen=True, slots=True)
class Place:
    """A project that is a git repository, on the branch `main`."""

    site: Site
    cutoff: str

    @property
    def folder(self) -> Path:
        return self.site.folder

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, "-C", str(self.folder), *words], capture_output=True, text=True, check=True)
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def text(self) -> str:
        return (self.folder / "stacks.toml").read_text("utf-8")


def bump(place: Place, branch: str, versions: Mapping[str, str], *, start: str = "main") -> Said:
    """A new branch with the bump committed, where there is a solution; else none, and back on the start."""
    place.git("switch", "--quiet", "--create", branch, start)
    said = place.site.try_("bump", *(f"{name}=={version}" for name, version in versions.items()))
    if said.code == 0:
        place.commit(f"Bump {', '.join(versions)}")
    return said


def rehearse(place: Place, versions: Mapping[str, str]) -> Bumped | Refused:
    """Bump on a branch of `main`, look at what the commands say of it, merge it, and build what it touches."""
    name, text = " ".join(versions), place.text()
    branch = f"bump/{'-'.join(versions)[:100]}"
    seconds: dict[str, float] = {}
    said = _timed(seconds, "bump", lambda: bump(place, branch, versions))
    if said.code:
        left = place.git("status", "--porcelain")
        place.git("reset", "--quiet", "--hard")
        place.git("switch", "--quiet", "main")
        place.git("branch", "--quiet", "--delete", branch)
        return Refused(name=name, said=said.err, left=left)
    before, after = texts.at(place.folder, "main"), texts.at(place.folder, branch)
    judged = judge(place, before, after, frozenset(versions))
    told = _timed(seconds, "diff", lambda: json.loads(place.site.run("diff", "--since", "main", "--json").out))
    plan = _timed(seconds, "plan", lambda: json.loads(place.site.run("plan", "--since", "main", "--json").out))
    wrong = [*compared.wrong(told, family.chains(), before, after), *_unplanned(plan, judged.touched)]
    lines = texts.lines(place.folder, "main", branch)
    place.git("switch", "--quiet", "main")
    place.git("merge", "--quiet", "--no-ff", "--no-edit", branch)
    digests = built(place.site)
    ran = _timed(seconds, "build", lambda: place.site.run("build", "--since", "main~1", "--no-start")).performed
    now = built(place.site)
    other = {target for target in family.chains() if digests[target] != now[target]}
    foreign = [f"{target} has another digest" for target in sorted(other - judged.touched)]
    foreign += [one for one in ran if _target(one) not in judged.touched]
    stale = place.site.run("build", "--dry-run").out.strip()
    wrong += [f"not built: {line}" for line in stale.splitlines()]
    return Bumped(
        name=name,
        versions={one: (_pinned(text, one), version) for one, version in versions.items()},
        lines=lines,
        judged=judged,
        wrong=tuple(wrong),
        rebuilt=tuple(sorted(other | set(map(_target, ran)))),
        foreign=tuple(foreign),
        actions=len(ran),
        seconds=seconds,
    )


def judge(place: Place, before: Locks, after: Locks, bumped: frozenset[str]) -> Judged:
    """What the texts of the locks say, and uv of single packages."""
    touched, moved = set(), dict[str, str]()
    unforced, kept, needless = list[str](), list[str](), list[str]()
    for target, chain in family.chains().items():
        if compared.differing(chain, before, after):
            touched.add(target)
        step = forced.step(chain, before, after, bumped)
        needless += [
            f"{target}: {one}" for one in compared.needless(before.own(*chain[-1]), after.own(*chain[-1]), bumped)
        ]
        if step.changed:
            moved |= forced.reasons(step, sorted(step.changed))
            unforced += [f"{target}: {one}" for one in forced.unforced(step)]
            kept += [f"{target}: {one}" for one in spared(step, place.cutoff, place.folder.parent / "uv")]
    return Judged(
        touched=frozenset(touched),
        moved=moved,
        unforced=tuple(unforced),
        spared=tuple(kept),
        faults=faults(after),
        needless=tuple(needless),
    )


def faults(locks: Locks) -> tuple[str, ...]:
    """Why locks are no solution, as their texts say."""
    none = frozenset[str]()
    return tuple(
        f"{target}: {fault}"
        for target, chain in family.chains().items()
        for fault in forced.faults(forced.step(chain, locks, locks, none))
    )


def built(site: Site) -> dict[str, str]:
    """Target → digest of its image, by the store's tags; "" for what is not built."""
    index = json.loads((site.store_path / "images/index.json").read_bytes())
    tags = {one["annotations"]["org.opencontainers.image.ref.name"]: one["digest"] for one in index["manifests"]}
    found = {}
    for target in family.chains():
        image, variant, system = re.split("[:@]", target)
        suffix = "" if variant == "cpu" else f"-{variant}"
        found[target] = tags.get(f"{image}{suffix}-{system.replace('/', '-')}", "")
    return found


def _unplanned(plan: Any, touched: frozenset[str]) -> list[str]:
    targets = {target for job in plan for target in job["targets"].split()}
    return [f"plan is wrong about {target}" for target in sorted(targets ^ touched)]


def _pinned(text: str, name: str) -> str:
    found = re.search(rf'"{re.escape(name)}==([^"]+)"', text)
    assert found is not None, name
    return found[1]


def _target(line: str) -> str:
    """The target that a line of a build is about; "" where none is named."""
    return next((one for one in family.chains() if re.search(rf"(^| ){re.escape(one)}($|[ ,])", line)), "")


def _timed(seconds: dict[str, float], what: str, run: Any) -> Any:
    begun = time.monotonic()
    found = run()
    seconds[what] = time.monotonic() - begun
    return found
