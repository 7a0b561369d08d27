"""Reading archives that others packed: tar (plain, gzip, bzip2, xz, zstd), zip, and a Debian package's data.

Nothing is ever extracted to a name of the archive's: a reader yields judged members, and their content as a stream.
Refused are paths that are absolute, climb, or hold control characters; devices, pipes, sparse and encrypted files;
endless headers; what unpacks to far more than its size; and what cannot be read.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from builder.errors import HostileInput
from builder.frames import BadFrame
from builder.guarded import Guarded
from builder.headers import BROKEN_TAR
from builder.kinds.apt.deb import BadDeb
from builder.kinds.fetch.member import LIMITS, Found, Limits, damaged
from builder.kinds.fetch.tar import data_of_deb
from builder.kinds.fetch.tar import members as tar_members
from builder.kinds.fetch.zip import members as zip_members


def members(path: Path, form: str, where: str, limits: Limits = LIMITS) -> Iterator[Found]:
    """The members of an archive in its order.

    Args:
        form: "tar", "zip" or "deb".
        where: what the archive is called in errors.

    Raises:
        HostileInput: a member, or the archive as a whole, is refused.
    """
    size = path.stat().st_size
    with _reading(where), path.open("rb") as stream:
        if form == "zip":
            found = zip_members(stream, where, limits.room(size))
        elif form == "deb":
            found = tar_members(data_of_deb(stream, path), where, limits, limits.room(size))
        else:
            found = tar_members(stream, where, limits, limits.room(size))
        for number, (member, content) in enumerate(found):
            if number >= limits.members:
                raise HostileInput(f"an archive has more than {limits.members} members", where=where)
            yield member, None if content is None else Guarded(content, partial(_reading, where))


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Tell as damage of the archive what its readers raise.

    Raises:
        HostileInput: it cannot be read.
    """
    try:
        yield
    except (
        *(*BROKEN_TAR, zipfile.BadZipFile, BadDeb, lzma.LZMAError, zlib.error, BadFrame),
        *(EOFError, ValueError, struct.error, NotImplementedError, RuntimeError, OverflowError),
    ) as error:
        raise damaged(where, str(error) or type(error).__name__) from None
    except OSError as error:
        if error.errno is not None:  # Of the disk; the decompressors' own have no number.
            raise
        raise damaged(where, str(error)) from None
