"""A real Chromium without a window, for pages that people look at. Debian's, driven by Playwright; the fixture is `browser`.

`opened(browser, url)` gives a page with what went wrong in it. Playwright's own download is not needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Watched:
    """A page, and what happened in it.

    Attributes:
        page: Playwright's.
        errors: uncaught errors and error lines of the console.
        requests: URLs that were asked for, the page's own too.
        dialogs: texts of dialogs that opened, as a script that should not run would open one.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Chromium until the block ends. Skips the test, with the reason, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is not installed")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("needs chromium, which is not installed")
    with sync_api.sync_playwright() as playwright:
        # Root, as containers have it, has no sandbox; and /dev/shm is small there.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, dark: bool = False, size: tuple[int, int] = (1280, 900)) -> Iterator[Watched]:
    """A page at a URL, in a profile of its own, until the block ends.

    Args:
        browser: of the fixture.
        url: with http:// or file://.
        dark: whether the person likes dark pages.
        size: of the window, in pixels.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(15_000)
    watched = Watched(context.new_page())

    def asked(request: Request) -> None:
        watched.requests.append(request.url)

    watched.page.on("request", asked)
    watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
    watched.page.on("console", lambda line: watched.errors.append(line.text) if line.type == "error" else None)

    def dismiss(dialog: object) -> None:
        watched.dialogs.append(dialog.message)  # type: ignore[attr-defined]
        dialog.dismiss()  # type: ignore[attr-defined]

    watched.page.on("dialog", dismiss)
    try:
        watched.page.goto(url)
        yield watched
    finally:
        context.close()
