"""What a person does on the review page, and what is on the screen then."""

from __future__ import annotations

import io
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SERIOUS = ("serious", "critical")


def ready(page: Page) -> Page:
    """The page once its items are there."""
    page.wait_for_selector("body[data-ready]")
    return page


def open_item(page: Page, name: str) -> None:
    """Look at an item by the name of its file; both its pictures are drawn when this returns."""
    page.fill("#search", name)
    until(page, "document.querySelectorAll('.card').length === 1")
    page.locator(".card").dblclick()
    loaded(page)
    page.evaluate("document.activeElement.blur()")


def loaded(page: Page, number: int = 0) -> None:
    """Wait until both pictures of a frame or page are drawn."""
    until(page, f"(document.querySelector('#stage').dataset.loaded ?? '').endsWith(' {number}')")
    settle(page)


def until(page: Page, condition: str, seconds: float = 15.0) -> None:
    """Wait until an expression is true in the page. Playwright's own way is a script that the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def settle(page: Page) -> None:
    """Wait for the next frames to be drawn."""
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))"
    )


def pixels(page: Page, selector: str = "#stage") -> np.ndarray:
    """What is on the screen: uint8 [H, W, 3]."""
    settle(page)
    data = page.locator(selector).screenshot(animations="disabled")
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Part of a picture that has a colour, or nearly: 0 to 1."""
    return float((np.abs(picture.astype(int) - colour).max(axis=2) <= 6).mean())


def faults(page: Page) -> list[str]:
    """What axe-core finds seriously wrong with a page for people who see or move in other ways, a line each."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in _SERIOUS
        for node in rule["nodes"]
    ]
