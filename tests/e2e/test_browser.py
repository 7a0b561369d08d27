"""Notebook images as their users see them: in a browser, in a frame of the platform's dashboard."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.e2e.browsing import Visit, chromium, colours, visit
from tests.e2e.conftest import build
from tests.e2e.notebook import Notebook, notebook
from tests.e2e.project import Site
from tests.loopback import Service, serve

READY = "is running at:"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9, 16], 'o-', color='crimson')\nplt.title('Squares');"
PICTURE = r"""
import struct, zlib
from IPython.display import Image
def part(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\0" + bytes(one for x in range(256) for one in (x, y, 99)) for y in range(128))
head = part(b"IHDR", struct.pack(">2I5B", 256, 128, 8, 2, 0, 0, 0))
Image(b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b""))
"""
"""A picture of many colours, of what every jupyter has."""
FRAME = '<!doctype html><link rel="icon" href="data:,"><title>Dashboard</title><h1>Dashboard</h1>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A platform's pages, on an origin of their own."""
    with serve(tmp_path_factory.mktemp("dashboard")) as found:
        yield found


@pytest.fixture(scope="module")
def lab(catalogue: Site, dashboard: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """JupyterLab below NB_PREFIX, which lets the dashboard frame it."""
    env = {"NB_FRAME_ANCESTORS": dashboard.url}
    with notebook(catalogue, "jupyter", tmp_path_factory.mktemp("lab"), ready=READY, env=env) as found:
        dashboard.write("index.html", framing(found))
        yield found


def framing(server: Notebook, query: str = "") -> str:
    return f'{FRAME}<iframe title="Notebook" width="1240" height="740" src="{server.url}/lab{query}"></iframe>'


def test_a_notebook_in_the_dashboards_frame(
    browser: Browser, lab: Notebook, dashboard: Service, tmp_path: Path
) -> None:
    with visit(browser, tmp_path) as shown:
        shown.page.goto(dashboard.url)
        frame = shown.page.frame_locator("iframe")
        expect(frame.locator(".jp-LauncherCard").first).to_be_visible()
        shown.look("launcher")
        write(shown, frame)
        save(shown, frame, lab.home / "answer.ipynb")
        terminal(shown, frame)
        assert all(one.url.startswith(f"{lab.url}/lab") for one in shown.page.frames[1:])
        assert shown.wrong == []
    kept = json.loads((lab.home / "answer.ipynb").read_text())
    answer, picture = (cell["outputs"] for cell in kept["cells"][:2])
    assert answer[0]["data"]["text/plain"] == ["42"]
    assert "image/png" in picture[-1]["data"]
    for name in ("answer.ipynb", "made.txt"):
        status = (lab.home / name).stat()
        assert status.st_mode & stat.S_IWGRP, f"{name}: {status.st_mode:o}"
        assert status.st_uid == 1000


def test_its_own_origin_may_frame_it(browser: Browser, lab: Notebook, tmp_path: Path) -> None:
    """As in Kubeflow, whose gateway serves dashboard and notebooks alike."""
    with visit(browser, tmp_path) as shown:
        page = framing(lab, "?reset")  # Else it asks for the notebooks of the test before, which have other names now.
        shown.page.route(f"{lab.origin}/", lambda one: one.fulfill(body=page, content_type="text/html"))
        shown.page.goto(f"{lab.origin}/")
        expect(shown.page.frame_locator("iframe").locator(".jp-DirListing-content")).to_be_visible()
        assert shown.wrong == []


def test_nobody_else_may_frame_it(browser: Browser, lab: Notebook, tmp_path: Path) -> None:
    with serve(tmp_path / "stranger") as stranger, visit(browser, tmp_path) as shown:
        stranger.write("index.html", framing(lab))
        with shown.page.expect_event("requestfailed") as refused:
            shown.page.goto(stranger.url)
        assert refused.value.url == f"{lab.url}/lab"
        assert any("frame-ancestors" in one for one in shown.wrong)


@pytest.mark.catalogue
def test_a_plot_that_answers(browser: Browser, catalogue: Site, downloads: Path, tmp_path: Path) -> None:
    """jupyter-scipy, with its widgets."""
    build(catalogue, downloads, "jupyter-scipy")
    with notebook(catalogue, "jupyter-scipy", tmp_path, ready=READY) as lab, visit(browser, tmp_path) as shown:
        shown.page.goto(f"{lab.url}/lab")
        first_cell(shown, shown.page)
        shown.page.keyboard.insert_text(f"%matplotlib widget\n{PLOT}")
        shown.page.keyboard.press("Shift+Enter")
        canvas = shown.page.locator(".jupyter-matplotlib-canvas-container canvas").first
        expect(canvas).to_be_visible()
        shown.wait(lambda: colours(canvas) > 50, "a plot on the canvas")
        shown.look("widget")
        assert shown.wrong == []


def first_cell(shown: Visit, frame: FrameLocator | Page) -> None:
    """Make a notebook from the launcher; its first cell waits for code, and its kernel for work."""
    frame.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    shown.hear("kernel_info_reply")
    expect(frame.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible()
    frame.locator(".jp-Notebook .cm-content").first.click()


def write(shown: Visit, frame: FrameLocator) -> None:
    """Make a notebook, calculate, draw."""
    first_cell(shown, frame)
    shown.page.keyboard.type("6*7")
    shown.page.keyboard.press("Shift+Enter")
    expect(frame.locator(".jp-OutputArea-executeResult")).to_contain_text("42")
    expect(frame.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
    shown.page.keyboard.insert_text(PICTURE)
    shown.page.keyboard.press("Shift+Enter")
    picture = frame.locator(".jp-RenderedImage img")
    expect(picture).to_be_visible()
    shown.look("picture")
    assert colours(picture) > 50


def save(shown: Visit, frame: FrameLocator, file: Path) -> None:
    """Save the notebook; JupyterLab asks what to call it."""
    shown.page.keyboard.press("Control+s")
    frame.locator(".jp-Dialog input").first.fill(file.name)
    frame.locator(".jp-Dialog .jp-mod-accept").click()
    expect(frame.locator(".jp-DirListing-content")).to_contain_text(file.name)
    shown.wait(lambda: file.is_file() and "image/png" in file.read_text(), f"the picture in {file}")


def terminal(shown: Visit, frame: FrameLocator) -> None:
    """Open a terminal and write a file in it."""
    frame.locator(".lm-TabBar-addButton:visible").first.click()
    frame.locator(".jp-LauncherCard[data-category=Other]", has_text="Terminal").click()
    shown.hear("setup")
    frame.locator(".jp-Terminal .xterm-screen").click()
    shown.page.keyboard.type("touch made.txt && echo made' 'it\n")
    shown.hear("made it")
    shown.look("terminal")
