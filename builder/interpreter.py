"""The Python that an image's packages are for: which packages bring it, and where it lies.

Bytecode, and the wheels of source archives, need the image's Python and not the image: a small closure of packages,
whose key changes only when one of them does. Every kind that brings one has an `interpreter.py` in its folder:

    find(pins, where, prefix) → Interpreter
        among the kind's own pins, an image's and inherited; `where` says in a message whose they are; `prefix` is
        where the kind lays its packages, for one that lets the manifest choose
    root(store, interpreter, architecture, jobs, log) → folder
        what unpacking its packages gives, as the root of a file system
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from builder.digest import Digest, Json, key
from builder.lock import Pin

Provider: TypeAlias = Literal["apt", "conda", "oci"]
"""A kind that brings a Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python, and what it needs to run.

    Attributes:
        kind: what brings it.
        version: with its patch level, `3.11.2`.
        executable: its absolute path in an image.
        prefix: its `sys.base_prefix`: `/usr`, or where conda's packages lie.
        pins: the packages that it needs, sorted by name; of other kinds too, as conda's needs a C library. None for
            one that lies in a foreign image: it cannot be fetched, and so not be run beside any image.
    """

    kind: Provider
    version: str
    executable: str
    prefix: str
    pins: tuple[Pin, ...]

    @property
    def portable(self) -> bool:
        """Whether it can be run beside any image."""
        return bool(self.pins)

    @property
    def short(self) -> str:
        """`3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def roles(self) -> Mapping[str, Pin]:
        """The pins by names that are unique: those of another kind have it in front, `apt:libc6`."""
        return {pin.name if pin.kind == self.kind else f"{pin.kind}:{pin.name}": pin for pin in self.pins}

    @property
    def compiler(self) -> Mapping[str, Pin]:
        """Those of `roles` that decide what it compiles: the packages of CPython itself.

        A compiler in one program reads no library of another package to compile: a fix in OpenSSL changes no bytecode.
        """
        return {role: pin for role, pin in self.roles.items() if _CPYTHON.fullmatch(pin.name)}

    @property
    def key(self) -> Digest:
        """Of all that decides what it compiles."""
        return self._key(2, self.compiler)

    @property
    def root_key(self) -> Digest:
        """Of all that it consists of, unpacked."""
        return self._key(1, self.roles)

    def _key(self, version: int, pins: Mapping[str, Pin]) -> Digest:
        document: dict[str, Json] = {
            "kind": "interpreter",
            "kind_version": version,
            "inputs": {name: pin.digest for name, pin in pins.items()},
        }
        if self.kind != "apt":  # apt's lie where Debian puts them.
            document["options"] = {"from": self.kind, "prefix": self.prefix}
        return key(document)


_CPYTHON = re.compile(r"python|(lib)?python3\.\d+(-minimal|-stdlib)?")
"""conda's package; those that Debian makes of CPython's source."""
