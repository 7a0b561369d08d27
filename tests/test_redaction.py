"""Texts of all sorts, from which credentials must be gone."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import HostileInput, Problems, StackbuildError
from builder.redaction import redact

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=4, max_size=20)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://u:p@host:8443/path?q#f", "https://host:8443/path"),
        ("https://token@host/x", "https://host/x"),
        ("https://u:p%40ss@host", "https://host"),
        ("https://a@b:p@host/x", "https://host/x"),
        ("cannot GET https://h/f?X-Amz-Signature=ab12: HTTP 403", "cannot GET https://h/f HTTP 403"),
        ("two: http://a:b@x/1, file:///c@d/e", "two: http://x/1, file:///c@d/e"),
        ("git+https://oauth2:glpat@gitlab.example/g.git@v1", "git+https://gitlab.example/g.git@v1"),
        ('got: "https://a:b@x/y"', 'got: "https://x/y"'),
        ("mail a@b.example, pkg@1.0, C://x", "mail a@b.example, pkg@1.0, C://x"),
        ("http://[::1]:80/x@y", "http://[::1]:80/x@y"),
        ("https://conda.example/t/ab-01234567-89ab-cdef-0123-456789abcdef/x", "https://conda.example/t/***/x"),
        (
            "https://m.example/pool/main/t/texlive-fonts-recommended/x",
            "https://m.example/pool/main/t/texlive-fonts-recommended/x",
        ),
    ],
)
def test_urls_lose_user_info_and_query(text: str, left: str) -> None:
    assert redact(text) == left


@given(WORDS, WORDS)
def test_a_known_secret_is_found_however_it_is_written(user: str, secret: str) -> None:
    sent = b64encode(f"{user}:{secret}".encode()).decode()
    told = f"a {secret} b {quote(secret, safe='')} c Authorization: Basic {sent}"
    left = redact(told, (secret, f"{user}:{secret}"))
    for one in (quote(secret, safe=""), sent):
        assert one not in left or one in "a *** b *** c Authorization: Basic ***"


@given(WORDS, WORDS, WORDS)
def test_what_is_left_of_a_url_has_no_password(user: str, password: str, rest: str) -> None:
    info = f"{quote(user, safe='')}:{quote(password, safe='')}"
    assert redact(f"{rest} https://{info}@host/path") == redact(f"{rest} https://host/path")


def test_a_short_secret_does_not_spoil_the_text() -> None:
    assert redact("a banana", ("a",)) == "a banana"


@pytest.mark.parametrize("field", ["what", "where", "expected", "got", "next_step"])
def test_no_field_of_an_error_has_user_info(field: str) -> None:
    for kind in (StackbuildError, HostileInput):
        error = kind(**{"what": "wrong", field: "at https://u:hunter2@h/p?sig=hunter2"})
        told = f"{error!r} {error} {Problems([error, error])!s}"
        assert "hunter2" not in told
        assert "https://h/p" in told
