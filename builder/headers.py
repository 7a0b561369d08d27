"""Limits of archives' own tables, which Python's readers take into memory whole before anybody can look at them.

A tar's extended headers say how long they are, up to 8 GiB (POSIX.1-2017, pax), and a zip's directory has a record of a
kilobyte in memory for each fifty bytes (APPNOTE 4.3.12). Standard library only: it also runs inside the sandbox.
"""

from __future__ import annotations

import errno
import io
import tarfile
import zipfile
from typing import IO, Any, TypeVar, cast

MOST_IN_HEADER = 1 << 20
MOST_IN_DIRECTORY = 32 << 20
"""Of the largest wheels and packages that are published it has 10 MB."""
BROKEN_TAR = (tarfile.TarError, IndexError, OverflowError)
"""What `tarfile` raises of a damaged archive: no error of its own of a list of sparse pieces that breaks off, nor of a
pax record that is longer than memory."""
_LONG = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SIZE = 5
_Stream = TypeVar("_Stream", bound=IO[bytes] | io.RawIOBase)


class Header(tarfile.TarInfo):
    """A header whose extensions are short enough to be read: give it to `tarfile.open` as `tarinfo`.

    Raises:
        ReadError: while the archive is read: one is longer than `MOST_IN_HEADER`.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _LONG and found.size > MOST_IN_HEADER:
            raise tarfile.ReadError(f"a header of {found.size} bytes, where at most {MOST_IN_HEADER} are read")
        return found


def bounded(stream: _Stream, most: int = MOST_IN_DIRECTORY) -> _Stream:
    """The stream of a zip, at its beginning, if its directory is short enough to be read.

    Raises:
        BadZipFile: it is longer than `most` bytes, or would begin before the file does. Whether there is one, `ZipFile`
            says.
    """
    stream.seek(0)
    try:
        end = cast(Any, zipfile)._EndRecData(stream)  # As `ZipFile` finds it, in whatever place and form.
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise zipfile.BadZipFile("its directory begins before the file") from None
    if end and end[_SIZE] > most:
        raise zipfile.BadZipFile(f"its directory has {end[_SIZE]} bytes, where at most {most} are read")
    stream.seek(0)
    return stream
