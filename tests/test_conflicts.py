"""Two packages that bring one path, over layers of pip and of conda."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from builder.action import Action, Result
from builder.compression import codec
from builder.conflicts import Clash, clashes, refuse
from builder.digest import Json
from builder.errors import Problems
from builder.parts import write_part
from builder.store import Store
from builder.tree import Bytes, Entry

PATH = "opt/venv/lib/python3.11/site-packages/nvidia/nccl/lib/libnccl.so.2"


def layer(store: Store, *entries: Entry) -> dict[str, Any]:
    return write_part(store, "x", sorted(entries, key=lambda entry: entry.path.encode()), codec("gzip"))


def file(path: str, owner: str, data: bytes = b"1", mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, content=Bytes(data), owner=owner)


def pip(layers: Iterable[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [("pip", one) for one in layers]


def told(store: Store, layers: list[tuple[str, dict[str, Any]]], **preferred: str) -> list[tuple[str, str, str]]:
    named = {path: {package} for path, package in preferred.items()}
    return sorted((one.path, one.one, one.other) for one in clashes(store, layers, named))


def test_other_bytes_or_modes(store: Store) -> None:
    one = layer(store, Entry("d", "dir"), file("d/same", "one"), file("d/other", "one"), file("d/mode", "one"))
    two = layer(
        store, Entry("d", "dir"), file("d/same", "two"), file("d/other", "two", b"2"), file("d/mode", "two", mode=0o755)
    )
    assert told(store, pip([one, two])) == [("d/mode", "one", "two"), ("d/other", "one", "two")]
    assert told(store, pip([one, one])) == []


def test_file_of_one_package_where_another_has_a_folder(store: Store) -> None:
    """Only equal paths were compared: the folder of the upper layer replaced a file, or a link, of the lower."""
    one = layer(store, file("x", "one"), Entry("lib64", "link", target="lib", owner="one"))
    two = layer(store, Entry("x", "dir"), file("x/y", "two"), Entry("lib64", "dir"), file("lib64/z", "two"))
    wanted = [("lib64", "one", "two"), ("x", "one", "two")]
    assert told(store, pip([one, two])) == wanted
    assert told(store, pip([two, one])) == wanted


def test_conda_below_pip(store: Store) -> None:
    """Equal names of packages are no excuse; what conda's packages have among themselves is conda's business."""
    one, two = layer(store, file("x", "tiny")), layer(store, file("x", "tiny", b"2"))
    assert list(clashes(store, [("conda", one), ("pip", two)])) == [Clash("x", "tiny", "tiny", True)]
    assert told(store, pip([one, two])) == []
    other = layer(store, file("x", "other", b"2"))
    assert told(store, [("conda", one), ("conda", other)]) == []


def test_bytecode_is_judged_by_its_source(store: Store) -> None:
    """Equal sources may be compiled in other ways; of others one error is enough."""
    names = ("p/a.py", "p/__pycache__/a.cpython-311.pyc", "p/__pycache__/b.cpython-311.pyc")
    one = layer(store, file(names[0], "one"), *(file(name, "one", b"1") for name in names[1:]))
    two = layer(store, file(names[0], "two"), *(file(name, "two", b"2") for name in names[1:]))
    assert told(store, pip([one, two])) == [(names[2], "one", "two")]


def test_a_preferred_file_may_hide_what_is_below(store: Store) -> None:
    layers = pip([layer(store, file("x", "one")), layer(store, file("x", "two", b"2"))])
    assert told(store, layers, x="two") == []
    assert told(store, layers, x="one") == [("x", "one", "two")]


def test_what_an_override_hid_collides_with_nothing(store: Store) -> None:
    layers = pip(
        [
            layer(store, Entry("d", "dir"), file("d/x", "one"), file("y", "one")),
            layer(store, Entry("d", "whiteout"), Entry("y", "whiteout")),
            layer(store, file("d/x", "two", b"2"), file("y", "two", b"2")),
        ]
    )
    assert told(store, layers) == []
    assert told(store, [layers[0], layers[2]]) == [("d/x", "one", "two"), ("y", "one", "two")]


def test_the_error_says_what_to_write(store: Store) -> None:
    def action(*, prefer: Json = ()) -> Action:
        options: list[Json] = [{}, {"prefer": prefer} if prefer else {}, "x", {}]
        kinds = ("pip.environment", "pip", "apt", "pip")
        needs = {
            f"{n:03}": Action(kind=kind, version=1, name=kind, options=one)
            for n, (kind, one) in enumerate(zip(kinds, options, strict=True))
        }
        return Action(kind="image", version=1, name="image jupyter", options={}, needs=needs)

    apt = {"layers": [layer(store, file(PATH, "libnccl2", b"3"))]}
    lower = {"layers": [layer(store, file(PATH, "nvidia-nccl-cu12"))]}
    upper = {"layers": [layer(store, file(PATH, "nvidia-nccl-cu13", b"2"))]}
    results: dict[str, Result] = {"000": {"layers": []}, "001": lower, "002": apt, "003": upper}
    with pytest.raises(Problems) as caught:
        refuse(action(), results, store)
    assert str(caught.value) == (
        f"two packages bring /{PATH} with different content: nvidia-nccl-cu12 and nvidia-nccl-cu13\n"
        "  image jupyter\n"
        "  expected: one of them to have it\n"
        f'  next: prefer = [{{ path = "/{PATH}", package = "nvidia-nccl-cu13", over = "nvidia-nccl-cu12", '
        'reason = "…" }] in the image, or without = [{ package = "nvidia-nccl-cu12", reason = "…" }], '
        "or pin versions that do not collide"
    )
    refuse(action(prefer=[[PATH, "nvidia-nccl-cu13", "nvidia-nccl-cu12"]]), results, store)
