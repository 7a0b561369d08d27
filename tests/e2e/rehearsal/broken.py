"""Two branches that git merges without a conflict, though together they are no solution.

    pandas goes to 3, which needs pytz no more  +  a child gets croniter, which needs pytz      lock mends it
    numba goes back to last year's version      +  numpy goes to today's, which that refuses    only a bump does

Among the bumps of this year no two were of the kind, so these are made up, of real packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.e2e.rehearsal import texts
from tests.e2e.rehearsal.branches import Judged, Place, bump, faults, judge

_CRONITER: Final = "croniter==6.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What came of a merge.

    Attributes:
        checked: what `lock --check` said of it; "" for nothing.
        faults: what the texts say.
        refused: what `lock` said if it found no solution.
        mended: what was moved in the end; nothing is left to say for `lock --check`.
    """

    name: str
    checked: str
    faults: tuple[str, ...]
    refused: str
    mended: Judged


def broken(place: Place, pins: Mapping[str, str], newest: Mapping[str, str]) -> tuple[Broken, ...]:
    """Both of them; `side_by_side` has made the branches `one/…`."""
    place.git("switch", "--quiet", "--create", "croniter", "start")
    text = place.text()
    first = f'    "lmfit=={pins["lmfit"]}",\n'
    assert first in text
    (place.folder / "stacks.toml").write_text(text.replace(first, f'    "{_CRONITER}",\n\n{first}'), "utf-8")
    place.site.run("lock")
    place.commit("A child gets croniter")
    going = _merged(place, "croniter, one/pandas", "one/pandas", lambda: place.site.run("lock"))
    for branch, versions in (("back", {"numba": pins["numba"]}), ("numpy", {"numpy": newest["numpy"]})):
        said = bump(place, branch, versions, start="one/numba")
        assert said.code == 0, said.err
    again = f"numba=={newest['numba']}"
    return going, _merged(place, "numba back, numpy", "back", lambda: place.site.run("bump", again))


def _merged(place: Place, name: str, branch: str, mend: Callable[[], object]) -> Broken:
    """Merge a branch into the one that is checked out, without a conflict; mend what comes of it."""
    place.git("merge", "--quiet", "--no-ff", "--no-edit", branch)
    merged = texts.at(place.folder, "HEAD")
    checked = place.site.try_("lock", "--check")
    refused = place.site.try_("lock")
    place.git("reset", "--quiet", "--hard")
    mend()
    place.commit(f"Mend {name}")
    assert place.site.run("lock", "--check").code == 0
    mended = judge(place, merged, texts.at(place.folder, "HEAD"), frozenset({"numba"}))
    place.git("switch", "--quiet", "main")
    return Broken(
        name=name,
        checked=checked.err if checked.code else "",
        faults=faults(merged),
        refused=refused.err if refused.code else "",
        mended=mended,
    )
