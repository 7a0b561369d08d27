"""Whole numbers in texts from outside. `str.isdigit` is no judge of them: it takes ², which is no number to `int`."""

from __future__ import annotations


def digits(text: str, most: int = 18) -> bool:
    """Whether a text is a whole number in ASCII digits, and has no more of them than `most`: then `int` takes it."""
    return text.isascii() and text.isdigit() and len(text) <= most
