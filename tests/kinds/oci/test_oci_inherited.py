"""What a foreign image holds becomes pins: whiteouts honoured, secrets left out, the text equal both ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError
from builder.kinds.oci import inherited_file, lockfile
from builder.kinds.oci.archive import Layer
from builder.kinds.oci.inherited import inherited
from builder.kinds.oci.inherited_file import NOTHING, InheritedLock, pin, sorted_pins
from builder.kinds.oci.survey import Blobs, Surveyed, folder_rules, nearest, resolve, survey
from builder.locking import inherited_locks
from builder.locks import Locks
from builder.manifest.model import Target
from builder.manifest.read import loads
from tests.conftest import Golden
from tests.fake_image import Member, digest, file, folder, link, tar
from tests.kinds.oci.conftest import base_layers

BASE = Digest.of(b"manifest")


def held(folder: Path, layers: Sequence[Sequence[Member]], architecture: str = "amd64") -> InheritedLock:
    return inherited(surveyed(folder, layers), BASE, architecture)


def surveyed(folder: Path, layers: Sequence[Sequence[Member]]) -> Surveyed:
    blobs = []
    for number, members in enumerate(layers):
        path = folder / str(number)
        path.write_bytes(tar(members))
        blobs.append(Blobs(layer=Layer(path, str(number)), diff_id=Digest(digest(tar(members))), name=str(number)))
    return survey(blobs)


def test_text(tmp_path: Path, golden: Golden) -> None:
    found = held(tmp_path, base_layers())
    text = inherited_file.dumps(found)
    golden("oci.inherited.toml", text)
    assert inherited_file.loads(text, "x.inherited.toml") == found
    assert lockfile.loads(text, "x.inherited.toml") == found
    assert "secret" not in text and "tk-1234" not in text


def test_pins_have_no_file(tmp_path: Path) -> None:
    pins = held(tmp_path, base_layers()).pins
    assert {(one.digest, one.size, one.filename) for one in pins} == {(NOTHING, 0, "")}
    assert Digest.of(b"") == NOTHING


def test_owners_by_layer(tmp_path: Path) -> None:
    assert surveyed(tmp_path, base_layers()).uids == [(0,), (0, 1000), (0,)]


def test_a_later_layer_counts(tmp_path: Path) -> None:
    first = [file("var/lib/dpkg/status", "Package: one\nVersion: 1\nArchitecture: all\nStatus: install ok installed\n")]
    second = [
        file("var/lib/dpkg/status", "Package: two\nVersion: 1\nArchitecture: all\nStatus: install ok installed\n")
    ]
    assert [one.name for one in held(tmp_path, [first, second]).pins] == ["two"]
    assert held(tmp_path, [first, [file("var/lib/.wh.dpkg")]]).pins == ()
    assert held(tmp_path, [first, [file("var/.wh..wh..opq")]]).pins == ()
    assert held(tmp_path, [first, [link("var", "usr")]]).pins == ()
    assert [one.name for one in held(tmp_path, [first, [file("var/lib/.wh.dpkg"), *second]]).pins] == ["two"]


def test_packages_of_an_image_without_a_package_manager(tmp_path: Path) -> None:
    layers = [[file("var/lib/dpkg/status.d/base", "Package: base\nVersion: 12\nArchitecture: amd64\n")]]
    assert [(one.kind, one.name, one.version) for one in held(tmp_path, layers).pins] == [("apt", "base", "12")]
    assert held(tmp_path, layers, "arm64").pins == ()


def test_a_python_made_by_hand_tells_its_version_in_a_header(tmp_path: Path) -> None:
    layers = [
        [
            file("usr/local/bin/python3.13", "#!"),
            file("usr/local/include/python3.13/patchlevel.h", '#define PY_VERSION              "3.13.1+"\n'),
            file("usr/local/bin/python3.9", "no header"),
        ]
    ]
    (found,) = held(tmp_path, layers).pins
    assert (found.kind, found.name, found.version) == ("python", "/usr/local", "3.13.1")
    assert found.field("executable") == "/usr/local/bin/python3.13"


def test_what_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    site = "usr/local/lib/python3.13/site-packages"
    layers = [
        [
            file("opt/conda/conda-meta/a.json", "[" * 100_000),
            file("opt/conda/conda-meta/b.json", '{"name": 1, "version": "2"}'),
            file("opt/conda/conda-meta/c.json", '{"name": "a\\nb", "version": "2"}'),
            file(f"{site}/a-1.dist-info/METADATA", "Name: ../../etc\nVersion: 1\n"),
            file(f"{site}/b-1.dist-info/METADATA", 'Name: b\nVersion: 1"; import os\n'),
            file(f"{site}/c-1.dist-info/METADATA", "\0\xff"),
            file("var/lib/dpkg/status", "Package: a b\nVersion: 1\n\nPackage: ok\nVersion: $(x)\n"),
            file("etc/passwd", "root:x:zero:0::/:/bin/sh\nno fields\n"),
            file("etc/os-release", 'ID="a;b"\n'),
        ]
    ]
    found = held(tmp_path, layers)
    assert (found.pins, found.passwd, found.system, found.glibc) == ((), (), "", "")


def test_another_layer_than_the_config_claims(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(tar([file("a")]))
    one = Blobs(layer=Layer(tmp_path / "layer", "x"), diff_id=Digest.of(b"other"), name="x")
    with pytest.raises(HostileInput, match="wrong diff ID"):
        survey([one])


def test_folders_are_told_by_the_nearest_above(tmp_path: Path) -> None:
    members = [folder("opt"), folder("opt/conda", mode=0o2775, ids=(1000, 100))]
    members += [folder(f"opt/conda/{n}", mode=0o2775, ids=(1000, 100)) for n in range(50)]
    members += [folder("opt/conda/7/private", mode=0o700, ids=(1000, 100))]
    rules = folder_rules(surveyed(tmp_path, [members]))
    assert rules == (("opt/conda", 0o2775, 1000, 100), ("opt/conda/7/private", 0o700, 1000, 100))
    known = {"": (0o755, 0, 0)} | {path: (mode, uid, gid) for path, mode, uid, gid in rules}
    assert nearest("opt/conda/8/new", known) == (0o2775, 1000, 100)


@pytest.mark.parametrize(
    ("path", "found"),
    [("a/b", "x/y/b"), ("a/up/z", "x/z"), ("loop/x", ""), ("abs", "etc"), ("a/../../..", "")],
)
def test_links_are_followed_inside(path: str, found: str) -> None:
    links = {"a": "x/y", "x/y/up": "..", "loop": "loop", "abs": "/../etc"}
    assert resolve(path, links) == found


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-+. \"'\\#=\u00e9", min_size=1, max_size=12)


@given(st.dictionaries(NAMES, NAMES, max_size=5), st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_whatever_it_says_the_text_reads_back(packages: dict[str, str], fields: list[tuple[str, str]]) -> None:
    pins = [pin("pip", name, version, (("prefix", "/opt/" + name),)) for name, version in packages.items()]
    kept = dict(fields)
    pins += [pin("apt", name, "1", tuple((f"X{one}", value) for one, value in kept.items())) for name in packages]
    lock = InheritedLock(
        request=(), pins=sorted_pins(pins), base=BASE, passwd=tuple(packages), folders=((" a b", 0o755, 1, 2),)
    )
    text = inherited_file.dumps(lock)
    assert inherited_file.loads(text, "x") == lock


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 2", "another format"),
        ('version = "3.12.8"', 'version = "3.12.9" # newer', "damaged"),
        ("base =", "basis =", "damaged"),
        ('glibc = "2.36"', "glibc = 2.36", "damaged"),
        ("base", "[", "damaged"),
    ],
)
def test_an_edited_text_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = inherited_file.dumps(held(tmp_path, base_layers()))
    assert old in text
    with pytest.raises(StackbuildError, match=said):
        inherited_file.loads(text.replace(old, new, 1), "x.inherited.toml")


def test_ancestors_pins(tmp_path: Path) -> None:
    """What the image holds counts for apt, for pip where the prefix is the same, for conda likewise."""
    text = """
[project]
name = "foreign"
platforms = ["linux/amd64"]
[images.root]
from = "oci:example.com/base:1"
[images.venv]
from = "root"
python = { from = "apt", prefix = "/opt/venv" }
[images.venv-child]
from = "venv"
"""
    manifest = loads(text, tmp_path / "stacks.toml")
    locks = Locks(tmp_path / "locks")
    root = Target("root", "cpu", "linux/amd64")
    locks.put(root, "inherited", held(tmp_path, base_layers()))

    def names(image: str, kind: str) -> dict[str, list[str]]:
        found = inherited_locks(manifest, locks, Target(image, "cpu", "linux/amd64"), kind)
        return {name: [one.name for one in lock.pins] for name, lock in found}

    label = "oci:example.com/base:1"
    assert names("root", "apt") == {label: ["bash", "libc6"]}
    assert names("venv-child", "apt") == {label: ["bash", "libc6"]}
    assert names("root", "conda") == {label: ["python"]}
    assert names("root", "oci") == {label: ["/opt/conda", "/opt/venv"]}
    assert names("root", "pip") == {}
    assert names("venv", "pip") == {}
