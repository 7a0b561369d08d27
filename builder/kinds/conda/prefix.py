"""Put the prefix of the image where a package has the placeholder that it was built with.

    text      #! /home/conda/feedstock…_placehold/bin/python  →  #! /opt/conda/bin/python
    binary    /home/conda/feedstock…_placehold/lib:/home/…/share\\0  →  /opt/conda/lib:/opt/conda/share\\0\\0\\0…\\0

In a binary file every offset must stay, so a C string keeps its length: what the shorter prefix leaves is filled with
NUL at the end of that string, after all the paths in it (conda-build, "Making packages relocatable").
"""

from __future__ import annotations

import re

_LONGEST_SHEBANG = 127
"""Bytes of a first line, `#!` included, that every Linux understands (execve(2): 127 before 5.1)."""
_SHEBANG = re.compile(rb"#![ ]*(/(?:\\ |[^ \r\t])*)(.*)", re.DOTALL)
_PYTHON = re.compile(rb"python(?:\d+(?:\.\d+)?)?")


def in_text(data: bytes, placeholder: bytes, prefix: bytes) -> bytes:
    """A text file with the prefix in it; a first line that gets too long for the kernel finds its program otherwise."""
    first, newline, rest = data.partition(b"\n") if data.startswith(b"#!") else (b"", b"", data)
    line = first.replace(placeholder, prefix)
    if len(line) > _LONGEST_SHEBANG:
        line = _short(line)
    return line + newline + rest.replace(placeholder, prefix)


def in_binary(data: bytes, placeholder: bytes, prefix: bytes) -> bytes:
    """A binary file of the same length with the prefix in it.

    Raises:
        ValueError: the prefix is longer than the placeholder.
    """
    if len(prefix) > len(placeholder):
        raise ValueError("the prefix is longer than the placeholder")

    def padded(found: re.Match[bytes]) -> bytes:
        return found[0].replace(placeholder, prefix).ljust(len(found[0]), b"\0")

    return re.sub(re.escape(placeholder) + rb"[^\0]*", padded, data)


def shebang(interpreter: str) -> str:
    """The first line or lines of a script for Python, without a newline at the end."""
    plain = f"#!{interpreter}"
    return plain if len(plain.encode()) <= _LONGEST_SHEBANG else _through_shell(interpreter, "")


def _short(line: bytes) -> bytes:
    """A first line that need not hold the program's path."""
    found = _SHEBANG.fullmatch(line)
    if found is None:
        return line
    path, options = found.groups()
    name = path.rpartition(b"/")[2]
    if _PYTHON.fullmatch(name):
        return _through_shell(
            path.decode("utf-8", "surrogateescape"), options.decode("utf-8", "surrogateescape")
        ).encode("utf-8", "surrogateescape")
    return b"#!/usr/bin/env " + name + options


def _through_shell(interpreter: str, options: str) -> str:
    """A line that the shell executes and Python takes for a string."""
    return f"#!/bin/sh\n'''exec' \"{interpreter}\"{options} \"$0\" \"$@\" #'''"
