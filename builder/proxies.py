"""Which proxy a URL is fetched through, as the environment says: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.

Lower case counts before upper case. A host of this machine is never asked through a proxy: the proxy's loopback is
another one, and credentials may travel to ours in clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from builder.digits import digits
from builder.errors import StackbuildError
from builder.redaction import redact

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def proxy(url: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL, perhaps with user info; "" for none.

    Raises:
        StackbuildError: it is neither http nor https, which is all that the HTTP client can do.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or loopback(host) or bypassed(host, parts.port, value("no_proxy", environ)):
        return ""
    found = value(f"{parts.scheme}_proxy", environ) or value("all_proxy", environ)
    if not found:
        return ""
    found = found if "://" in found else f"http://{found}"
    if urlsplit(found).scheme not in {"http", "https"}:
        raise StackbuildError(
            "not a proxy that stackbuild can use",
            expected="an http or https URL",
            got=redact(found),
            next_step=f"set {parts.scheme}_proxy to such a proxy",
        )
    return found


def value(name: str, environ: Mapping[str, str]) -> str:
    """A variable that may be written in either case; "" where it is not set."""
    return environ.get(name) or environ.get(name.upper(), "")


def loopback(host: str) -> bool:
    """Whether a host name means this machine (RFC 6761 §6.3, RFC 6890)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def bypassed(host: str, port: int | None, rules: str) -> bool:
    """Whether `no_proxy` lists the host: `*`, a domain with all below it, an address, a network, each with a port."""
    return any(_lists(rule.strip().lower(), host.lower(), port) for rule in rules.split(","))


def _lists(rule: str, host: str, port: int | None) -> bool:
    if rule == "*":
        return True
    try:
        return ip_address(host) in ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        pass  # One of them is a name, or has a port.
    name, colon, number = rule.rpartition(":")
    if colon and digits(number):
        if port is None or int(number) != port:
            return False
        rule = name.strip("[]")
    rule = rule.removeprefix("*").lstrip(".")
    return bool(rule) and (host == rule or host.endswith("." + rule))
