"""Names and numbers as people read them. Names come from packages and registries, and may be anything."""

from __future__ import annotations

from builder.escaping import escaped

_LONGEST = 200


def printable(text: str) -> str:
    """The text without anything that a terminal or a page would act upon (`escaped`). Very long texts are cut."""
    return escaped(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def amount(size: int) -> str:
    """Bytes in decimal units: `17 B`, `1.2 kB`, `21.3 MB`, `3.80 GB`."""
    if abs(size) < 1000:
        return f"{size} B"
    if abs(size) < 999_950:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e6:.1f} MB" if abs(size) < 999_950_000 else f"{size / 1e9:.2f} GB"


def grown(size: int) -> str:
    """The same of a difference, with its sign."""
    return f"+{amount(size)}" if size > 0 else amount(size)


def share(part: int, whole: int) -> str:
    """`12.3 %`; `0.0 %` of nothing."""
    return f"{100 * part / whole if whole else 0:.1f} %"


def count(number: int, one: str, several: str = "") -> str:
    """`1 layer`, `3 layers`."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def columns(rows: list[tuple[str, ...]], right: frozenset[int] = frozenset()) -> list[str]:
    """Rows with aligned columns, two spaces between them.

    Args:
        right: the columns that are set flush right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
