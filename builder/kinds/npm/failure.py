"""What npm says when it fails, in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from builder.errors import StackbuildError, Unreachable

_NAMED = re.compile(r"No (?:matching version found|versions available) for (\S+?)\.?(?: .*)?$")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s`'\"<>),]*")
_PASSING: Final = (
    "ECONN",
    "ENOTFOUND",
    "EAI_",
    "ETIMEDOUT",
    "ENET",
    "EHOST",
    "ERR_SOCKET",
    "SELF_SIGNED",
    "CERT_",
    "UNABLE_",
)
_NOISE = re.compile(
    r"^(A complete log|For a full report|Fix the upstream|to accept an incorrect|Note that you can|tarball, folder)"
)


def told(stdout: str, stderr: str, where: str, command: str, *, cutoff: bool) -> StackbuildError:
    """The error for a run of npm that failed.

    Args:
        where: the target.
        command: what was run, so that it can be pasted.
        cutoff: whether `exclude-newer` hid versions.
    """
    said = _said(stdout)
    code, summary = str(said.get("code", "")), hostless(str(said.get("summary", ""))).strip()
    detail = hostless(str(said.get("detail", ""))).strip()
    if code in {"ETARGET", "E404", "ENOVERSIONS"}:
        named = re.search(r"'(\S+)' could not be found", detail) if code == "E404" else _NAMED.match(summary)
        return StackbuildError(
            f"no such npm package: {named[1] if named else summary}",
            where=where,
            got="the registry does not know it, or does not show it to us" if code == "E404" else summary,
            next_step="ask for another version in stacks.toml"
            + (", or move exclude-newer" if cutoff and code != "E404" else "")
            + ", then: stackbuild lock",
        )
    if code == "ERESOLVE":
        lines = [line for line in detail.splitlines() if line.strip() and not _NOISE.match(line.strip())]
        return StackbuildError(
            f"no solution: npm, {where}",
            got="\n".join(lines).replace("from the root project", "from stacks.toml")[:2000],
            next_step="loosen one of these requests in stacks.toml, then: stackbuild lock",
        )
    if code in {"E401", "E403", "ENEEDAUTH"}:
        return StackbuildError(
            f"npm's registry refuses us: {where}",
            got=f"{code}: {summary}"[:500],
            next_step="give it a login: STACKBUILD_CREDENTIAL_NPM=USER:PASSWORD, or a token alone",
        )
    if code.startswith(_PASSING):
        return Unreachable(
            f"npm cannot reach its registry: {where}",
            got=f"{code}: {summary}"[:500],
            next_step="run the same command again",
        )
    words = "\n".join(part for part in (code, summary, detail) if part) or stderr
    return StackbuildError(f"npm failed: {where}", where=command, got=hostless(words).strip()[-2000:])


def _said(stdout: str) -> Mapping[str, Any]:
    try:
        found = json.loads(stdout)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def hostless(text: str) -> str:
    """npm's words without hosts, user info and queries of URLs."""
    return _URL.sub(
        lambda found: "…/" + re.split(r"[?#]", found.group().partition("://")[2].partition("/")[2])[0], text
    )
