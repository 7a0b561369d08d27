"""What an installation changed becomes layers: one for each large package, buckets, and the rest."""

from __future__ import annotations

import os
from pathlib import Path

from builder.kinds.apt.build import _parts


def laid(upper: Path, *lowers: Path) -> dict[str, list[str]]:
    """The names in each layer, of files and of what hides a folder."""
    parts = _parts([("bucket-0", ["first"]), ("r-base-core", ["r-base-core"])], upper, lowers)
    return {name: [entry.path for entry in entries if entry.kind != "dir"] for name, entries in parts}


def put(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("")


def installed(upper: Path) -> None:
    """A package whose files lie in a folder that was renamed into its place, and one of a script of it beside them."""
    put(upper, "etc/R/ldpaths", "etc/R/Renviron", "etc/first")
    put(upper, "var/lib/dpkg/info/first.list", "var/lib/dpkg/info/r-base-core.list")
    (upper / "var/lib/dpkg/info/first.list").write_text("/etc/first\n")
    (upper / "var/lib/dpkg/info/r-base-core.list").write_text("/etc\n/etc/R\n/etc/R/ldpaths\n")
    os.setxattr(upper / "etc/R", "user.overlay.opaque", b"y")


def test_a_folder_that_was_renamed_hides_nothing_of_its_package(tmp_path: Path) -> None:
    """The kernel marks such a folder as opaque. The mark went to the last layer, which hid what its package had laid in
    another: in every image with R, BLAS was gone.
    """
    installed(tmp_path / "upper")
    put(tmp_path / "lower", "etc/passwd")
    assert laid(tmp_path / "upper", tmp_path / "lower") == {
        "apt/bucket-0": ["etc/first", "var/lib/dpkg/info/first.list"],
        "apt/r-base-core": ["etc/R/ldpaths", "var/lib/dpkg/info/r-base-core.list"],
        "apt/rest": ["etc/R/Renviron"],
    }


def test_a_folder_that_replaces_one_of_the_parent_hides_what_that_one_had(tmp_path: Path) -> None:
    installed(tmp_path / "upper")
    put(tmp_path / "lower", "etc/R/old")
    found = laid(tmp_path / "upper", tmp_path / "lower")
    assert found["apt/r-base-core"] == ["etc/R/ldpaths", "var/lib/dpkg/info/r-base-core.list"]
    assert found["apt/rest"] == ["etc/R/Renviron", "etc/R/old"], "the latter as a whiteout"
