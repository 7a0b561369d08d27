"""The difference as text, Markdown and JSON: what it says, what it leaves out, what hostile names cannot do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from builder.difference import Contents, Layer, Package, Report, compare, push
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.exports import renderer
from builder.exports.diff_markdown import LIMIT

HOSTILE = "`x` | <img src=x onerror=alert(1)> @team [l](http://e.example) \x1b[31m\n\n# head \ud800"


def package(name: str, version: str, image: str = "lab") -> Package:
    digest = Digest.of(f"{name}{version}".encode("utf-8", "surrogatepass"))
    return Package(kind="pip", name=name, version=version, image=image, digest=digest, size=1_500_000)


def layer(name: str, data: str, size: int | None = 2_000_000, image: str = "lab") -> Layer:
    return Layer(name=name, digest=Digest.of(data.encode("utf-8", "surrogatepass")), size=size, image=image)


def report(*pairs: tuple[Contents | None, Contents | None], same: tuple[str, ...] = ()) -> Report:
    return Report(
        a="HEAD (77a836131f74)",
        b="working tree",
        same=same,
        differences=tuple(compare(a, b) for a, b in pairs),
        push=push(pairs),
    )


def bumped(name: str, *, built: bool = True, packages: int = 1, hostile: str = "") -> tuple[Contents, Contents]:
    """Two sides on which packages have moved, each in a layer of its own."""
    sides = []
    for number in ("1", "2"):
        names = [hostile or f"numpy{one or ''}" for one in range(packages)]
        layers = (layer("base", "0", image="root"), *(layer(f"pip/{one}", f"{one}{number}") for one in names))
        sides.append(
            Contents(
                name=name,
                plan_key=number,
                manifest=number if built else "",
                packages=tuple(package(one, f"{number}.0") for one in names),
                layers=layers if built else None,
                expected=layers,
                weights={("pip", one): 4_000_000 + int(number) for one in names} if built else None,
                notes=(hostile,) if hostile else (),
            )
        )
    return sides[0], sides[1]


LAB = "lab:cpu@linux/amd64"


def test_text() -> None:
    text = renderer("diff", "text")(report(bumped(LAB), same=("root:cpu@linux/amd64", "root:cpu@linux/arm64")))
    assert text == (
        "A  HEAD (77a836131f74)\n"
        "B  working tree\n"
        "\n"
        "lab:cpu@linux/amd64\n"
        "  packages  1 moved; 1.5 MB to download\n"
        "    moved  pip  numpy  1.0 → 2.0  1.5 MB\n"
        "  layers    1 new (2.0 MB), 1 gone (2.0 MB)\n"
        "    changed  pip/numpy  2.0 MB  lab\n"
        "  on disk   +1 B\n"
        "    pip  numpy  4.0 MB  →  4.0 MB  +1 B\n"
        "  image     4.0 MB → 4.0 MB\n"
        "  to push   2.0 MB\n"
        "\n"
        "2 targets are the same: root:cpu@linux/amd64, root:cpu@linux/arm64\n"
        "to push in all: 2.0 MB\n"
    )


def test_text_of_what_is_not_built() -> None:
    text = renderer("diff", "text")(report(bumped(LAB, built=False)))
    assert "by the locks, as not both sides are built" in text
    assert "to push in all: about 2.0 MB\n" in text
    assert "image" not in text and "on disk" not in text


def test_a_child_refers_to_its_parent() -> None:
    child = tuple(replace(one, name="full:cpu@linux/amd64") for one in bumped(LAB))
    text = renderer("diff", "text")(report(bumped(LAB), (child[0], child[1])))
    assert text.count("numpy  1.0 → 2.0") == 1
    assert "    1 package as in lab:cpu@linux/amd64\n" in text and "    1 layer as above\n" in text
    assert "to push in all: 2.0 MB" in text


def test_new_removed_and_unknown() -> None:
    a, b = bumped(LAB)
    text = renderer("diff", "text")(report((None, b), (replace(a, name="old"), None)))
    assert "lab:cpu@linux/amd64 (only in B)\n" in text and "old (only in A)\n" in text
    assert "none → 4.0 MB" in text
    pulled = replace(a, packages=None, expected=None, weights=None)
    unknown = renderer("diff", "text")(
        report((pulled, replace(b, layers=None, plan_key="3", manifest="", expected=None)))
    )
    assert "packages  not known" in unknown and "to push in all: not known" in unknown


def test_a_long_text_says_what_it_leaves_out() -> None:
    text = renderer("diff", "text")(report(bumped(LAB, packages=100)))
    assert text.count("and 70 more, which --format json has") == 3


def test_nothing_differs() -> None:
    for form in ("text", "markdown"):
        text = renderer("diff", form)(report(same=(LAB,)))
        assert "1 target is the same" in text and "0 B" in text
        assert "<details>" not in text


def test_markdown() -> None:
    text = renderer("diff", "markdown")(report(bumped(LAB), same=("root:cpu@linux/amd64",)))
    assert text.startswith("### `HEAD (77a836131f74)` → `working tree`\n")
    assert "| `lab:cpu@linux/amd64` | 1 moved | 1.5 MB | 1 new, 1 gone | 4.0 MB → 4.0 MB | 2.0 MB |\n" in text
    assert "| moved | pip | `numpy` | `1.0 → 2.0` | 1.5 MB |\n" in text
    assert text.count("<details>") == text.count("</details>") == 1


@pytest.mark.parametrize(("targets", "packages"), [(1, 3000), (40, 200), (900, 3), (3, 1)])
def test_markdown_fits_a_comment(targets: int, packages: int) -> None:
    """And what it leaves out is counted."""
    pairs = [bumped(f"lab-{number}:cpu@linux/amd64", packages=packages) for number in range(targets)]
    own = [
        tuple(
            replace(side, packages=tuple(replace(one, name=f"{one.name}-{number}") for one in side.packages or ()))
            for side in pair
        )
        for number, pair in enumerate(pairs)
    ]
    text = renderer("diff", "markdown")(report(*((a, b) for a, b in own)))
    assert len(text) <= LIMIT
    assert text.count("<details>") == text.count("</details>")
    rows = sum(line.startswith("| moved |") for line in text.splitlines())
    if targets == 1:
        assert rows > 100
        assert f"{packages - rows} more, which `--format json` has." in text
    elif targets == 900:
        told = text.count("| `lab-")
        assert f"{targets - told} targets more, which `--format json` has." in text
    elif targets == 3:
        assert rows == 3 and "more" not in text


def test_hostile_names_in_markdown_stay_in_code() -> None:
    text = renderer("diff", "markdown")(report(bumped(LAB, hostile=HOSTILE)))
    text.encode()
    for line in text.splitlines():
        assert not line.startswith("#") or line.startswith("### `HEAD")
        if "onerror" in line:
            assert "@team" not in line.replace("`", "\0").split("\0")[0::2]
            outside = "".join(line.split("`")[0::2])
            assert "<" not in outside and "@" not in outside and "http" not in outside
            assert line.count("`") % 2 == 0
            if line.startswith("| moved |"):
                assert line.count("|") == 6
    assert "\x1b" not in text


def test_hostile_names_in_text_reach_no_terminal() -> None:
    text = renderer("diff", "text")(report(bumped(LAB, hostile=HOSTILE)))
    assert "\x1b" not in text and r"\x1b[31m\n\n# head \ud800" in text
    text.encode()


def test_hostile_target_in_a_summary() -> None:
    a, b = bumped("</code></summary><script>")
    text = renderer("diff", "markdown")(report((a, b)))
    assert "<summary><code>&lt;/code&gt;&lt;/summary&gt;&lt;script&gt;</code></summary>" in text


def test_json() -> None:
    found = json.loads(renderer("diff", "json")(report(bumped(LAB, hostile=HOSTILE), same=("root",))))
    assert found["same"] == ["root"] and found["push"] == {"size": 2_000_000, "exact": True, "unknown": 0, "without": 0}
    (target,) = found["targets"]
    assert target["a"] == target["b"] == LAB
    (change,) = target["packages"]
    assert (change["change"], change["kind"], change["name"]) == ("moved", "pip", HOSTILE)
    assert change["a"]["version"] == "1.0" and change["b"]["size"] == 1_500_000
    assert target["layers"]["new"][0]["name"] == f"pip/{HOSTILE}"
    assert target["compressed"] == {"a": 4_000_000, "b": 4_000_000}
    assert target["disk"][0]["b"] - target["disk"][0]["a"] == 1


def test_an_unknown_format_is_told() -> None:
    with pytest.raises(StackbuildError, match="no such format: yaml") as caught:
        renderer("diff", "yaml")
    assert caught.value.expected == "one of json, markdown, text"
