"""What makes an image big as a table, JSON and a page: right numbers, one safe file, the same bytes each time."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from builder.difference import Layer
from builder.digest import Digest
from builder.exports import renderer
from builder.listing import Listed
from builder.weight import Weighed, weigh

HOSTILE = "\"><script src='//e.example/x.js'></script></title>`\x1b]0;\u202e\ud800"
SOURCES = {"src", "href", "srcset", "data", "action", "poster", "xlink:href", "formaction", "background"}


def entry(path: str, size: int, owner: str) -> Listed:
    return Listed("file", "0644", "0:0", size, "-", path, owner)


def layer(name: str, image: str, raw: int | None = 2_000_000) -> Layer:
    return Layer(name=name, digest=Digest.of(name.encode()), size=1_000_000, raw=raw, image=image)


def weighed(hostile: str = "numpy") -> Weighed:
    layers = [layer("oci/001", "root", None), layer("apt/rest", "root"), layer("pip/bucket-0", "lab")]
    listings = [
        None,
        [entry("var/status", 500_000, "")],
        [
            entry("opt/numpy/core/a.so", 6_000_000, hostile),
            entry("opt/numpy/tests/b.py", 2_000_000, hostile),
            entry(f"opt/{hostile}/c.py", 500_000, hostile),
            entry("opt/tiny/d.py", 1_000, "tiny"),
        ],
    ]
    return weigh("lab:cpu@linux/amd64", layers, listings)


class Page(HTMLParser):
    """Counts tags, notes ids, and collects what leads anywhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "link", "br", "img", "input"}:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in SOURCES:
                self.links.append(str(value))
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag


def test_table() -> None:
    text = renderer("size", "table")(weighed())
    assert text.startswith("lab:cpu@linux/amd64: 9.0 MB on disk, 3.0 MB compressed in 3 layers\n")
    assert "not in it: 1 layer of the base image, 1.0 MB compressed, whose files nothing here has read\n" in text
    rows = [re.split(r"  +", line) for line in text.splitlines()]
    assert ["numpy", "pip", "lab", "8.5 MB", "94.4 %", "pip/bucket-0", "1.0 MB"] in rows
    assert ["(apt/rest)", "apt", "root", "500.0 kB", "5.6 %", "apt/rest", "1.0 MB"] in rows
    assert ["oci/001", "root, inherited", "1.0 MB", "not known"] in rows
    assert ["pip/bucket-0", "lab", "1.0 MB", "2.0 MB"] in rows
    assert ["", "6.0 MB", "/opt/numpy/core/a.so"] in rows


def test_json() -> None:
    found = json.loads(renderer("size", "json")(weighed()))
    assert (found["disk"], found["compressed"], found["covered"]) == (9_001_000, 3_000_000, 0)
    assert sum(one["disk"] for one in found["packages"]) == found["disk"]
    assert found["packages"][0]["name"] == "numpy" and found["packages"][0]["files"] == 3
    assert [(one["name"], one["inherited"], one["disk"]) for one in found["layers"]] == [
        ("oci/001", True, None),
        ("apt/rest", True, 500_000),
        ("pip/bucket-0", False, 8_501_000),
    ]
    assert found["files"][0] == {"path": "/opt/numpy/core/a.so", "disk": 6_000_000, "owner": "numpy"}


@pytest.mark.parametrize("name", ["numpy", HOSTILE])
def test_page_is_one_file_without_scripts(name: str) -> None:
    text = renderer("size", "html")(weighed(name))
    text.encode()
    page = Page(text)
    assert not page.open and not page.handlers
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert all(one.startswith("#") for one in page.links)
    assert "@import" not in text and "url(" not in text
    assert "default-src &#x27;none&#x27;" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_page_leads_from_the_picture_to_the_table() -> None:
    page = Page(renderer("size", "html")(weighed()))
    assert len(set(page.ids)) == len(page.ids)
    assert {one[1:] for one in page.links} <= set(page.ids)
    assert "#p0" in page.links and page.tags.count("table") == 4


def test_page_shows_folders_of_a_package() -> None:
    text = renderer("size", "html")(weighed())
    assert "<title>numpy: /opt/numpy/core, 6.0 MB, 66.7 %</title>" in text
    assert '<a href="#p0" aria-label="numpy, pip, lab: 8.5 MB, 94.4 %">' in text


def test_page_is_for_light_and_dark() -> None:
    """Each colour that one scheme sets, the other sets too; text on it can be read (WCAG 2.2, 1.4.3)."""
    text = renderer("size", "html")(weighed())
    schemes = [dict(re.findall(r"(--\w+): (#[0-9a-f]{3,6})", part)) for part in text.split("@media", 1)]
    schemes[1] = {name: value for name, value in schemes[1].items() if name in schemes[0]}
    assert schemes[0].keys() == schemes[1].keys() and len(schemes[0]) == 14
    for scheme in schemes:
        for name in ("--page", "--mark", *(f"--p{number}" for number in range(8))):
            assert _contrast(scheme["--ink"], scheme[name]) >= 4.5, name


def _contrast(one: str, other: str) -> float:
    lights = sorted((_light(one), _light(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _light(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_hostile_names_reach_no_terminal() -> None:
    text = renderer("size", "table")(weighed(HOSTILE))
    assert "\x1b" not in text and "\u202e" not in text and r"\x1b]0;" in text
    text.encode()


def test_an_empty_image() -> None:
    nothing = weigh("lab:cpu@linux/amd64", [], [])
    for form in ("table", "json", "html"):
        assert "lab:cpu@linux/amd64" in renderer("size", form)(nothing)
