"""What the manifest asks to fetch: templates, formats, variants, and keys that do not fit together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builder.errors import HostileInput, Problems, StackbuildError
from builder.kinds.fetch.request import Item, item, requests
from builder.manifest.model import Manifest, Target

TARGET = Target.parse("base:cpu@linux/amd64")
BASE = '[images.base]\nfrom = "archive:debian"\nlayout = "plain"\n'
Written = Callable[[str], Manifest]


def asked(manifest: Manifest, target: str = "base:cpu@linux/amd64") -> list[str]:
    return [one.line for one in requests(manifest, Target.parse(target))]


def one_item(manifest: Manifest) -> Item:
    (request,) = requests(manifest, TARGET)
    return item(request, "stacks.toml:1", (1000, 100))


def fetch(**keys: str) -> str:
    keys = {"name": '"tool"', "version": '"1"', "url": '"https://example.com/tool.tgz"', "to": '"/opt/tool/"', **keys}
    return (
        BASE + "fetch = [{ " + ", ".join(f"{key.replace('_', '-')} = {value}" for key, value in keys.items()) + " }]\n"
    )


def test_templates(manifest: Written) -> None:
    found = manifest(
        fetch(
            version='"1.31.0"',
            url='"https://example.com/v{version}/{arch}/{machine}/tool"',
            sha256_url='"{url}.sha256"',
            machines='{ "linux/arm64" = "armv8" }',
        )
    )
    amd64, arm64 = "https://example.com/v1.31.0/amd64/x86_64/tool", "https://example.com/v1.31.0/arm64/armv8/tool"
    assert asked(found) == [f"tool 1.31.0 {amd64} sha256 {amd64}.sha256"]
    assert asked(found, "base:cpu@linux/arm64") == [f"tool 1.31.0 {arm64} sha256 {arm64}.sha256"]


def test_sets_and_variants_replace_by_name(manifest: Written) -> None:
    def row(name: str, version: str) -> str:
        return (
            f'{{ name = "{name}", version = "{version}", url = "https://example.com/{name}-{{version}}", to = "/x/" }}'
        )

    found = manifest(
        f"[sets.tools]\nfetch = [{row('b', '1')}, {row('a', '1')}]\non.cuda = {{ fetch = [{row('b', '2')}] }}\n"
        + BASE
        + f'variants = ["cpu", "cuda"]\nuse = ["tools"]\nfetch = [{row("a", "3")}]\n'
        + f"on.cuda = {{ fetch = [{row('c', '1')}] }}\n"
    )
    assert [line.split(" http")[0] for line in asked(found)] == ["a 3", "b 1"]
    assert [line.split(" http")[0] for line in asked(found, "base:cuda@linux/amd64")] == ["a 3", "b 2", "c 1"]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("tool", "raw"), ("tool.jar", "raw"), ("tool.gz", "raw"), ("t.tar", "tar"), ("T.TAR.GZ", "tar"),
        ("t.tgz", "tar"), ("t.tar.xz", "tar"), ("t.tar.bz2", "tar"), ("t.tar.zst", "tar"), ("t.zip", "zip"),
        ("t.deb", "deb"),
    ],
)  # fmt: skip
def test_the_ending_tells_the_format(name: str, form: str, manifest: Written) -> None:
    assert one_item(manifest(fetch(url=f'"https://example.com/{name}"'))).format == form


def test_where_it_goes(manifest: Written) -> None:
    raw = '"https://example.com/a%2Bb"'
    assert one_item(manifest(fetch(url=raw, to='"/usr/local/bin/tool"'))).to == "usr/local/bin/tool"
    assert one_item(manifest(fetch(url=raw, to='"/opt/"'))).to == "opt/a+b"
    assert one_item(manifest(fetch(url=raw, to='"/"'))).to == "a+b"
    assert one_item(manifest(fetch(to='"/"'))).to == ""
    assert one_item(manifest(fetch(to='"/opt/spark/"'))).to == "opt/spark/"


def test_mode_and_owner(manifest: Written) -> None:
    found = one_item(manifest(fetch(mode='"0755"', owner='"user"', strip="1", include='["bin"]', exclude='["x"]')))
    assert (found.mode, found.uid, found.gid) == (0o755, 1000, 100)
    assert (found.strip, found.include, found.exclude) == (1, ("bin",), ("x",))
    plain = one_item(manifest(fetch()))
    assert (plain.mode, plain.uid, plain.gid, plain.strip) == (None, 0, 0, 0)


def test_keys_of_archives_for_a_raw_file(manifest: Written) -> None:
    for key, value in (("strip", "1"), ("include", '["a"]'), ("exclude", '["a"]')):
        with pytest.raises(StackbuildError, match=f"{key} is for archives: tool"):
            one_item(manifest(fetch(url='"https://example.com/tool"', **{key: value})))


def test_names_that_are_none(manifest: Written) -> None:
    for url in ("https://example.com/", "https://example.com", "https://example.com/a%2Fb"):
        with pytest.raises(StackbuildError, match="a fetched file without a name: tool"):
            one_item(manifest(fetch(url=f'"{url}"')))
    with pytest.raises(HostileInput, match="unsafe path"):
        one_item(manifest(fetch(url='"https://example.com/%2E%2E"')))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "https://me:secret@example.com/tool"),
        ("url", "https://example.com/tool?token=secret"),
        ("url", "https://example.com/tool#part"),
        ("url", "ftp://example.com/tool"),
        ("url", "file:///etc/passwd"),
        ("url", "https://example.com/{home}/tool"),
        ("sha256_url", "https://me:secret@example.com/tool"),
        ("sha256_url", "{url}?token=secret"),
        ("version", "../1"),
        ("version", "1 2"),
        ("to", "opt/"),
        ("to", "/opt/../etc/"),
        ("to", "//"),
        ("mode", "rwx"),
        ("mode", "0888"),
        ("format", "rar"),
        ("owner", "nobody"),
        ("name", "Tool"),
    ],
)
def test_what_the_manifest_refuses(key: str, value: str, manifest: Written) -> None:
    with pytest.raises(Problems) as caught:
        manifest(fetch(**{key: f'"{value}"'}))
    assert f"images.base.fetch[0].{key.replace('_', '-')}" in str(caught.value)


def test_a_name_twice_and_keys_left_out(manifest: Written) -> None:
    with pytest.raises(Problems, match="twice in one list"):
        manifest(fetch().replace("}]", '}, { name = "tool", version = "2", url = "https://example.com/x", to = "/" }]'))
    with pytest.raises(Problems) as caught:
        manifest(BASE + 'fetch = [{ name = "tool" }]\n')
    assert all(key in str(caught.value) for key in ("version", "url", "to"))
