"""What a target asks to fetch: the manifest's tables with versions, platforms and defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

from builder.digest import Json
from builder.errors import StackbuildError
from builder.manifest.model import Manifest, Target
from builder.tree import safe

KIND = "fetch"
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_ENDINGS = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.xz": "tar",
    ".txz": "tar",
    ".tar.bz2": "tar",
    ".tbz2": "tar",
    ".tar.zst": "tar",
    ".tzst": "tar",
    ".zip": "zip",
    ".deb": "deb",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """How one fetched file becomes entries of a tree.

    Attributes:
        format: "raw", "tar", "zip" or "deb".
        strip: leading folders of the archive's paths that are left out.
        include: patterns of what is taken, after `strip`; empty for everything.
        exclude: patterns of what of that is left out.
        to: path below the root, without a leading slash; of a folder, with a slash at its end. "" is the root.
        mode: of its files, or None for what the archive says of programs.
        uid, gid: whom the entries belong to.
    """

    name: str
    format: str
    strip: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    to: str
    mode: int | None
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One fetched file of a target.

    Attributes:
        url: without credentials; `checksum` the URL of what its publisher says of its sha256, or "".
        filename: last part of the URL's path, "" where that is none.
        table: the manifest's own table, for what is not about the file itself.
    """

    name: str
    version: str
    url: str
    checksum: str
    filename: str
    table: Mapping[str, Json]

    @property
    def line(self) -> str:
        """The request as a lock answers it: `kubectl 1.31.0 https://…/kubectl sha256 https://…/kubectl.sha256`."""
        words = [self.name, self.version, self.url]
        return " ".join([*words, "sha256", self.checksum] if self.checksum else words)


def requests(manifest: Manifest, target: Target) -> tuple[Request, ...]:
    """What the target asks for, its sets and variant applied, sorted by name."""
    found = (_request(target, one) for one in manifest.tables(target, KIND))
    return tuple(sorted(found, key=lambda one: one.name))


def _request(target: Target, table: Mapping[str, Json]) -> Request:
    machines = cast(Mapping[str, str], table.get("machines", {}))
    words = {
        "version": str(table["version"]),
        "arch": target.platform.split("/")[1],
        "machine": machines.get(target.platform, _MACHINES[target.platform]),
    }
    url = _filled(str(table["url"]), words)
    return Request(
        name=str(table["name"]),
        version=words["version"],
        url=url,
        checksum=_filled(str(table.get("sha256-url", "")), words | {"url": url}),
        filename=unquote(urlsplit(url).path.rpartition("/")[2]),
        table=table,
    )


def _filled(template: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def item(request: Request, where: str, ids: tuple[int, int]) -> Item:
    """How the file is laid.

    Args:
        where: the manifest's line, for errors.
        ids: uid and gid of the layout's user.

    Raises:
        StackbuildError: the table's keys do not fit together.
    """
    table = request.table
    form = str(table.get("format") or _format(request.filename))
    to = str(table["to"]).removeprefix("/")
    if form == "raw":
        for key in ("strip", "include", "exclude"):
            if table.get(key):
                raise StackbuildError(
                    f"{key} is for archives: {request.name}",
                    where=where,
                    got=f"{request.filename or request.url}, which is taken as it is",
                    next_step='give its format, "tar" or "zip", or leave the key out',
                )
        if not to or to.endswith("/"):
            to += _file_name(request, where)
    uid, gid = ids if table.get("owner") == "user" else (0, 0)
    mode = table.get("mode")
    return Item(
        name=request.name,
        format=form,
        strip=cast(int, table.get("strip", 0)),
        include=tuple(cast(Sequence[str], table.get("include", ()))),
        exclude=tuple(cast(Sequence[str], table.get("exclude", ()))),
        to=to,
        mode=None if mode is None else int(str(mode), 8),
        uid=uid,
        gid=gid,
    )


def _format(filename: str) -> str:
    return next((form for ending, form in _ENDINGS.items() if filename.lower().endswith(ending)), "raw")


def _file_name(request: Request, where: str) -> str:
    if not request.filename or "/" in request.filename:
        raise StackbuildError(
            f"a fetched file without a name: {request.name}",
            where=where,
            got=request.url,
            next_step=f'write its whole path: to = "{request.table["to"]}{request.name}"',
        )
    return safe(request.filename, where)
