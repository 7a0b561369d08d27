"""YAML that readers of both versions understand alike: PyYAML reads 1.1, ruamel.yaml 1.2."""

from __future__ import annotations

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from builder.exports.yaml_text import dumps

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DOCUMENTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.booleans(), st.lists(TEXTS)), max_size=4)


def readers(text: str) -> list[Any]:
    return [yaml.safe_load(text), YAML(typ="safe", pure=True).load(text)]


@given(DOCUMENTS)
def test_whatever_is_written_comes_back(document: dict[str, Any]) -> None:
    text = dumps(document)
    assert readers(text) == [document, document]
    assert list(yaml.safe_load(text)) == list(document), "keys in the order in which they were put"


@pytest.mark.parametrize(
    "text", ["012", "0o17", "1e3", ".5", "1_000", "0x1f", "12:30:45", "y", "N", "on", "~", "=", "<<", "null", "", " "]
)
def test_a_string_stays_one(text: str) -> None:
    assert readers(dumps({"key": text, text: "value"})) == [{"key": text, text: "value"}] * 2


def test_what_occurs_twice_is_written_twice() -> None:
    shared = {"kind": "ImageStreamTag"}
    assert dumps({"a": shared, "b": [shared]}) == "a:\n  kind: ImageStreamTag\nb:\n  - kind: ImageStreamTag\n"
