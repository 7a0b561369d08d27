"""What the contract of contents asks of an environment's Python packages: judged from its files, and from what its
Python said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from builder.checks import Broken, Environment, Promised, kept
from builder.checks import _root as look
from builder.checks._root import Found, Survey
from builder.files import Files
from builder.kinds.pip.requirement import satisfies


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an environment's Python says of itself.

    Attributes:
        problems: package, module, and what came of importing it.
        places: name and version of each distribution that it sees, and where.
    """

    problems: tuple[tuple[str, str, str], ...] = ()
    places: tuple[tuple[str, str, str], ...] = ()


def installed(root: Files, walked: Survey, one: Environment) -> tuple[Found, ...]:
    """The distributions that lie in an environment."""
    sites = (site for site in walked.sites if look.prefix_of(site) == one.prefix)
    return tuple(found for site in sites for found in look.distributions(root, site))


def pinned(one: Environment, found: Sequence[Found]) -> float:
    there: dict[str, list[str]] = {}
    for each in found:
        there.setdefault(each.name, []).append(each.version)
    wrong = []
    for name, version in sorted(one.pins.items()):
        versions = there.get(name, [])
        if not versions:
            wrong.append(f"{name}=={version} is not there")
        elif len(versions) > 1:
            wrong.append(f"{name}=={version} is there {len(versions)} times: {', '.join(sorted(versions))}")
        elif not _same(versions[0], version):
            wrong.append(f"{name}: the locks say {version}, there is {versions[0] or 'no version'}")
    return kept(wrong)


def unnamed(one: Environment, found: Sequence[Found]) -> float:
    return kept(f"{each.name}=={each.version} in {each.path}" for each in found if each.name not in one.pins)


def files(one: Environment, root: Files, walked: Survey) -> float:
    """Every file that a wheel's RECORD names is there with its bytes; one that two packages claim has either's."""
    claimed: dict[str, set[str]] = {}
    whose: dict[str, str] = {}
    for found in installed(root, walked, one):
        if found.name in one.wheels:
            for path, digest in look.claims(root, found):
                claimed.setdefault(path, set()).add(digest)
                whose.setdefault(path, found.name)
    wrong = []
    for path, digests in claimed.items():
        if "" in digests:  # What was made here, RECORD and bytecode, has no digest.
            if not root.exists(path):
                wrong.append(f"{whose[path]}: {path} is gone")
        elif (found_digest := root.sha256(path)) not in digests:
            wrong.append(f"{whose[path]}: {path} {'is no file' if found_digest is None else 'has other bytes'}")
    return kept(wrong)


def parsed(said: str) -> Said:
    """What `_imports.py` printed; whatever else the image's Python did."""
    lines = [line for line in said.splitlines() if line.startswith("RESULT ")]
    try:
        found = json.loads(lines[-1].removeprefix("RESULT "))
        rows = [tuple((str(a), str(b), str(c)) for a, b, c in found[key]) for key in ("problems", "places")]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        raise Broken("\n".join(["Python does not say what it imported", *said.splitlines()[-5:]])) from None
    return Said(problems=rows[0], places=rows[1])


def importable(said: Said) -> float:
    return kept(f"{name}: {f'import {module}: ' if module else ''}{wrong}" for name, module, wrong in said.problems)


def copies(promised: Promised, one: Environment, root: Files, walked: Survey, said: Said) -> float:
    """Of what is pinned, in folders of packages that no lock answers for, or that the environment's Python sees too.

    Debian's own Python packages, which dpkg brought, are none as long as the environment's Python does not see them.
    """
    own = installed(root, walked, one)
    owned = look.owned_by_dpkg(root)
    homes = {each.prefix for each in promised.environments}
    modules = {each.name: _top(root, each) for each in own if each.name in one.pins}
    top = {module: name for name, each in sorted(modules.items()) for module in each}
    wrong = []
    for site in walked.sites:
        prefix = look.prefix_of(site)
        if prefix in homes:
            continue
        for found in look.distributions(root, site):
            if found.name in one.pins and found.path not in owned and (prefix, found.name) not in promised.held:
                wrong.append(f"{found.name}=={found.version} in {site}")
        if not any(held == prefix for held, _ in promised.held):
            for entry in root.names(site):
                module = entry.partition(".")[0]
                if module in top and f"{site}/{entry}" not in owned and not entry.endswith(("-info", ".pth")):
                    wrong.append(f"{site}/{entry}, a module of {top[module]}")
    for name, version, place in said.places:
        if name in one.pins and look.prefix_of(place) != one.prefix and f"{name}=={version} in {place}" not in wrong:
            wrong.append(f"{name}=={version} in {place}, which {one.prefix}/bin/python3 sees")
    return kept(wrong)


def _top(root: Files, found: Found) -> frozenset[str]:
    """The names that a distribution brings directly into site-packages."""
    inside = (path.removeprefix(found.folder + "/") for path, _ in look.claims(root, found))
    heads = {path.partition("/")[0].partition(".")[0] for path in inside if path.endswith((".py", ".so"))}
    return frozenset(head for head in heads if head.isidentifier())


def _same(found: str, wanted: str) -> bool:
    """Whether two versions are one: `1.0` and `1.0.0` are, `1.0` and `1.0+cpu` are not."""
    try:
        return found == wanted or (satisfies(found, f"x=={wanted}") and satisfies(wanted, f"x=={found}"))
    except ValueError:
        return False
