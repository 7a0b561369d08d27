"""Debian's Chromium, driven by Playwright: pages that note what goes wrong in them, and leave screenshots."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, WebSocket, expect, sync_playwright

from tests.tools import need

SECONDS = 120
"""How long anything may take to appear: the machine is shared."""

_COLOURS = """image => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth || image.width;
    canvas.height = image.naturalHeight || image.height;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return new Set(new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
}"""


@dataclass
class Visit:
    """A page on screen.

    Attributes:
        pictures: where screenshots go.
        wrong: what the browser complained about: errors on its console and in scripts, and whatever failed to load.
        told: what came through web sockets.
    """

    page: Page
    pictures: Path
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def look(self, name: str) -> None:
        """Keep what is on screen now."""
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def hear(self, words: str) -> None:
        """Wait until these words have come through a web socket: from a kernel, from a terminal."""
        self.wait(lambda: any(words in one for one in self.told), words)

    def wait(self, happened: Callable[[], bool], what: str) -> None:
        """Wait for what the browser itself does not wait for."""
        ends = time.monotonic() + SECONDS
        while not happened():
            assert time.monotonic() < ends, f"not within {SECONDS} s: {what}"
            self.page.wait_for_timeout(50)  # Events are seen only while the page is waited for.

    def listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: self.told.append(str(data)))


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, with a profile of its own that is thrown away."""
    need("chromium")
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, pictures: Path) -> Iterator[Visit]:
    """An empty page of a new session; if the test fails, it says where the screenshots are, the last one included."""
    pictures.mkdir(parents=True, exist_ok=True)
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(SECONDS * 1000)
    found = Visit(page, pictures)
    page.on("websocket", found.listen)
    page.on("console", lambda said: found.wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: found.wrong.append(str(error)))
    page.on("response", lambda one: found.wrong.append(f"{one.status} {one.url}") if one.status >= 400 else None)
    try:
        yield found
    except BaseException as error:
        found.look("at-the-end")
        error.add_note(f"screenshots: {pictures}")
        raise
    finally:
        page.context.close()


def colours(picture: Locator) -> int:
    """How many colours an image or a canvas on the page has."""
    number: int = picture.evaluate(_COLOURS)
    return number
