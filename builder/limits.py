"""Texts of strangers that are read whole: how long each may be, said here, and the one way to read their files.

Each limit is at least four times the largest that is known. A reader never takes more than that into memory, whatever a
file's size claims to be: `/dev/zero` has none.
"""

from __future__ import annotations

from pathlib import Path

from builder.errors import HostileInput

MANIFEST = 4 << 20
"""`stacks.toml`: a catalogue of 31 images has 32 kB, a company of a thousand a megabyte."""
LOCK = 64 << 20
"""One lock: 10,000 packages have 8 MB in the longest of the formats."""
TOML_LOCK = 8 << 20
"""One in TOML, which takes most memory: those of fetched files and bases have one table a file or package."""
RELEASE = 16 << 20
"""InRelease: Debian's has 200 kB."""
PACKAGES = 256 << 20
"""A Packages file, packed as well as unpacked: Debian's largest has 60 MB, Ubuntu's universe 80 MB."""
LAYOUT = 4 << 20
"""A document of an image in a folder of the project; registries take no longer manifests either."""
KEYRING = 16 << 20
"""Keys of an archive: Debian's developers' keyring, the largest, has 4 MB."""
SCRIPT = 64 << 20
"""A script of the project that images run; some unpack themselves."""

ACCOUNTS = 16 << 20
"""passwd(5) and group(5) of an image."""
ANSWER = 64 << 20
"""What a server in a container says to one request."""

PROBLEMS = 100
"""Of a manifest or a lock that are told: nobody reads more, and each takes its time."""

_PIECE = 1 << 16


def read(path: Path, most: int, what: str, next_step: str = "") -> bytes:
    """The bytes of a file.

    Args:
        most: how many there may be.
        what: to call it in an error.

    Raises:
        HostileInput: there are more.
        OSError: it cannot be read.
    """
    pieces, left = [], most + 1
    with path.open("rb", buffering=0) as stream:
        while left and (piece := stream.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise HostileInput(
            f"{what} is too long",
            where=str(path),
            expected=f"at most {most:,} bytes",
            got="more than that",
            next_step=next_step,
        )
    return b"".join(pieces)
