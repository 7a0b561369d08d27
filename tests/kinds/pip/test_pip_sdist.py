"""What is read of a source archive, and what is refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from builder.errors import HostileInput
from builder.kinds.pip.choose import Fitting
from builder.kinds.pip.page import IndexFile
from builder.kinds.pip.sdist import LEGACY, build_requires, candidates

GOOD = '[build-system]\nrequires = ["hatchling>=1", "x; python_version<\'3\'"]\n'


def tar(path: Path, *members: tuple[str, str | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content.encode())
                archive.addfile(info, io.BytesIO(content.encode()))
    return path


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = kind
    info.linkname = target
    return info


def test_build_requirements_are_read(tmp_path: Path) -> None:
    path = tar(tmp_path / "a", ("x-1/setup.py", "boom"), ("x-1/sub/pyproject.toml", "no"), ("x-1/pyproject.toml", GOOD))
    assert build_requires(path, "x-1.tar.gz") == ("hatchling>=1", "x; python_version<'3'")
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("x-1/pyproject.toml", GOOD)
    assert build_requires(tmp_path / "z", "x-1.zip") == ("hatchling>=1", "x; python_version<'3'")


@pytest.mark.parametrize("text", [None, "", "[project]\nname = 'x'\n"])
def test_without_a_word_it_is_setuptools(text: str | None, tmp_path: Path) -> None:
    members = [("x-1/setup.py", "")] + ([("x-1/pyproject.toml", text)] if text is not None else [])
    assert build_requires(tar(tmp_path / "a", *members), "x-1.tar.gz") == LEGACY


@pytest.mark.parametrize(
    "text",
    [
        "[build-system]\n",
        "[build-system]\nrequires = 'x'\n",
        "[build-system]\nrequires = [1]\n",
        "build-system=1",
        "[build-system]\nrequires = ['not ! valid']\n",
        "not toml",
        "x = '" + "y" * (1 << 20) + "'",
    ],
)
def test_a_broken_pyproject_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(HostileInput, match=r"x-1.tar.gz"):
        build_requires(tar(tmp_path / "a", ("x-1/pyproject.toml", text)), "x-1.tar.gz")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../evil", "x"),
        ("/etc/passwd", "x"),
        ("x-1/../../evil", "x"),
        ("x-1/link", special(tarfile.SYMTYPE, "/etc/passwd")),
        ("x-1/link", special(tarfile.SYMTYPE, "../../etc/passwd")),
        ("x-1/hard", special(tarfile.LNKTYPE, "/etc/passwd")),
        ("x-1/device", special(tarfile.CHRTYPE)),
        ("x-1/pipe", special(tarfile.FIFOTYPE)),
    ],
)
def test_hostile_members_are_refused(name: str, content: str | tarfile.TarInfo, tmp_path: Path) -> None:
    path = tar(tmp_path / "a", ("x-1/pyproject.toml", GOOD), (name, content))
    with pytest.raises(HostileInput, match=r"hostile source archive: x-1.tar.gz"):
        build_requires(path, "x-1.tar.gz")


def test_hostile_zips_and_damaged_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("../x", "")
    with pytest.raises(HostileInput, match="hostile"):
        build_requires(tmp_path / "z", "x-1.zip")
    for filename in ("x-1.tar.gz", "x-1.zip"):
        for data in (b"", b"nonsense", tar(tmp_path / "a", ("x-1/pyproject.toml", GOOD)).read_bytes()[:80]):
            (tmp_path / "bad").write_bytes(data)
            with pytest.raises(HostileInput, match="not a source archive"):
                build_requires(tmp_path / "bad", filename)


def test_a_link_is_no_pyproject(tmp_path: Path) -> None:
    path = tar(tmp_path / "a", ("x-1/pyproject.toml", special(tarfile.SYMTYPE, "other.toml")))
    assert build_requires(path, "x-1.tar.gz") == LEGACY


def test_only_versions_without_a_fitting_wheel_are_candidates() -> None:
    files = [
        IndexFile(name=name, url="u", yanked=name == "x-4.tar.gz", requires_python=">=3.12" if "-5" in name else "")
        for name in (
            "x-1.tar.gz",
            "x-2.tar.gz",
            "x-2-py3-none-any.whl",
            "x-3.tar.gz",
            "x-3-cp311-cp311-win_amd64.whl",
            "x-4.tar.gz",
            "x-5.tar.gz",
            "x-6-py3-none-any.whl",
        )
    ]
    fitting = Fitting(python="3.11.2", platform="linux/amd64", glibc="2.36")
    assert list(candidates("x", files, fitting, ())) == ["1", "3"]
    assert list(candidates("x", files, fitting, ("4",))) == ["1", "3", "4"]
