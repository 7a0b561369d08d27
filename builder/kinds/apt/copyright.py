"""What a Debian package's copyright file says, where it is written for machines.

    License: GPL-2+ or Expat              the short names of each paragraph; what is certain becomes SPDX's
    License: GPL-2+ with OpenSSL exception        a LicenseRef

A file that is prose is left alone: which of the licences that it mentions hold is for people to say.

Source: Debian, "Machine-readable debian/copyright file", version 1.0 (DEP 5), 7.2 "Syntax" and "Short name".
"""

from __future__ import annotations

import re

from builder.licences import NONE, Licence, name, reference, spdx

_FORMAT = re.compile(r"format(-specification)?:.*(copyright-format|dep5|dep-5|dep/dep5)", re.IGNORECASE)
_LICENCE = re.compile(r"^License:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_VERSIONED = re.compile(r"(GPL|LGPL|AGPL|GFDL)-(\d+)(?:\.(\d+))?(\+?)")
_FAMILIES = {
    "GPL": {"1.0", "2.0", "3.0"},
    "LGPL": {"2.0", "2.1", "3.0"},
    "AGPL": {"1.0", "3.0"},
    "GFDL": {"1.1", "1.2", "1.3"},
}
_SAME = {
    "expat": "MIT",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "apache-1.0": "Apache-1.0",
    "apache-1.1": "Apache-1.1",
    "apache-2.0": "Apache-2.0",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "isc": "ISC",
    "zlib": "Zlib",
    "cc0-1.0": "CC0-1.0",
    "bsl-1.0": "BSL-1.0",
    "unicode-dfs-2016": "Unicode-DFS-2016",
    "unlicense": "Unlicense",
    "0bsd": "0BSD",
    "ofl-1.1": "OFL-1.1",
    "cc-by-3.0": "CC-BY-3.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "psf-2.0": "PSF-2.0",
    "curl": "curl",
}
"""Short names that mean one licence. Not among them, as they mean several: Artistic, BSD, MIT, Perl, PSF, ZPL."""
_MOST = 200
"""A file with more different licences than that is left alone."""


def licence(text: str) -> Licence:
    """All licences of a copyright file, each paragraph's joined by AND; none where it is not for machines."""
    if not _FORMAT.match(text.lstrip("\ufeff \n")):
        return NONE
    lines = sorted({name(line) for line in _LICENCE.findall(text)} - {""})
    if not lines or len(lines) > _MOST:
        return NONE
    references: dict[str, str] = {}
    parts = sorted({_expression(line, references) for line in lines})
    whole = parts[0] if len(parts) == 1 else " AND ".join(f"({one})" if " OR " in one else one for one in parts)
    return Licence(expression=whole, references=tuple(sorted(references.items())))


def _expression(line: str, references: dict[str, str]) -> str:
    """One line's names. `and` binds before `or`, as in SPDX; a comma before either turns that round."""
    if "," in line:
        before, comma, after = line.rpartition(", and ")
        if not comma or "," in before + after:
            return _atom(line, references)
        one, other = _expression(before, references), _expression(after, references)
        return " AND ".join(f"({side})" if " OR " in side else side for side in (one, other))
    either = [
        " AND ".join(_atom(word, references) for word in re.split(r"\s+and\s+", both))
        for both in re.split(r"\s+or\s+", line)
    ]
    return " OR ".join(either)


def _atom(word: str, references: dict[str, str]) -> str:
    word = word.strip()
    if found := _SAME.get(word.lower()) or _versioned(word):
        return found
    ref = reference(word)
    references[ref] = word
    return ref


def _versioned(word: str) -> str:
    """`GPL-2+` → `GPL-2.0-or-later`, and the like; "" where that is no version of the licence."""
    match = _VERSIONED.fullmatch(word)
    if match is None:
        return ""
    family, version = match[1], f"{match[2]}.{match[3] or '0'}"
    if version not in _FAMILIES[family]:
        return ""
    return spdx(f"{family}-{version}-{'or-later' if match[4] else 'only'}")
