"""Take credentials out of a text: errors, tracebacks and the words of other programs go through here.

Two things are taken out: of every URL its user info, query and fragment (RFC 3986 §3; a signed URL has its secret in
the query) and a token in its path, and secrets that the caller knows, however they are written.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

# Lengths have limits, so that a hostile text takes no longer than another one.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20}://)(?:[^\s/?#]*@)?(?P<rest>[^\s'\"<>`?#]*)(?P<more>[?#][^\s'\"<>`]*)?"
)
_TOKEN = re.compile(r"(://(?:(?!/pool/)[^\s'\"<>?#]){0,300}?/t/)[^/\s'\"<>?#]+")
"""Servers of conda channels take a token as a part of the path: `/t/TOKEN/channel`. In an archive's pool, `t` is only
the letter that packages begin with.
"""

_SHORTEST = 4
"""Secrets that are shorter stand in too many words to be told from them."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without user info, query and fragment of its URLs, and with `***` for each of the secrets.

    Args:
        secrets: passwords and tokens, as a person would type them; `user:password` is also found as HTTP sends it.
    """
    # The secrets first, since a password with a slash or a blank in it makes a URL end early.
    written = {one for secret in secrets if len(secret) >= _SHORTEST for one in _written(secret)}
    for secret in sorted(written, key=lambda one: (-len(one), one)):
        text = text.replace(secret, "***")
    return _TOKEN.sub(r"\1***", _URL.sub(r"\g<scheme>\g<rest>", text)) if "://" in text else text


def _written(secret: str) -> Iterator[str]:
    """How a secret may look: as it is, in a URL (RFC 3986 §2.1), and as the Basic scheme has it (RFC 7617)."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    if ":" in secret:
        yield b64encode(secret.encode()).decode()
