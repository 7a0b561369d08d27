"""One declaration, two readers: what the jsonschema library refuses, the reader refuses, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from builder import kinds
from builder.manifest import reference, schema
from builder.manifest.shape import findings
from builder.manifest.validate import names

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Anything:
    """A table of names that has every name: references are no matter of shape."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


ANY = dict.fromkeys(names({}), Anything())


def strict(value: Any, key: str = "") -> Any:
    """The schema with `$` as ECMA 262 has it; Python's also matches before a last newline."""
    if isinstance(value, dict):
        return {name: strict(item, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return value.removesuffix("$") + r"\Z" if key == "pattern" else value


VALIDATOR = Draft202012Validator(strict(schema.schema()))


def plain(value: Any) -> Any:
    """TOML as an editor's JSON Schema sees it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def load(path: Path) -> dict[str, Any]:
    return tomli.loads(path.read_text())


SKETCH = load(HERE / "sketch.toml")
VALUES: st.SearchStrategy[object] = (
    st.none().map(lambda _: {})
    | st.booleans()
    | st.integers(-2, 70000)
    | st.just(1.5)
    | st.text("ab-./_ =[]:{}\n\u0000", max_size=6)
    | st.sampled_from(["", "cpu", "linux/amd64", "oci:debian", "../x", "/", "a==1", "/a/..", "2026-11-01T00:00:00Z"])
    | st.lists(st.sampled_from(["a", "b==1", "linux/arm64", 3, {}, ["a"], "a"]), max_size=3)
)
KEYS = st.sampled_from(
    ["pip", "conda", "form", "name", "on", "x.y", "Upper", "", "cuda", "env", "owner", "prefix", "a\n"]
)


@st.composite
def mutations(draw: st.DrawFn) -> dict[str, Any]:
    """The sketch, with one value replaced, removed or added somewhere."""
    document = copy.deepcopy(SKETCH)
    at: Any = document
    while True:
        inner = [item for item in (at.values() if isinstance(at, dict) else at) if isinstance(item, (dict, list))]
        if not inner or draw(st.integers(0, 4)) == 0:
            break
        at = draw(st.sampled_from(inner))
    if isinstance(at, list):
        at.insert(draw(st.integers(0, len(at))), draw(VALUES))
    elif draw(st.booleans()) or not at:
        at[draw(KEYS)] = draw(VALUES)
    elif draw(st.integers(0, 3)):
        at[draw(st.sampled_from(sorted(at)))] = draw(VALUES)
    else:
        del at[draw(st.sampled_from(sorted(at)))]
    return document


def refuses(document: dict[str, Any]) -> bool:
    # That two requests are about one name is more than JSON Schema can say, unless they are equal.
    found = findings(document, schema.declaration(), ANY)
    return any(not one.what.startswith("twice") or has_equal(document) for one in found)


def has_equal(value: Any) -> bool:
    """Whether a list somewhere has two equal items (arguments may, but the sketch repeats none)."""
    if isinstance(value, dict):
        return any(has_equal(item) for item in value.values())
    if isinstance(value, list):
        return any(item in value[:n] for n, item in enumerate(value)) or any(has_equal(item) for item in value)
    return False


@given(mutations())
def test_reader_and_schema_refuse_the_same(document: dict[str, Any]) -> None:
    assert refuses(document) == (not VALIDATOR.is_valid(plain(document)))


@pytest.mark.parametrize("path", [HERE / "sketch.toml", ROOT / "stacks.toml"], ids=lambda path: path.name)
def test_what_we_write_is_accepted(path: Path) -> None:
    document = load(path)
    assert [error.message for error in VALIDATOR.iter_errors(plain(document))] == []
    assert list(findings(document, schema.declaration(), ANY)) == []


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(cast("dict[str, Any]", schema.schema()))


def test_every_key_is_described() -> None:
    def keys(part: Any, path: str) -> Iterator[tuple[str, Any]]:
        for name, inner in part.get("properties", {}).items():
            yield f"{path}.{name}", inner
            yield from keys(inner, f"{path}.{name}")
        if isinstance(part.get("additionalProperties"), dict):
            yield from keys(part["additionalProperties"], f"{path}.*")

    assert [
        path for path, inner in keys(schema.schema(), "") if not inner.get("description", "").endswith((".", ")"))
    ] == []


def test_the_manifest_names_its_schema() -> None:
    first = (ROOT / "stacks.toml").read_text().splitlines()[0]
    assert first == "#:schema ./docs/stacks.schema.json"
    assert (ROOT / first.removeprefix("#:schema ")).is_file()


@pytest.mark.parametrize(
    ("path", "text"),
    [("docs/stacks.schema.json", schema.text()), ("docs/manifest.md", reference.reference())],
    ids=["schema", "reference"],
)
def test_documents_are_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text() == text, "run scripts/docs"


def test_kinds_keep_the_documented_order() -> None:
    documented = ["oci", "account", "apt", "conda", "pip", "npm", "fetch", "kernelspec", "overlay", "run"]
    found = list(kinds.kinds())
    assert found == sorted(found, key=documented.index)
    assert ", ".join(documented[1:]).replace("overlay", "overlays") in reference.reference().replace("\n", " ")


def test_kinds_are_well_formed() -> None:
    places = [kind.PLACE for kind in kinds.kinds().values()]
    assert len(set(places)) == len(places)
    every = [key for kind in kinds.kinds().values() for key in kind.KEYS]
    assert len(set(every)) == len(every), "two kinds declare one key"
    assert all(set(kind.SHARED) <= set(kind.KEYS) for kind in kinds.kinds().values())
