"""Text of others, made fit for a terminal, a page or the log of a workflow: what these would act upon is escaped."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text with escapes for what is not printable, and for what would be an order to GitHub's runner.

    The runner obeys lines that begin with `::`, and `##[` anywhere (docs.github.com, workflow commands). Bytes that
    were no UTF-8 (surrogates) are escaped too, so the result can be encoded.
    """
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    if text.lstrip().startswith("::"):
        text = text.replace("::", r"\x3a:", 1)
    return text.replace("##[", r"##\x5b") if "##[" in text else text
