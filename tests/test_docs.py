"""What README and docs say is so: their snippets run, their links lead somewhere, every command is told of."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from builder.awaited import awaited
from builder.exports import formats
from builder.locks import Locks
from builder.manifest.read import read

ROOT: Final = Path(__file__).parent.parent
GENERATED: Final = {"manifest.md"}
PAGES: Final = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
ANYTHING: Final = "…"
"""Alone on a line of a snippet's output: any lines, or none."""

_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"^(?: {4}.*\n)+", re.MULTILINE)
_LINK: Final = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_CALL: Final = re.compile(r"(?<![\w./-])(?:scripts/)?stackbuild ((?:--[a-z][a-z-]*|-C [A-Z]+|[a-z]+)\b)")


class Snippet(NamedTuple):
    """A command line of a ```console block, without `$ `, and what it prints."""

    page: Path
    command: str
    output: str


def snippets() -> list[Snippet]:
    found = []
    for page in PAGES:
        for language, block in _FENCED.findall(page.read_text(encoding="utf-8")):
            if language == "console":
                assert block.startswith("$ "), f"{page.name}: a console block begins with a command"
                for part in block.removeprefix("$ ").split("\n$ "):
                    command, _, output = part.partition("\n")
                    found.append(Snippet(page, command, output.strip("\n")))
    return found


def stackbuild(*words: str, store: Path) -> subprocess.CompletedProcess[str]:
    """Run a command from this checkout with a store of its own and nowhere to fetch from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STACKBUILD_")}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, "-P", "-m", "builder.cli", *words],
        cwd=ROOT,
        env={**kept, **nowhere, "STACKBUILD_STORE": str(store), "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def commands(store: Path) -> set[str]:
    """The names that --help lists."""
    told = stackbuild("--help", store=store).stdout
    return set(re.findall(r"^  ([a-z]+) ", told.partition("Commands:")[2], re.MULTILINE))


def as_pattern(output: str) -> str:
    """A regular expression of the output that a snippet shows."""
    return "".join(r"(?:.*\n)*" if line == ANYTHING else re.escape(line) + r"\n" for line in output.splitlines())


@pytest.mark.parametrize("snippet", snippets(), ids=lambda one: f"{one.page.name}: {one.command}")
def test_snippets_run_and_print_what_they_show(snippet: Snippet, tmp_path: Path) -> None:
    program, *words = snippet.command.split()
    assert program == "stackbuild", "only stackbuild's own commands are run"
    done = stackbuild(*words, store=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(as_pattern(snippet.output), done.stdout), done.stdout
    if "--json" in words or words == ["schema"]:
        json.loads(done.stdout)


def test_there_are_snippets() -> None:
    assert {"lock", "build", "graph", "status", "schema"} <= {one.command.split()[1] for one in snippets()}


def anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = _INDENTED.sub("", _FENCED.sub("", page.read_text(encoding="utf-8")))
    broken = []
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page: Path, tmp_path: Path) -> None:
    known = commands(tmp_path / "store")
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*_INDENTED.findall(text), *(block for _, block in _FENCED.findall(text))])
    code += "\n" + "\n".join(re.findall(r"`([^`\n]+)`", text))
    code = re.sub(r"(?m)#.*$", "", code)
    named = {word for word in _CALL.findall(code) if not word.startswith("-")}
    assert named <= known


def test_every_command_is_told_of(tmp_path: Path) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.name not in GENERATED)
    untold = {name for name in commands(tmp_path / "store") if f"stackbuild {name}" not in text}
    assert not untold


def test_every_option_of_readme_exists(tmp_path: Path) -> None:
    """Options in the README's table of commands stand beside the command that has them."""
    rows = re.findall(r"^\| `stackbuild ([a-z]+)` \| (.*) \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} == commands(tmp_path / "store")
    for name, cell in rows:
        told = stackbuild(name, "--help", store=tmp_path / "store").stdout
        for option in re.findall(r"`(--[a-z-]+)", cell):
            assert option in told, f"stackbuild {name} {option}"


def test_every_format_is_told_of_with_the_command(tmp_path: Path) -> None:
    """`renovate` and `enterprise-gateway` were in no --help."""
    told = " ".join(stackbuild("export", "--help", store=tmp_path / "store").stdout.split())
    (row,) = re.findall(r"^\| `stackbuild export` .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    names = set(formats())
    assert "renovate" in names
    assert not {one for one in names if one not in told or f"`{one}" not in row}


def test_no_page_is_linked_twice_below_more() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## More\n")[2]
    links = re.findall(r"\]\((docs/[a-z]+\.md)\)", text)
    assert len(links) > 30 and len(links) == len(set(links))


def test_every_page_is_linked() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    linked = {name for name in pages if f"](docs/{name})" in text or f"`docs/{name}`" in text}
    named = {name for page in PAGES[2:] for name in pages if f"]({name}" in page.read_text(encoding="utf-8")}
    assert pages <= linked | named


def test_the_readme_s_table_has_every_image_and_what_it_waits_for() -> None:
    """Written by `status --markdown`; sizes and contracts are of the day, the rest must follow the manifest."""
    manifest, locks = read(ROOT / "stacks.toml"), Locks(ROOT / "locks")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("<!-- stackbuild status --markdown -->\n")[2].partition("<!-- end -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    platforms = rows[0][2:]
    told = {
        (image.strip("`"), variant, platform): cell
        for image, variant, *cells in rows[2:]
        for platform, cell in zip(platforms, cells, strict=True)
        if cell
    }
    targets = tuple(manifest.targets())
    waiting = dict.fromkeys(targets, ()) | awaited(manifest, locks, *targets)
    assert told.keys() == {(one.image, one.variant, one.platform) for one in waiting}
    for target, sources in waiting.items():
        cell = told[target.image, target.variant, target.platform]
        assert re.findall("`([^`]*)`", cell) == list(sources), target
        assert cell.startswith("awaits ") == bool(sources), target
