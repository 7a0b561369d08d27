"""The Simple API, honest and hostile."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.errors import HostileInput, StackbuildError, Unreachable
from builder.kinds.pip.index import Indexes, default_url
from builder.kinds.pip.page import read_page
from builder.lock import Pin
from builder.net import Client

PAGE = "https://index.example/simple/tiny/"
HEX = "a" * 64


def indexes(url: str) -> Indexes:
    return Indexes(Client(), {}, {"PIP_INDEX_URL": url})


@pytest.mark.parametrize("kind", ["html", "json"])
def test_both_forms_say_the_same(kind: str, index: Any) -> None:
    index.json = kind == "json"
    data = index.wheel("tiny", "1.0", "six", requires_python=">=3.8", sidecar=True)
    index.sdist("tiny", "1.0", yanked=True, uploaded="2026-02-03T04:05:06.789Z")
    index.wheel("tiny", "0.9", digest=False)
    old, wheel, archive = indexes(index.url).files("tiny")
    base = index.url.removesuffix("/simple")
    assert old.digest is None
    assert wheel.name == "tiny-1.0-py3-none-any.whl"
    assert wheel.url == f"{base}/files/tiny-1.0-py3-none-any.whl"
    assert wheel.digest == Digest.of(data)
    assert wheel.size == (len(data) if kind == "json" else None)
    assert wheel.requires_python == ">=3.8"
    assert wheel.metadata == ""
    assert not wheel.yanked
    assert archive.name == "tiny-1.0.tar.gz"
    assert archive.yanked
    assert archive.metadata is None
    assert archive.uploaded == datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)


def test_a_page_is_asked_for_once(index: Any) -> None:
    index.wheel("tiny", "1.0")
    one = indexes(index.url)
    assert one.files("tiny") == one.files("tiny")
    assert len(index.asked) == 1


HOSTILE = f"""
<base href="https://other.example/x/">
<a href="javascript:alert(1)//tiny-1.0-py3-none-any.whl#sha256={HEX}">tiny-1.0-py3-none-any.whl</a>
<a href="file:///etc/tiny-1.1-py3-none-any.whl#sha256={HEX}">x</a>
<a href="ftp://h/tiny-1.2-py3-none-any.whl#sha256={HEX}">x</a>
<a href="data:text/plain,tiny-1.3-py3-none-any.whl">x</a>
<a href="https://h/..%2f..%2ftiny-1.4-py3-none-any.whl#sha256={HEX}">x</a>
<a href="https://h/tiny-1.5%0a-py3-none-any.whl#sha256={HEX}">x</a>
<a href="https://h/other-1.6-py3-none-any.whl#sha256={HEX}">x</a>
<a href="https://h/tiny-1.7-py3-none-any.whl#sha256=abc">x</a>
<a href="https://h/tiny-1.8-py3-none-any.whl#md5=abc">x</a>
<a href="https://[bad/tiny-1.9-py3-none-any.whl#sha256={HEX}">x</a>
<a href="rel/tiny-2.0-py3-none-any.whl#sha256={HEX}" data-yanked>x</a>
<a href="https://h/tiny-not.a.version-py3-none-any.whl">x</a>
<a href="https://h/tiny-2.1.exe">x</a>
<a>no href</a><a href="">empty</a><a href="https://h/">folder</a>
<!-- <a href="https://h/tiny-2.2-py3-none-any.whl#sha256={HEX}">commented out</a> -->
"""


def test_hostile_links_are_left_out() -> None:
    found = read_page(HOSTILE, PAGE, "tiny")
    assert [(file.name, file.url, bool(file.digest), file.yanked) for file in found] == [
        ("tiny-1.7-py3-none-any.whl", "https://h/tiny-1.7-py3-none-any.whl", False, False),
        ("tiny-1.8-py3-none-any.whl", "https://h/tiny-1.8-py3-none-any.whl", False, False),
        ("tiny-2.0-py3-none-any.whl", "https://other.example/x/rel/tiny-2.0-py3-none-any.whl", True, True),
    ]


@pytest.mark.parametrize(
    "name", ["../tiny-1.0-py3-none-any.whl", "/tiny-1.0-py3-none-any.whl", "tiny-1.0-py3-none-any.whl\n", ".."]
)
def test_hostile_names_in_json_are_left_out(name: str) -> None:
    page = {"meta": {"api-version": "1.0"}, "files": [{"filename": name, "url": "https://h/x", "hashes": {}}]}
    assert read_page(json.dumps(page), PAGE, "tiny") == ()


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"meta": {"api-version": "2.0"}, "files": []}', '{"meta": 1, "files": 2}']
)
def test_json_that_is_no_page(text: str) -> None:
    with pytest.raises(HostileInput):
        read_page(text, PAGE, "tiny")


def test_the_first_of_two_equal_names_counts() -> None:
    twice = f'<a href="https://h/tiny-1.0.zip#sha256={HEX}"></a><a href="https://h/2/tiny-1.0.zip"></a>'
    assert [file.url for file in read_page(twice, PAGE, "tiny")] == ["https://h/tiny-1.0.zip"]


def test_odd_spellings_are_the_same_project() -> None:
    text = (
        '<a href="https://h/Ruamel.Yaml_X-1.0-py3-none-any.whl"></a><a href="https://h/ruamel.yaml.x-1.0.tar.gz"></a>'
    )
    assert len(read_page(text, PAGE, "ruamel-yaml-x")) == 2


def test_a_pin_finds_its_url_by_name(index: Any) -> None:
    data = index.wheel("tiny", "1.0")
    pin = Pin(
        kind="pip",
        name="tiny",
        version="1.0",
        filename="tiny-1.0-py3-none-any.whl",
        digest=Digest.of(data),
        size=len(data),
    )
    one = indexes(index.url)
    assert one.urls(pin) == [index.url.removesuffix("/simple") + "/files/tiny-1.0-py3-none-any.whl"]
    index.projects["tiny"].clear()
    with pytest.raises(Unreachable, match=r"no longer has tiny-1.0"):
        indexes(index.url).urls(pin)


def test_an_unknown_project_names_the_index(index: Any) -> None:
    with pytest.raises(Unreachable, match="index pypi has no answer for nothing") as caught:
        indexes(index.url).files("nothing")
    assert caught.value.got == "HTTP 404"


def test_where_indexes_are() -> None:
    environ = {
        "UV_DEFAULT_INDEX": "mine=https://u:secret@two.example/simple/",
        "STACKBUILD_INDEX_TORCH_CPU": "https://e",
    }
    found = Indexes(Client(), {"torch-cpu": "https://manifest", "plain": "https://plain/"}, environ)
    assert found.url() == found.url("pypi") == "https://u:secret@two.example/simple"
    assert found.url("torch-cpu") == "https://e"
    assert found.url("plain") == "https://plain"
    with pytest.raises(StackbuildError, match="no such index: other") as caught:
        found.url("other")
    assert "STACKBUILD_INDEX_OTHER" in str(caught.value)
    with pytest.raises(StackbuildError, match="no http, https or file URL"):
        Indexes(Client(), {"x": "ssh://h"}, {}).url("x")


def test_the_default_comes_from_pips_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://mirror.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert default_url({}) == "https://mirror.example/simple"
    config.write_text("")
    assert default_url({}).startswith("https://")
    assert default_url({"PIP_INDEX_URL": "https://p", "UV_DEFAULT_INDEX": "https://u"}) == "https://p"


def test_a_folder_can_be_an_index(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/index.html").write_text('<a href="tiny-1.0.tar.gz"></a>')
    (found,) = indexes(tmp_path.as_uri()).files("tiny")
    assert found.url == (tmp_path / "tiny/tiny-1.0.tar.gz").as_uri()


@pytest.mark.parametrize("version", ["2", "2.0", "2.0.0"])
def test_one_release_however_it_is_spelled(version: str) -> None:
    names = ["tiny-2.tar.gz", "tiny-2.0-py3-none-any.whl", "tiny-2.0.0-1-py3-none-any.whl", "tiny-12.tar.gz"]
    names += ["tiny-2.0rc1-py3-none-any.whl", "tiny-2.0%2Bcpu-py3-none-any.whl", "tiny-2.1-py3-none-any.whl"]
    text = "".join(f'<A href="https://h/{name}">{name}</a>' for name in names)
    found = [file.name for file in read_page(text, PAGE, "tiny", version)]
    assert found == sorted(names[:3])
    assert [file.name for file in read_page(text, PAGE, "tiny", "2+cpu")] == ["tiny-2.0+cpu-py3-none-any.whl"]
    document = {
        "meta": {"api-version": "1.1"},
        "files": [{"filename": one, "url": f"https://h/{one}"} for one in names],
    }
    assert [file.name for file in read_page(json.dumps(document), PAGE, "tiny", version)] == found


def test_a_release_behind_percent_signs() -> None:
    text = '<a href="https://h/tiny-1%2E5-py3-none-any.whl">x</a>'
    assert [file.name for file in read_page(text, PAGE, "tiny", "1.5")] == ["tiny-1.5-py3-none-any.whl"]
