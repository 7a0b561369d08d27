"""How layers are compressed: one file for each format, found by its name.

    PIECE               content of a file is deflated in pieces of so many bytes, which may be done ahead (`ahead.py`);
                        0 for a format that deflates nothing
    MEDIA_TYPE          of a layer
    RESERVED            names at the top of a layer that the format keeps for itself: entries called so are left out
    codec()             what decides a layer's bytes beside its entries, part of every layer's document; its `format`
                        is the file's name, after which a dash and more may follow
    Sink(blob, ahead)   writes a layer (`blob.Sink`); `ahead` saves time, and makes no difference to what is written

What a layer's document says is what its writer does: a codec is all that goes from a plan to there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from builder.digest import Json

DEFAULT = "gzip"
Codec: TypeAlias = Mapping[str, Json]


@cache
def names() -> tuple[str, ...]:
    """The formats' names, sorted."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py")))


@cache
def codec(name: str) -> Codec:
    """The codec of a format, as it goes into the documents of all layers."""
    found: Codec = import_module(f"{__name__}.{name}").codec()
    return found


def of(codec: Codec) -> ModuleType:
    """The format that writes what a document's codec says."""
    name = str(codec.get("format", DEFAULT)).partition("-")[0]
    assert name in names(), name
    return import_module(f"{__name__}.{name}")
