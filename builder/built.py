"""A built image in the store, seen as an engine sees it: layers, config, and who its first process is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import limits, unpacked
from builder.digest import Digest
from builder.digits import digits
from builder.errors import StackbuildError
from builder.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who a process in a container is."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


ROOT = User(uid=0, gid=0)


class Image:
    """A built image in the store, by its result: `manifest`, `config` and `layers`."""

    def __init__(self, store: Store, result: Mapping[str, Any]) -> None:
        self.store = store
        self.result = result
        self.layers: Sequence[Mapping[str, Any]] = result["layers"]
        config = json.loads(store.checked(store.blob(Digest(result["config"]))).read_bytes())
        self.config: Mapping[str, Any] = config.get("config", {})

    def env(self, user: User | None = None) -> dict[str, str]:
        """Its variables; HOME as an engine sets it where the image does not, for the image's own user or another."""
        found = dict(one.partition("=")[::2] for one in self.config.get("Env", ()))
        if "HOME" not in found:
            name = str(user.uid) if user else str(self.config.get("User", "")).partition(":")[0] or "0"
            row = self._account(name)
            found["HOME"] = row[5] if row else "/"
        return found

    def folders(self) -> tuple[Path, ...]:
        """The unpacked layers, lowest first."""
        return unpacked.layers(self.store, self.layers)

    def user(self) -> User:
        """The config's user as an engine resolves it: gid and groups from the image's own passwd and group."""
        name, _, group = str(self.config.get("User", "")).partition(":")
        name = name or "0"
        row = self._account(name)
        if row is None and not digits(name):
            raise StackbuildError(
                f"the image's user is not in its passwd: {name}", expected="a name in it, or a number"
            )
        rows = self._rows("etc/group", 4)
        uid, gid = (int(row[2]), int(row[3])) if row else (int(name), 0)
        if group:
            numbers = [int(one[2]) for one in rows if group in {one[0], one[2]}]
            if not numbers and not digits(group):
                raise StackbuildError(
                    f"the image's group is not in its group file: {group}", expected="a name in it, or a number"
                )
            return User(uid=uid, gid=numbers[0] if numbers else int(group))
        groups = [int(one[2]) for one in rows if row and row[0] in one[3].split(",")]
        return User(uid=uid, gid=gid, groups=tuple(groups))

    def _account(self, name: str) -> list[str] | None:
        """The line of passwd(5) that a name or a number means."""
        return next((row for row in self._rows("etc/passwd", 7) if name in {row[0], row[2]}), None)

    def _rows(self, path: str, fields: int) -> list[list[str]]:
        """The lines of a file whose fields are parted by colons and whose third is a number."""
        for folder in reversed(self.folders()):
            text = _text(folder, path)
            if text is not None:
                rows = [line.split(":") for line in text.splitlines()]
                return [row for row in rows if len(row) == fields and all(map(digits, row[2 : fields // 2 + 1]))]
        return []


def _text(folder: Path, path: str) -> str | None:
    """A file of an unpacked layer; None where it has none, or one that a link leads to: out of the layer, perhaps."""
    place = folder
    for part in path.split("/"):
        place = place / part
        if place.is_symlink():
            return None
    if not place.is_file():
        return None
    return limits.read(place, limits.ACCOUNTS, f"/{path} of the image").decode("utf-8", "replace")
