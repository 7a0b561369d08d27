"""Trees of entries that try whatever a tar has to say, and how they look when a tar is read back."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from hypothesis import strategies as st

from builder.tree import NEWEST, Bytes, Entry, with_parents

_sizes = st.sampled_from([0, 1, 511, 512, 513, 1024, 5000])
_name = st.text(st.sampled_from("ab é漢-+ .\\\t"), min_size=1, max_size=30).filter(lambda text: text.strip(". ") != "")
_names = st.one_of(_name, _name.map(lambda text: (text * 60)[:70]))
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join).filter(lambda path: ".wh." not in path)
_xattrs = st.sampled_from([(), (("security.capability", b"\x01\0\0\x02\0\x04\xff\0\0\0\0\0" + bytes(8)),)])


@st.composite
def trees(draw: Any) -> list[Entry]:
    """Sorted entries with parents; links of all kinds; no two spellings of a path."""
    paths = sorted(draw(st.sets(_paths, max_size=8)))
    paths = [path for path in paths if not any(other.startswith(path + "/") for other in paths)]
    entries: list[Entry] = []
    for path in paths:
        kind = draw(st.sampled_from(["file", "file", "dir", "link", "whiteout", "hardlink"]))
        mode = draw(st.sampled_from([0o644, 0o755, 0o4755, 0o2775, 0o1777, 0o600, 0]))
        uid, gid = (
            draw(st.sampled_from([0, 1000, 65535, 2**21 - 1, 2**21, 2**31])),
            draw(st.sampled_from([0, 2**32 - 2])),
        )
        mtime = draw(st.sampled_from([0, 1, NEWEST]))
        files = [entry for entry in entries if entry.kind == "file"]
        if kind == "file":
            data = draw(st.binary(max_size=3)) * draw(_sizes)
            entries.append(Entry(path, "file", mode, uid, gid, mtime, Bytes(data), xattrs=draw(_xattrs)))
        elif kind == "dir":
            entries.append(Entry(path, "dir", mode, uid, gid))
        elif kind == "link":
            entries.append(Entry(path, "link", 0o777, uid, gid, mtime, target=draw(_paths) * draw(st.integers(1, 9))))
        elif kind == "whiteout":
            entries.append(Entry(path, "whiteout"))
        elif files and files[-1].path.encode() < path.encode():
            entries.append(Entry(path, "hardlink", mode, uid, gid, mtime, target=files[-1].path))
    return with_parents(entries)


def read_back(raw: bytes) -> list[Entry]:
    """A tar as Python's tarfile understands it."""
    kinds = {tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hardlink", tarfile.REGTYPE: "file"}
    found = []
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for info in archive:
            kind, content, path = kinds[info.type], None, info.name
            folder, _, name = path.rpartition("/")
            if name.startswith(".wh."):
                path, kind = f"{folder}/{name[4:]}".lstrip("/"), "whiteout"
            elif kind == "file":
                stream = archive.extractfile(info)
                assert stream is not None
                content = Bytes(stream.read())
            xattrs = tuple(
                (label[13:], value.encode("utf-8", "surrogateescape"))
                for label, value in info.pax_headers.items()
                if label.startswith("SCHILY.xattr.")
            )
            mtime = int(info.mtime)
            found.append(
                Entry(path, kind, info.mode, info.uid, info.gid, mtime, content, info.linkname, xattrs=xattrs)  # type: ignore[arg-type]
            )
    return found


SAMPLE = with_parents(
    [
        Entry("a/" + "long" * 50 + "/" + "x" * 200, "file", 0o644, content=Bytes(b"long\n")),
        Entry("a/ünïcode ☃", "file", 0o4755, 1000, 100, 12345, Bytes(b"x" * 513)),
        Entry("a/ýhard", "hardlink", 0o4755, target="a/ünïcode ☃"),
        Entry("a/link", "link", 0o777, target="/nowhere/" + "y" * 150),
        Entry("b/.gone", "whiteout"),
        Entry("b/opaque/.wh..opq", "whiteout"),
        Entry("b/empty", "file", 0o600, content=Bytes(b"")),
        Entry("b/sticky", "dir", 0o1777, 5, 6),
        Entry("dev", "dir", 0o755),
        Entry("dev/inner", "file", 0o644, content=Bytes(b"in dev")),
        Entry("proc", "dir", 0o555),
        Entry("newline\nand\ttab", "file", 0o644, content=Bytes(b"1")),
    ]
)
