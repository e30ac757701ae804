"""The review page in a real Chromium: what is shown, what keys do, what is decided, and what does not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import Watched, opened
from review_page import faults, loaded, open_item, pixels, ready, settle, share, until
from reviewed_output import (
    MARKUP,
    RESULT_COLOUR,
    SCAN_COLOUR,
    ReviewedOutput,
    make_reviewed_output,
    scan_pixels,
    serving,
)

from pipelines.review.server import ReviewServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> ReviewedOutput:
    return make_reviewed_output(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def server(place: ReviewedOutput, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    with serving(str(place.restored), tmp_path_factory.mktemp("cache"), reviewer="Ada") as server:
        yield server


@pytest.fixture(scope="module")
def window(browser: Browser, server: ReviewServer) -> Iterator[Watched]:
    with opened(browser, server.url, size=(1200, 800)) as window:
        yield window


@pytest.fixture
def page(window: Watched) -> Page:
    """The page as it is when it is opened."""
    window.page.reload()
    return ready(window.page)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def names(page: Page) -> list[str]:
    return page.locator(".card-name").all_inner_texts()


def test_the_curtain_moves_and_other_pixels_are_shown(page: Page) -> None:
    open_item(page, "photo 1.png")
    middle = pixels(page)
    width = middle.shape[1]
    assert share(middle[:, 40 : width // 2 - 30], SCAN_COLOUR) > 0.6
    assert share(middle[:, 40 : width // 2 - 30], RESULT_COLOUR) < 0.01
    assert share(middle[:, width // 2 + 30 : -40], RESULT_COLOUR) > 0.6
    box = page.locator("#curtain").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] - width / 4, box["y"] + 100, steps=3)
    page.mouse.up()
    moved = pixels(page)
    assert share(moved, RESULT_COLOUR) > share(middle, RESULT_COLOUR) + 0.15
    before = page.locator("#curtain").get_attribute("aria-valuenow")
    page.locator("#curtain").focus()
    press(page, "ArrowLeft")
    assert int(page.locator("#curtain").get_attribute("aria-valuenow") or 0) < int(before or 0)


def test_the_whole_picture_is_in_sight_at_first_and_after_a_change_of_size(page: Page) -> None:
    open_item(page, "photo 1.png")
    for width, height in ((1200, 800), (1100, 560)):
        page.set_viewport_size({"width": width, "height": height})
        press(page, "2")
        for _ in range(50):  # frames until the viewer has seen its new size
            seen = np.abs(pixels(page).astype(int) - RESULT_COLOUR).max(axis=2) <= 6
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            sides = rows[0], seen.shape[0] - 1 - rows[-1], columns[0], seen.shape[1] - 1 - columns[-1]
            if min(sides) > 3:
                break
        assert min(sides) > 3
        assert abs((columns[-1] - columns[0]) / (rows[-1] - rows[0]) - 4 / 3) < 0.02
    page.set_viewport_size({"width": 1200, "height": 800})


def test_holding_a_key_shows_the_scan(page: Page) -> None:
    open_item(page, "photo 1.png")
    press(page, "2")
    assert share(pixels(page), SCAN_COLOUR) < 0.01
    page.keyboard.down(" ")
    held = pixels(page)
    page.keyboard.up(" ")
    assert share(held, SCAN_COLOUR) > 0.6
    assert share(pixels(page), RESULT_COLOUR) > 0.6


def test_zoom_reaches_the_pixels_of_the_files(page: Page) -> None:
    open_item(page, "photo 2.png")
    press(page, "1")
    for _ in range(9):
        press(page, "+")
    until(page, "parseInt(document.querySelector('#zoom').textContent) > 1000")
    until(page, "!document.querySelector('#stage').classList.contains('busy')")
    seen = pixels(page)[60:-60, 60:-60].reshape(-1, 3)
    patch = {tuple(colour) for colour in scan_pixels(2)[100:200, 150:250].reshape(-1, 3).tolist()}
    exact = [tuple(colour) in patch for colour in seen[::97].tolist()]
    assert np.mean(exact) > 0.9
    assert len({tuple(colour) for colour in seen.tolist()} & patch) > 30
    press(page, "z")
    until(page, "document.querySelector('#zoom').textContent === '100%'")


def test_the_difference_of_both_is_shown(page: Page) -> None:
    open_item(page, "photo 1.png")
    press(page, "d")
    # Red and blue differ by 160, which four times as strong is white; green does not differ.
    assert share(pixels(page), (255, 0, 255)) > 0.6


def test_both_stand_side_by_side_and_move_together(page: Page) -> None:
    open_item(page, "photo 1.png")
    press(page, "s")
    until(page, "!document.querySelector('#stage-b').hidden")
    settle(page)
    assert share(pixels(page), SCAN_COLOUR) > 0.3
    assert share(pixels(page, "#stage-b"), RESULT_COLOUR) > 0.3
    before = share(pixels(page, "#stage-b"), RESULT_COLOUR)
    press(page, "+", "+")
    page.wait_for_timeout(100)
    assert share(pixels(page, "#stage-b"), RESULT_COLOUR) != before
    press(page, "c")


def test_the_mask_of_damage_lies_over_the_picture(page: Page) -> None:
    open_item(page, "photo 0.png")
    before = pixels(page)
    press(page, "m")
    until(page, "performance.getEntriesByType('resource').some((each) => each.name.includes('overlays/'))")
    page.wait_for_timeout(100)
    changed = (np.abs(pixels(page).astype(int) - before).max(axis=2) > 20).mean()
    assert 0.005 < changed < 0.1  # the mask covers 2% of the picture
    press(page, "m")


def test_frames_are_scrubbed_and_the_clip_plays(page: Page) -> None:
    open_item(page, "1931.mkv")
    first = pixels(page)
    press(page, ".", ".", ".")
    loaded(page, 3)
    assert "Frame 4 of 6" in page.locator("#scrub").inner_text()
    assert np.abs(pixels(page).astype(int) - first).mean() > 2
    press(page, "p")
    until(page, "document.querySelector('#clip').readyState >= 2")
    press(page, "p")
    assert page.locator("#clip").is_hidden()


def test_filters_and_search_choose_what_is_shown(page: Page) -> None:
    assert len(names(page)) == 9
    page.locator("input[data-facet=kind][data-value=film]").check()
    assert names(page) == ["1931.mkv"]
    page.locator("input[data-facet=kind][data-value=film]").uncheck()
    page.locator("input[data-facet=status][data-value=failed]").check()
    assert names(page) == ["broken.jpg"]
    page.get_by_role("button", name="Clear all filters").click()
    page.fill("#search", "words TWO")
    until(page, "document.querySelectorAll('.card').length === 1")
    assert names(page) == ["photo 1.png"]
    page.fill("#search", "no such thing")
    page.wait_for_selector("#nothing:not([hidden])")
    page.get_by_role("button", name="Show everything").click()
    assert len(names(page)) == 9
    page.get_by_label("Likeness to the scan, dB, at least").fill("32.5")
    until(page, "document.querySelectorAll('.card').length === 2")


def test_a_decision_by_a_key_and_its_undo(page: Page) -> None:
    progress = page.locator("#progress-text")
    assert progress.inner_text() == "0 of 8 reviewed"
    press(page, "Home", "ArrowRight", "a")
    page.wait_for_selector(".card[data-decision=accept]")
    assert progress.inner_text() == "1 of 8 reviewed"
    page.locator("input[data-facet=decision][data-value=accept]").check()
    assert len(names(page)) == 1
    page.get_by_role("button", name="Clear all filters").click()
    press(page, "u")
    until(page, "!document.querySelector('.card[data-decision=accept]')")
    assert progress.inner_text() == "0 of 8 reviewed"


def test_in_the_viewer_a_decision_goes_on_to_the_next(page: Page) -> None:
    page.fill("#search", "photo")
    until(page, "document.querySelectorAll('.card').length === 5")
    page.locator(".card").first.dblclick()
    loaded(page)
    page.fill("#note", "too smooth")
    page.locator("#decide-reject").click()
    until(page, "document.querySelector('#title').textContent === 'photo 1.png'")
    press(page, "ArrowLeft")
    page.wait_for_selector("#panel[aria-busy=false] .history li")
    assert "too smooth" in page.locator(".history").inner_text()
    press(page, "u")
    until(page, "document.querySelector('#standing').textContent.includes('Undecided')")
    press(page, "Escape")
    assert page.locator("#gallery").is_visible()


def test_redo_asks_for_settings(page: Page) -> None:
    open_item(page, "photo 4.png")
    press(page, "e")
    page.get_by_role("button", name="Redo with these settings").click()
    assert "Choose at least one setting" in page.locator(".problem-line").inner_text()
    page.locator("[data-setting=detail]").fill("0.8")
    page.locator("[data-setting=grain]").select_option("keep")
    page.get_by_role("button", name="Redo with these settings").click()
    page.wait_for_selector("#standing.redo")
    assert "detail 0.8, grain keep" in page.locator(".history").inner_text()
    press(page, "u")
    page.wait_for_selector("#standing.none")


def test_one_decision_about_all_that_are_shown(page: Page) -> None:
    page.locator("input[data-facet=folder][data-value='box 2']").check()
    assert len(names(page)) == 2
    press(page, "b")
    dialog = page.locator("#batch")
    assert "Decide on 2 items at once" in dialog.inner_text()
    assert "All that are shown now: folder: box 2." in dialog.inner_text()
    dialog.get_by_label("Reject 2").check()
    dialog.get_by_role("button", name="Reject 2 items").click()
    until(page, "document.querySelectorAll('.card[data-decision=reject]').length === 2")
    press(page, "u")
    until(page, "!document.querySelector('.card[data-decision=reject]')")


def test_several_that_are_selected_are_decided_on_at_once(page: Page) -> None:
    press(page, "Home", "x", "ArrowRight", "x")
    assert "2 selected" in page.locator("#chosen").inner_text()
    press(page, "a")
    until(page, "document.querySelectorAll('.card[data-decision=accept]').length === 2")
    press(page, "Escape", "u")
    until(page, "!document.querySelector('.card[data-decision=accept]')")


def test_two_reviewers_see_each_others_decisions(browser: Browser, server: ReviewServer, page: Page) -> None:
    with opened(browser, server.url) as other:
        ready(other.page)
        other.page.locator("#who").click()
        other.page.get_by_label("Your name").fill("Björn")
        other.page.get_by_role("button", name="Use this name").click()
        press(other.page, "Home", "r")
        other.page.wait_for_selector(".card[data-decision=reject]")
        page.wait_for_selector(".card[data-decision=reject]")  # without doing anything: the page looks again by itself
        press(page, "Home", "Enter")
        until(page, "document.querySelector('#standing').textContent.includes('Björn')")
        press(other.page, "u")
        until(page, "document.querySelector('#standing').textContent.includes('Undecided')")


def test_markup_in_names_stays_text(page: Page, window: Watched) -> None:
    assert MARKUP in names(page)
    open_item(page, "onerror")
    assert page.locator("#title").inner_text() == MARKUP
    assert "<script>alert(2)</script>" in page.locator("#panel-facts").inner_text()
    assert "<b>bold</b>" in page.locator("#panel-facts").inner_text()
    assert page.locator("#panel-facts b:text-is('bold')").count() == 0
    assert window.dialogs == []


def test_the_page_needs_nothing_from_elsewhere_and_breaks_no_rule(browser: Browser, server: ReviewServer) -> None:
    with opened(browser, server.url) as watched:
        open_item(ready(watched.page), "photo 0.png")
        press(watched.page, "?", "Escape", "s", "c")
    assert all(url.startswith((server.url, "data:", "blob:")) for url in watched.requests)
    # Of the scan that cannot be decoded there is no thumbnail, which the browser writes down as an error.
    assert [error for error in watched.errors if "422" not in error] == []


def test_colours_follow_the_system_and_the_choice(browser: Browser, server: ReviewServer) -> None:
    for dark in (True, False):
        with opened(browser, server.url, dark=dark) as watched:
            page = ready(watched.page)
            assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
            press(page, "Shift+D")
            page.reload()
            ready(page)
            assert page.evaluate("document.documentElement.dataset.theme") == ("light" if dark else "dark")


def test_every_key_stands_on_the_sheet(page: Page) -> None:
    press(page, "?")
    sheet = page.locator("#help").inner_text()
    for text in ("Hold: the scan alone", "Accept what is selected", "Map of trust", "Undo", "Shift D"):
        assert text in sheet
    press(page, "Escape")
    assert not page.locator("#help").is_visible()


@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
def test_axe_finds_no_serious_fault(browser: Browser, server: ReviewServer, dark: bool) -> None:
    pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python, which is not installed")
    with opened(browser, server.url, dark=dark, size=(1200, 800)) as watched:
        page = ready(watched.page)
        until(page, "document.querySelectorAll('.card-picture').length >= 8")
        assert faults(page) == []
        press(page, "b")
        assert faults(page) == []
        page.keyboard.press("Escape")
        open_item(page, "photo 0.png")
        for part in ("settings", "origin", "metadata", "events"):
            page.locator(f"details[data-part={part}] > summary").click()
        page.wait_for_selector(".metadata")
        assert faults(page) == []
        press(page, "e")
        assert faults(page) == []
        page.keyboard.press("Escape")
        press(page, "?")
        assert faults(page) == []


def test_a_narrow_window_keeps_everything_in_reach(browser: Browser, server: ReviewServer) -> None:
    with opened(browser, server.url, size=(1024, 700)) as watched:
        page = ready(watched.page)
        open_item(page, "photo 0.png")
        for selector in ("#decide-redo", "#zoom", "#next", "#help-open", "#curtain"):
            box = page.locator(selector).bounding_box()
            assert box, selector
            assert box["x"] >= 0, selector
            assert box["x"] + box["width"] <= 1024, selector
        assert page.evaluate("document.documentElement.scrollWidth") <= 1024
