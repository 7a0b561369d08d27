"""The difference as text, Markdown and JSON: what it says, what it leaves out, what hostile names cannot do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from builder.advice import Advice, Advised, Became
from builder.comparison import compare, push
from builder.difference import Asked, Cause, Contents, Layer, Package, Report
from builder.digest import Digest
from builder.errors import StackbuildError
from builder.exports import renderer
from builder.exports.diff_markdown import LIMIT

MARKDOWN = MarkdownIt("commonmark").enable("table")
"""What reads Markdown as GitHub does, but for links that are not marked as such."""
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
    assert "\n1 target differs; 1 target is the same: `root:cpu@linux/amd64`; to push in all: **2.0 MB**\n" in text
    assert "\nBecause of `numpy 1.0 → 2.0`\n" in text
    assert "| moved | pip | `numpy` | `1.0 → 2.0` | 1.5 MB |  |\n" in text
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
        assert f"{targets - told} more, which `--format json` has." in text
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
                assert line.count("|") == 7
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


def reasoned() -> Report:
    """Three packages that moved: one that was pulled in, deep; one that is asked for; one of nobody's."""
    found = report(bumped(LAB, packages=3))
    (one,) = found.differences
    asked = (
        Asked(by="image lab", where="stacks.toml:9", via=("a", "b", "c", "d")),
        Asked(by="set science", where="stacks.toml:7"),
        None,
    )
    changes = tuple(replace(change, asked=why) for change, why in zip(one.packages or (), asked, strict=True))
    causes = (Cause(image="lab", text="overlay file etc/motd has changed"),)
    return replace(found, differences=(replace(one, packages=changes, causes=causes),))


def test_who_asks_for_it_and_what_else_changed() -> None:
    text = renderer("diff", "text")(reasoned())
    assert (
        "    moved  pip  numpy1  1.0 → 2.0  1.5 MB  set science (stacks.toml:7)\n"
        "    moved  pip  numpy   1.0 → 2.0  1.5 MB  (via a → b → … → d)\n"
        "    moved  pip  numpy2  1.0 → 2.0  1.5 MB\n"
        "  because   lab: overlay file etc/motd has changed\n"
    ) in text
    text = renderer("diff", "markdown")(reasoned())
    assert "\nBecause of `numpy1 1.0 → 2.0`, `lab: overlay file etc/motd has changed`, `numpy 1.0 → 2.0`, " in text
    assert text.index("| `numpy1` | `1.0 → 2.0` | 1.5 MB | `set science` |") < text.index("| `via a → b → … → d` |")
    assert "| `lab` | `overlay file etc/motd has changed` |" in text
    (target,) = json.loads(renderer("diff", "json")(reasoned()))["targets"]
    assert [one["asked"] for one in target["packages"]] == [
        {"by": "image lab", "where": "stacks.toml:9", "via": ["a", "b", "c", "d"]},
        {"by": "set science", "where": "stacks.toml:7", "via": []},
        None,
    ]
    assert target["causes"] == [{"image": "lab", "text": "overlay file etc/motd has changed"}]


def advised(became: Became, ident: str = "PYSEC-1", level: str = "high", **more: Any) -> Advised:
    known: dict[str, Any] = {
        "aliases": ("CVE-2026-1",),
        "summary": "In short",
        "url": "https://osv.dev/PYSEC-1",
        "severity": f"{level} 7.5",
        "rank": (3, 7.5),
        "ecosystem": "PyPI",
        "source": "jinja2",
        "packages": ("jinja2",),
        "a": "3.1.5",
        "b": "3.1.6",
        "fixed": "4",
        "image": "lab",
        "targets": (LAB,),
    }
    return Advised(became=became, id=ident, level=level, **{**known, **more})


def asked(*rows: Advised, **more: Any) -> Report:
    known: dict[str, Any] = {"databases": (("all.zip", 9, 0),), "uncovered": {}, "unknown": ()}
    return replace(report(bumped(LAB)), advice=Advice(rows=rows, **{**known, **more}))


def test_advisories_in_short() -> None:
    rows = (
        advised("new", "N-1", "critical"),
        advised("fixed", "F-1"),
        advised("fixed", "F-1", image="other"),
        advised("fixed", "F-2", "low"),
        *(advised("open", f"O-{number}", "unknown") for number in range(3)),
        advised("open", "A-1", accepted="nobody calls it (until 2027-01-01, stacks.toml:1)"),
        advised("new", "A-2", accepted="nor that"),
        advised("fixed", "F-3", "low", accepted="no more needed"),
    )
    short = "fixes 3 advisories (1 high), brings in 1 (1 critical), 3 still open, 2 accepted (2 high)"
    assert f"advisories: {short}\n" in renderer("diff", "text")(asked(*rows))
    text = renderer("diff", "markdown")(asked(*rows))
    assert f"\nAdvisories: **{short}**\n" in text and text.index(short) < text.index("<details>")
    assert "| critical 7.5 | [`N-1`](https://osv.dev/PYSEC-1) `CVE-2026-1` | `jinja2` | `3.1.5 → 3.1.6` |" in text
    assert "`nobody calls it (until 2027-01-01, stacks.toml:1)`" in text
    found = json.loads(renderer("diff", "json")(asked(*rows)))["advisories"]
    assert {key: len(found[key]) for key in ("fixed", "new", "open", "accepted")} == {
        "fixed": 4,
        "new": 1,
        "open": 3,
        "accepted": 2,
    }
    assert found["new"][0]["severity"] == {"level": "critical", "score": 7.5}


def test_no_advisories_and_nobody_asked() -> None:
    assert "advisories: no advisory is open\n" in renderer("diff", "text")(asked())
    assert "Advisories: **no advisory is open**" in renderer("diff", "markdown")(asked())
    for form in ("text", "markdown"):
        assert "dvisor" not in renderer("diff", form)(report(bumped(LAB)))
    assert json.loads(renderer("diff", "json")(report(bumped(LAB))))["advisories"] is None


@pytest.mark.parametrize("rows", [(advised("open"),), ()], ids=["with advisories", "without"])
def test_what_could_not_be_looked_up_is_said(rows: tuple[Advised, ...]) -> None:
    """In Markdown it was not, where no advisory was told: a damaged database had nothing open."""
    found = asked(*rows, uncovered={"conda": 3}, unknown=(LAB,), databases=(("all.zip", 9, 2), ("https://e", None, 0)))
    for form in ("text", "markdown"):
        text = renderer("diff", form)(found)
        assert "not looked up, as no database knows them for certain: 3 of conda" in text
        assert f"not looked up, as it is not known what they hold: {LAB}" in text
        assert "all.zip: 2 of 9 entries could not be read" in text and "https://e" not in text
        assert ("no advisory is open, as far as could be looked up" in text) is (not rows)


@pytest.mark.parametrize(
    "evil",
    [
        HOSTILE,
        "`` ` ``` </td></table></details></summary> @team",
        "--> <!-- <script>alert(1)</script>",
        "![x](https://evil.example/x.png) [y](javascript:alert(1)) @team #1",
        "a | b |\n|---|---|\n@team",
        "\u202e\u2028</details>\u2029@team",
    ],
)
def test_a_hostile_advisory_does_nothing_in_markdown(evil: str) -> None:
    row = advised(
        "new",
        evil,
        aliases=(evil,),
        summary=evil,
        url="https://example.com/) ![x](https://evil.example/x.png) `|<img src=x> @team",
        source=evil,
        packages=(evil,),
        a=evil,
        b=evil,
        fixed=evil,
        image=evil,
        targets=(evil,),
        accepted=evil,
    )
    other = replace(row, accepted="", url="javascript:alert(1)")
    text = renderer("diff", "markdown")(asked(row, other, unknown=(evil,), databases=((evil, 2, 1),)))
    text.encode()
    tokens = [one for block in MARKDOWN.parse(text) for one in (block, *(block.children or ()))]
    html = [line for one in tokens if one.type.startswith("html") for line in one.content.split()]
    assert html.count("<details>") == html.count("</details>") == 2
    assert {one for one in html if not one.startswith("<summary>")} <= {"<details>", "</details>"}
    assert all(one.type != "image" for one in tokens)
    assert {one.attrs["href"] for one in tokens if one.type == "link_open"} == {
        "https://example.com/%29%20%21%5Bx%5D%28https://evil.example/x.png%29%20%60%7C%3Cimg%20src=x%3E%20%40team"
    }
    words = " ".join(one.content for one in tokens if one.type == "text")
    assert not re.search(r"[@<!\u202e]|evil|alert|#1|team", words), words
    rows = [one for one in tokens if one.type == "tr_open"]
    assert sum(one.type == "td_open" for one in tokens) == 2 * 7 + 6 + 6 + 4 + 5, "no cell more than there are columns"
    assert len(rows) == 2 * 2 + 2 + 2 + 2 + 2
    for form in ("text", "json"):
        told = renderer("diff", form)(asked(row, other))
        assert "\x1b" not in told and "\u202e" not in told
        told.encode()


def test_the_top_stays_where_a_change_touches_everything() -> None:
    pairs = [bumped(f"lab-{number}:cpu@linux/amd64", packages=400) for number in range(60)]
    found = report(*((a, b) for a, b in pairs), same=tuple(f"same-{number}" for number in range(100)))
    rows = [advised("fixed", f"F-{number}", summary="x" * 200) for number in range(700)]
    rows += [advised("open", f"O-{number}", summary="x" * 200) for number in range(3000)]
    changes = tuple(
        replace(
            one,
            packages=tuple(
                replace(change, asked=Asked(by="set " + "s" * 150, where="", via=("v" * 150,)))
                for change in one.packages or ()
            ),
        )
        for one in found.differences
    )
    found = replace(
        found,
        differences=changes,
        advice=Advice(rows=tuple(rows), databases=(), uncovered={}, unknown=()),
    )
    text = renderer("diff", "markdown")(found)
    assert LIMIT * 0.9 < len(text) <= LIMIT
    top = text[: text.index("<details>")]
    assert "60 targets differ; 100 targets are the same; to push in all: **" in top and len(top) < 3000
    assert "Because of `numpy 1.0 → 2.0`, " in top and " and 388 more\n" in top
    assert "Advisories: **fixes 700 advisories (700 high), 3000 still open (3000 high)**" in top
    assert text.count("<details>") == text.count("</details>")
    kept = {name: text.count(f"[`{name}-") for name in "FO"}
    assert all(f"\n{number - kept[name]} more, which" in text for name, number in (("F", 700), ("O", 3000)))
    assert kept["F"] > 20 and kept["O"] > 20


def test_an_unknown_format_is_told() -> None:
    with pytest.raises(StackbuildError, match="no such format: yaml") as caught:
        renderer("diff", "yaml")
    assert caught.value.expected == "one of json, markdown, text"
