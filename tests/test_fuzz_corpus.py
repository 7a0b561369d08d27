"""What fuzzing kept: each input is taken or refused, as the parser says, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import CORPUS, parsers

PARSERS = parsers()


@pytest.mark.parametrize("name", PARSERS)
def test_the_seeds_are_taken(name: str, tmp_path: Path) -> None:
    """Or else a fuzzer would begin far from whatever the parser takes."""
    for number, data in enumerate(PARSERS[name].seeds()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        assert PARSERS[name].attempt(data, folder)


@pytest.mark.parametrize("name", PARSERS)
def test_the_corpus_is_read(name: str, tmp_path: Path) -> None:
    found = sorted((CORPUS / name).iterdir())
    assert found, f"scripts/fuzz {name}"
    for number, path in enumerate(found):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        PARSERS[name].attempt(path.read_bytes(), folder)


def test_no_corpus_is_forgotten() -> None:
    assert {path.name for path in CORPUS.iterdir()} == PARSERS.keys()
