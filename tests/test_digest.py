"""Digests, canonical JSON, keys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest, canonical, key
from builder.errors import HostileInput

_text = st.text(st.characters(codec="utf-8"))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | _text
documents = st.dictionaries(
    _text,
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4)),
    max_size=5,
)


def test_known_values() -> None:
    assert Digest.of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert canonical({"b": [1, None, True], "a": "é\n"}) == '{"a":"é\\n","b":[1,null,true]}'.encode()
    assert Digest.of(b"x").hex == Digest.of(b"x").removeprefix("sha256:")


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 100_000)
    assert Digest.of_file(tmp_path / "x") == Digest.of(b"x" * 100_000)


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "sha256:" + "A" * 64, "sha512:" + "0" * 64, "sha256:" + "0" * 64 + "\n", "0" * 64, "../../x"],
)
def test_foreign_text_that_is_no_digest(text: str) -> None:
    with pytest.raises(HostileInput, match="not a digest"):
        Digest.parse(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_has_not(number: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": number})


@given(documents)
def test_canonical_is_read_back(document: dict[str, Any]) -> None:
    assert json.loads(canonical(document)) == document


@given(documents, st.randoms())
def test_order_of_names_does_not_matter(document: dict[str, Any], draw: Any) -> None:
    names = list(document)
    draw.shuffle(names)
    assert key({name: document[name] for name in names}) == key(document)


@given(documents, st.data())
def test_any_change_of_a_field_changes_the_key(document: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(document)) if document else _text)
    value = data.draw(scalars)
    changed = {**document, name: value}
    same = json.dumps(changed, sort_keys=True) == json.dumps(document, sort_keys=True)
    assert (key(changed) == key(document)) == same


def test_key_does_not_depend_on_the_hash_seed() -> None:
    program = "from builder.digest import key; print(key({name: {'x': [name]} for name in {'a', 'b', 'c', 'd'}}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent.parent)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
