"""Fuzzing: every parser that sees foreign bytes, under a fuzzer that looks for inputs which take new ways through it.

    scripts/fuzz --seconds 600          all parsers, each for ten minutes
    scripts/fuzz --seconds 600 wheel    one

`texts.py`, `archives.py` and `answers.py` say what the parsers are. A parser may refuse what it reads, as
`Parser.refusals`; anything else that it raises is a find, and so is a member that leads out of its archive, a second
for a kilobyte, or a gigabyte of memory. What takes a way of its own is kept in `corpus/`; `tests/test_fuzz_corpus.py`
reads it in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from builder.errors import StackbuildError

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, kw_only=True)
class Parser:
    """What reads foreign bytes.

    Attributes:
        read: takes the bytes, and an empty folder to write to.
        seeds: sound inputs to begin with.
        refusals: what it raises of what it does not take.
        dressed: makes of the fuzzer's bytes what a checksum or a frame does not turn away at once.
    """

    read: Callable[[bytes, Path], object]
    seeds: Callable[[], Iterable[bytes]]
    refusals: tuple[type[Exception], ...] = (StackbuildError,)
    dressed: Callable[[bytes], bytes] = bytes

    def attempt(self, data: bytes, folder: Path) -> bool:
        """Read the bytes; False if they were refused.

        Raises:
            Exception: a find.
        """
        try:
            self.read(self.dressed(data), folder)
        except self.refusals:
            return False
        return True


def parsers() -> dict[str, Parser]:
    """All of them by name."""
    from tests.fuzz import answers, archives, texts

    return {**texts.PARSERS, **archives.PARSERS, **answers.PARSERS}
