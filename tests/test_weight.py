"""What files weigh: by package, folder and file; what a later layer covers; what nobody knows."""

from __future__ import annotations

from builder.difference import Layer
from builder.digest import Digest
from builder.listing import Listed
from builder.weight import by_owner, weigh


def entry(path: str, size: int = 0, owner: str = "", kind: str = "file") -> Listed:
    return Listed(kind, "0644", "0:0", size, "-", path, owner)


def layer(name: str, image: str) -> Layer:
    return Layer(name=name, digest=Digest.of(name.encode()), size=10, raw=20, image=image)


LAYERS = [layer("apt/bucket-0", "base"), layer("apt/rest", "base"), layer("pip/numpy", "lab"), layer("oci/001", "lab")]
ENTRIES = [
    [entry("usr", kind="dir"), entry("usr/bin/curl", 50, "curl"), entry("usr/lib/libz.so", 30, "zlib")],
    [entry("var/lib/dpkg/status", 7), entry("var/cache/x", 2, "curl"), entry("usr/bin/link", 99, kind="link")],
    [entry("opt/numpy/a.so", 400, "numpy"), entry("opt/numpy/b/c.py", 40, "numpy"), entry("usr/bin/curl", 60, "curl")],
    None,
]


def test_packages_with_their_layers_and_folders() -> None:
    found = weigh("lab:cpu@linux/amd64", LAYERS, ENTRIES)
    rows = [(one.image, one.kind, one.name, one.owned, one.size, one.files, one.layers) for one in found.packages]
    assert rows == [
        ("lab", "pip", "numpy", True, 440, 2, (2,)),
        ("lab", "pip", "curl", True, 60, 1, (2,)),
        ("base", "apt", "curl", True, 52, 2, (0, 1)),
        ("base", "apt", "zlib", True, 30, 1, (0,)),
        ("base", "apt", "apt/rest", False, 7, 1, (1,)),
    ]
    assert found.packages[0].folders == (("opt/numpy", 400), ("opt/numpy/b", 40))
    assert found.contents == (80, 9, 500, None)
    assert found.size == 589


def test_folders_that_say_more_than_the_one_above_them() -> None:
    """Of a chain of folders that hold the same bytes only the last is told."""
    found = weigh("lab", LAYERS, ENTRIES)
    told = {one.path: one.size for one in found.folders}
    assert told["opt/numpy/"] == 440 and "opt/" not in told
    assert told["usr/bin/"] == 110 and told["usr/"] == 140
    assert [one.path for one in found.files][:2] == ["opt/numpy/a.so", "usr/bin/curl"]


def test_what_lies_below_is_covered() -> None:
    assert weigh("lab", LAYERS, ENTRIES).covered == 50

    def covered(*entries: Listed) -> int:
        below = [entry("a/b", 5), entry("a/c/d", 6), entry("ab", 7)]
        return weigh("lab", LAYERS[:2], [below, list(entries)]).covered

    assert covered(entry("a/b", kind="whiteout")) == 5
    assert covered(entry("a", kind="whiteout")) == 11
    assert covered(entry("a/c/.wh..opq", kind="whiteout")) == 6
    assert covered(entry(".wh..opq", kind="whiteout")) == 18
    assert covered(entry("a/b", kind="link")) == 5
    assert covered(entry("a/c", kind="dir")) == 0


def test_what_takes_the_place_of_a_folder_covers_all_that_is_in_it() -> None:
    below = [entry("opt/a/x", 10), entry("opt/a/b/y", 20), entry("opt/ab", 40)]
    for above in (
        entry("opt/a", kind="link"),
        entry("opt/a", kind="whiteout"),
        entry("opt/a/.wh..opq", kind="whiteout"),
    ):
        assert weigh("t", LAYERS[:2], [below, [above]]).covered == 30, above
    assert weigh("t", LAYERS[:2], [below, [entry("opt/a", kind="dir")]]).covered == 0
    assert weigh("t", LAYERS[:2], [below, [entry(".wh..opq", kind="whiteout")]]).covered == 70


def test_a_layer_covers_nothing_of_its_own() -> None:
    """An opaque folder hides what is below its layer (image-spec v1.1, layer.md), wherever its mark is sorted."""
    one = [entry("a/-", 5), entry("a/.wh..opq", kind="whiteout"), entry("a/b", 5)]
    assert weigh("lab", LAYERS[:1], [one]).covered == 0


def test_owners_of_one_layer() -> None:
    assert by_owner("apt/rest", ENTRIES[1] or []) == {("apt", "apt/rest"): 7, ("apt", "curl"): 2}
    clash = [entry("a", 1, "environment"), entry("b", 2)]
    assert by_owner("environment", clash) == {("environment", "environment"): 3}


def test_nothing_weighs_nothing() -> None:
    found = weigh("lab", [], [])
    assert (found.size, found.packages, found.folders, found.files) == (0, (), (), ())
