"""The prefix in text and in binary files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.kinds.conda.prefix import in_binary, in_text, shebang

OLD = b"/home/builder/_placehold_placehold_placehold"
NEW = b"/opt/conda"


def test_text_everywhere() -> None:
    data = b"prefix=" + OLD + b"\nlibs=" + OLD + b"/lib:" + OLD + b"/lib64"
    assert in_text(data, OLD, NEW) == b"prefix=/opt/conda\nlibs=/opt/conda/lib:/opt/conda/lib64"


def test_short_first_line() -> None:
    assert in_text(b"#!" + OLD + b"/bin/python -u\nx\n", OLD, NEW) == b"#!/opt/conda/bin/python -u\nx\n"


def test_first_line_without_an_end() -> None:
    assert in_text(b"#!" + OLD + b"/bin/sh", OLD, NEW) == b"#!/opt/conda/bin/sh"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"#!@/bin/perl -w", b"#!/usr/bin/env perl -w"),
        (b"#! @/bin/Rscript", b"#!/usr/bin/env Rscript"),
        (b"#!@/bin/python3.12", b"#!/bin/sh\n'''exec' \"%/bin/python3.12\" \"$0\" \"$@\" #'''"),
        (b"#!@/bin/python -u", b"#!/bin/sh\n'''exec' \"%/bin/python\" -u \"$0\" \"$@\" #'''"),
    ],
)
def test_first_line_that_gets_too_long(line: bytes, expected: bytes) -> None:
    """As conda does: a program is looked for in PATH, but Python is executed by its path, through the shell."""
    long = b"/opt/" + b"x" * 130
    data = line.replace(b"@", OLD) + b"\nprint()\n"
    assert in_text(data, OLD, long) == expected.replace(b"%", long) + b"\nprint()\n"


def test_longest_first_line_that_stays() -> None:
    """127 bytes with `#!`: what every kernel takes."""
    room = b"/" + b"x" * (127 - len(b"#!/bin/sh") - 1)
    assert in_text(b"#!" + OLD + b"/bin/sh\n", OLD, room) == b"#!" + room + b"/bin/sh\n"
    assert in_text(b"#!" + OLD + b"/bin/sh\n", OLD, room + b"x") == b"#!/usr/bin/env sh\n"


def test_shebang_of_entry_points() -> None:
    assert shebang("/opt/conda/bin/python3.12") == "#!/opt/conda/bin/python3.12"
    assert shebang("/" + "x" * 126).startswith("#!/bin/sh\n'''exec' \"/xxx")


def test_binary_keeps_every_offset() -> None:
    data = b"\x7fELF" + OLD + b"/lib\0after"
    found = in_binary(data, OLD, NEW)
    assert found == b"\x7fELF/opt/conda/lib" + bytes(len(OLD) - len(NEW)) + b"\0after"


def test_several_paths_in_one_c_string() -> None:
    """The room that is left is at the end of the string, not after each path."""
    data = b"a" + OLD + b"/lib:" + OLD + b"/lib64\0b" + OLD + b"\0"
    found = in_binary(data, OLD, NEW)
    gap = len(OLD) - len(NEW)
    assert found == b"a/opt/conda/lib:/opt/conda/lib64" + bytes(2 * gap) + b"\0b/opt/conda" + bytes(gap) + b"\0"


def test_binary_that_ends_without_nul() -> None:
    assert in_binary(OLD + b"/x", OLD, NEW) == b"/opt/conda/x" + bytes(len(OLD) - len(NEW))


def test_longer_than_the_placeholder() -> None:
    with pytest.raises(ValueError, match="longer than the placeholder"):
        in_binary(OLD, OLD, OLD + b"x")


PIECES = st.lists(st.one_of(st.just(OLD), st.just(b"\0"), st.binary(max_size=8)), max_size=12)


@given(PIECES)
def test_binary_only_ever_changes_strings_with_the_placeholder(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    found = in_binary(data, OLD, NEW)
    assert len(found) == len(data)
    assert OLD not in found
    if OLD not in data:
        assert found == data


@given(PIECES)
def test_c_strings_read_as_text_would(pieces: list[bytes]) -> None:
    """What a program reads of each string, up to its NUL, is what replacing in a text gives."""
    data = b"".join(pieces)
    found, at = in_binary(data, OLD, NEW), 0
    for string in data.split(b"\0"):
        assert found[at : at + len(string)].rstrip(b"\0") == string.replace(OLD, NEW)
        at += len(string) + 1
