"""What a repository holds, and how something of it goes: the managing part of the OCI distribution protocol.

    GET    /v2/<repository>/tags/list              tags, perhaps a page of them; the header `Link` leads to the next
    DELETE /v2/<repository>/manifests/<digest>     a manifest, and with it all tags that name it

What a manifest referred to stays until the registry collects its own garbage. How long a page is, is left to the
registry, as some refuse a number that they find too large.

Source: OCI distribution-spec v1.1, "Listing Tags", "Deleting Manifests"; RFC 8288.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urljoin

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.net import Answer
from builder.transports.registry import Registry

_PAGE = 16 << 20
"""Bytes of a page of tags."""
_PAGES = 10_000
_TAGS = 200_000
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel\s*=\s*"?next\b')


def tags(registry: Registry) -> tuple[str, ...]:
    """Every tag of a repository, sorted; none of one that is not there.

    Raises:
        Unreachable: no answer.
        StackbuildError: the registry refuses.
        HostileInput: what it says are no tags, are too many, or it sends us elsewhere.
    """
    found: set[str] = set()
    url: str | None = f"{registry.base}/tags/list"
    for _ in range(_PAGES):
        answer = registry.client.exchange("GET", str(url), limit=_PAGE)
        if answer.status == 404:
            return ()
        if answer.status >= 400:
            raise registry.refused("tags", answer)
        found |= _page(registry, answer)
        url = _next(registry, answer)
        if url is None:
            return tuple(sorted(found))
        if len(found) > _TAGS:
            break
    raise HostileInput(f"too many tags: {registry.name}", expected=f"at most {_TAGS}")


def _page(registry: Registry, answer: Answer) -> set[str]:
    try:
        rows = json.loads(answer.body)["tags"] or []
        if isinstance(rows, list) and all(isinstance(one, str) and _TAG.fullmatch(one) for one in rows):
            return set(rows)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise HostileInput(f"not a list of tags: {registry.name}")


def _next(registry: Registry, answer: Answer) -> str | None:
    """Where the next page is, None after the last one; of this list, and nowhere else."""
    link = _NEXT.search(answer.headers.get("link", ""))
    if link is None:
        return None
    try:
        url = str(urljoin(answer.url, link[1]))
    except ValueError:
        url = ""
    if not url.startswith(f"{registry.base}/tags/list?"):
        raise HostileInput(f"the list of tags goes on elsewhere: {registry.name}", got=url or link[1][:100])
    return url


def delete(registry: Registry, digest: Digest) -> None:
    """Delete a manifest, and all tags that name it; it is well if somebody else has.

    Raises:
        Unreachable: no answer.
        StackbuildError: the registry refuses.
    """
    answer = registry.client.exchange("DELETE", f"{registry.base}/manifests/{digest}")
    if answer.status in {200, 202, 204, 404}:
        return
    error = registry.refused(digest, answer)
    if answer.status == 405 or b'"UNSUPPORTED"' in answer.body:
        raise StackbuildError(
            f"the registry lets nothing be deleted: {registry.name}",
            got=error.got,
            next_step="allow it there (docker-registry: REGISTRY_STORAGE_DELETE_ENABLED=true), "
            "or let the registry itself expire what was not pulled for long",
        )
    raise error
