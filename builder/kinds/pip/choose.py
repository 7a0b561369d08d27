"""One file for one pin: the wheel that fits the target best, or, where it is allowed, the sdist.

pip and uv leave this to the moment of installing; a lock names the one file, so it is chosen here, and for the
target. Order: not yanked before yanked, then the rank of the best tag (PEP 425), then the higher build number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from builder.cells import CellError
from builder.kinds.pip.page import IndexFile, released
from builder.kinds.pip.target import tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What a file must fit.

    Attributes:
        python: with patch version; platform: `linux/amd64`; glibc: `2.36`.
        cutoff: files uploaded at this time or later are not seen, nor are those whose index does not say.
        cell: the target in words, for messages.
    """

    python: str
    platform: str
    glibc: str
    cutoff: datetime | None = None
    cell: str = ""

    @property
    def needs(self) -> str:
        """What fits, in words."""
        return f"CPython {self.python}, {self.platform}, glibc {self.glibc}"


def choose(name: str, version: str, files: Sequence[IndexFile], fitting: Fitting, *, sdist: bool = False) -> IndexFile:
    """The file of `name==version` to pin.

    Args:
        sdist: a source archive will do where no wheel fits.

    Raises:
        CellError: no file fits; it names those that are there.
    """
    wanted = Version(version)
    there = [file for file in files if released(file.name, name) == wanted]
    seen = [file for file in there if visible(file, fitting)]
    ranked = sorted((rank, file.name, file) for file in seen if (rank := _rank(file, fitting)) is not None)
    if ranked:
        return ranked[0][2]
    archives = [file for file in seen if not file.is_wheel]
    if sdist and archives:
        # A .tar.gz is what PEP 625 allows; a .zip beside it is from older days.
        return min(archives, key=lambda file: (file.yanked, not file.name.endswith(".tar.gz"), file.name))
    found = sorted({str(tag) for file in seen if file.is_wheel for tag in wheel_tags(file)})
    raise CellError(
        f"no wheel for {name}=={version}",
        cell=fitting.cell,
        needs=fitting.needs,
        got=(
            f"wheels for {shortened(found)}"
            if found
            else "a source archive only"
            if archives
            else "its files are all past exclude-newer"
            if there
            else "no file of that version"
        ),
        next_step=(
            f'add "{name}" to sdists, so that it is built in the sandbox' if archives else elsewhere(name, fitting)
        ),
    )


def elsewhere(name: str, fitting: Fitting) -> str:
    """What to do about a package that has no file for a platform."""
    return (
        f"take another version of {name}, or narrow `platforms` of the image or its variant, "
        f"so that {fitting.platform} is left out"
    )


def shortened(tags: Sequence[str]) -> str:
    """Tags in a line: the first few, and how many more."""
    return ", ".join(tags[:8]) + (f" and {len(tags) - 8} more" if len(tags) > 8 else "")


def visible(file: IndexFile, fitting: Fitting) -> bool:
    """Whether the cutoff and the file's Requires-Python let it be seen. A broken specifier allows all, as in pip."""
    if fitting.cutoff is not None and (file.uploaded is None or file.uploaded >= fitting.cutoff):
        return False
    if not file.requires_python:
        return True
    try:
        return SpecifierSet(file.requires_python).contains(fitting.python, prereleases=True)
    except InvalidSpecifier:
        return True


def fits(file: IndexFile, fitting: Fitting) -> bool:
    """Whether a wheel can be loaded by the target; False for an sdist."""
    return _rank(file, fitting) is not None


def wheel_tags(file: IndexFile) -> Collection[Tag]:
    """The tags of a wheel; none if its name is broken."""
    try:
        return parse_wheel_filename(file.name)[3]
    except InvalidWheelFilename:
        return ()


def _rank(file: IndexFile, fitting: Fitting) -> tuple[bool, int, tuple[int, str]] | None:
    """Smaller is better; None if the target cannot load it."""
    if not file.is_wheel:
        return None
    try:
        _, _, build, offered = parse_wheel_filename(file.name)
    except InvalidWheelFilename:
        return None
    known = tags(fitting.python, fitting.platform, fitting.glibc)
    ranks = [known[tag] for tag in offered if tag in known]
    number, suffix = build or (0, "")
    return (file.yanked, min(ranks), (-number, suffix)) if ranks else None
