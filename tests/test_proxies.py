"""Which proxy for which URL."""

from __future__ import annotations

import pytest

from builder.errors import StackbuildError
from builder.proxies import bypassed, loopback, proxy


@pytest.mark.parametrize(
    ("url", "environ", "through"),
    [
        ("https://h.example/x", {}, ""),
        ("https://h.example/x", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://h.example/x", {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ("https://h.example/x", {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "http://low:1"),
        ("https://h.example/x", {"http_proxy": "http://p:1"}, ""),
        ("https://h.example/x", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https://h.example/x", {"https_proxy": "http://p:1", "no_proxy": "other, .example"}, ""),
        ("http://127.0.0.1:8/x", {"http_proxy": "http://p:1"}, ""),
        ("http://[::1]:8/x", {"http_proxy": "http://p:1"}, ""),
        ("nonsense", {"all_proxy": "http://p:1"}, ""),
    ],
)
def test_the_variable_that_counts(url: str, environ: dict[str, str], through: str) -> None:
    assert proxy(url, environ) == through


def test_a_proxy_that_the_client_cannot_use() -> None:
    with pytest.raises(StackbuildError, match="not a proxy") as caught:
        proxy("https://h.example/x", {"https_proxy": "socks5://u:hunter2@p:1"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "port", "rules", "listed"),
    [
        ("a.example", 443, "*", True),
        ("a.example", 443, "", False),
        ("a.example", 443, ",,", False),
        ("a.example", 443, "example", True),
        ("a.example", 443, ".example", True),
        ("a.example", 443, "*.example", True),
        ("A.Example", 443, "a.EXAMPLE", True),
        ("anexample", 443, "example", False),
        ("a.example", 443, "a.example:443", True),
        ("a.example", 443, "a.example:80", False),
        ("a.example", None, "a.example:80", False),
        ("10.1.2.3", 80, "10.0.0.0/8", True),
        ("10.1.2.3", 80, "10.1.2.3", True),
        ("10.1.2.3", 80, "10.1.2.3:80", True),
        ("10.1.2.3", 80, "10.1.2.4/32", False),
        ("fd00::1", 80, "fd00::/8", True),
        ("fd00::1", 80, "[fd00::1]", True),
        ("a.example", 80, "10.0.0.0/8", False),
    ],
)
def test_no_proxy(host: str, port: int | None, rules: str, listed: bool) -> None:
    assert bypassed(host, port, rules) is listed


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine(host: str) -> None:
    assert loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.example", "127.0.0.1.example", "10.0.0.1", "0.0.0.0", "notlocalhost"])
def test_other_machines(host: str) -> None:
    assert not loopback(host)
