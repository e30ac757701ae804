"""The report's page in a real browser, opened as a file: its pictures, its slider, its filters; and no name runs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pytest
from archive_steps import archive_settings, restore_without_model, save_photo
from browser import Watched, opened
from PIL import Image

from pipelines.manifest.decision import ACCEPT, REJECT, Decision
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import write_run_record
from pipelines.review.cards import PICTURES
from pipelines.review.report import Published, make_and_publish
from pipelines.store.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

HOSTILE = "<img src=x onerror=alert(1)>'\" onload='alert(2).png"
NAMES = ("1924/rejected #1%.png", "accepted.png", HOSTILE, "wide.png")
DARK, LIGHT = 40, 220  # the scan's grey, and the result's


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Scans are dark and results light, so that what is seen tells which of them it is."""
    folder = tmp_path_factory.mktemp("report")
    for name in NAMES:
        size = (400, 600) if name == "wide.png" else (90, 120)
        save_photo(folder / "scans" / name, np.full((*size, 3), DARK, np.uint8))
    (folder / "scans/broken.png").write_bytes(b"no picture")
    settings = archive_settings(folder)
    restore_without_model(settings, ended=True)
    store = Store(settings.output)
    rows = {row["source_path"]: row for row in current_rows(store).values()}
    for name in NAMES:
        row = rows[name]
        light = Image.new("RGB", (row["output_width"], row["output_height"]), (LIGHT,) * 3)
        light.save(Path(settings.output, row["output_path"]))
    DecisionLog(store).record(
        [
            Decision.about(rows["accepted.png"], ACCEPT, reviewer="Ada"),
            Decision.about(rows[NAMES[0]], REJECT, reviewer="<b>Bé</b>", note="</script><script>alert(3)</script>"),
        ]
    )
    write_run_record(store, "20260101T000000.000Z-aaaaaa", {"restored": 4, "failed": 1, "items_per_hour": 7.5})
    return make_and_publish(settings.output, "today")


@pytest.fixture
def watched(browser: Browser, published: Published) -> Iterator[Watched]:
    with opened(browser, published.uri) as watched:
        yield watched
    assert watched.errors == []
    assert watched.dialogs == []
    assert {url.partition(":")[0] for url in watched.requests} <= {"file", "data"}


def card(watched: Watched, name: str) -> Locator:
    return watched.page.locator(".card").filter(has=watched.page.get_by_text(name, exact=True))


def seen(figure: Locator, part: float, down: float = 0.25) -> int:
    """The grey that is seen at this part of a figure's width and of its height."""
    figure.scroll_into_view_if_needed()
    with Image.open(io.BytesIO(figure.screenshot())) as picture:
        return int(picture.convert("L").getpixel((round((picture.width - 1) * part), round(picture.height * down))))


def is_scan(figure: Locator, part: float) -> bool:
    grey = seen(figure, part)
    assert min(abs(grey - DARK), abs(grey - LIGHT)) < 12, grey
    return abs(grey - DARK) < 12


def test_the_slider_shows_more_of_the_scan_or_of_the_result(watched: Watched) -> None:
    figure = card(watched, "accepted.png").locator(".compare")
    assert (is_scan(figure, 0.3), is_scan(figure, 0.7)) == (True, False)
    box = figure.bounding_box()
    assert box is not None
    watched.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    watched.page.mouse.down()
    watched.page.mouse.move(box["x"] + box["width"] * 0.85, box["y"] + box["height"] / 2, steps=4)
    watched.page.mouse.up()
    assert (is_scan(figure, 0.3), is_scan(figure, 0.7)) == (True, True)
    watched.page.keyboard.press("Home")
    assert (is_scan(figure, 0.3), is_scan(figure, 0.7)) == (False, False)
    watched.page.keyboard.press("End")
    assert is_scan(figure, 0.7)
    value = figure.locator("input").get_attribute("aria-valuetext")
    assert value == "100% scan"


def test_scan_and_result_lie_over_each_other(watched: Watched) -> None:
    figure = card(watched, "wide.png").locator(".compare")  # wider than its card: both have the same margin above
    assert (is_scan(figure, 0.3), is_scan(figure, 0.7)) == (True, False)
    assert seen(figure, 0.3, 0.02) == seen(figure, 0.7, 0.02) not in range(DARK - 12, DARK + 12)
    boxes = [image.bounding_box() for image in figure.locator("img").all()]
    assert boxes[0] == boxes[1]


def test_no_name_and_no_note_runs_or_makes_markup(watched: Watched) -> None:
    assert watched.page.locator(".card img[src=x]").count() == 0
    assert watched.page.locator(".card h3").all_inner_texts() == list(sorted(NAMES))
    assert "</script><script>alert(3)</script>" in watched.page.locator(".noted").inner_text()
    assert watched.page.locator(".noted b").count() == 0
    # Were there markup, it would not run either.
    watched.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"alert(4)\">')")
    watched.page.wait_for_timeout(200)
    assert any("Content Security Policy" in line for line in watched.errors)
    watched.errors.clear()


def test_filters_and_search(watched: Watched) -> None:
    page = watched.page

    def names() -> list[str]:
        return page.locator(".card:visible h3").all_inner_texts()

    page.get_by_role("button", name="Accepted").click()
    assert names() == ["accepted.png"]
    page.get_by_role("button", name="Not reviewed").click()
    assert len(names()) == 2
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Find a path").fill("WIDE")
    assert names() == ["wide.png"]
    assert page.get_by_role("status").inner_text() == "1 of 4 shown"


def test_one_item_large_by_keys(watched: Watched) -> None:
    page = watched.page
    card(watched, "wide.png").get_by_role("button", name="Large").click()
    figure, title = page.locator("#large .compare"), page.locator("#large .name")
    assert title.inner_text() == "wide.png"
    whole = figure.locator("img").first.get_attribute("src")
    page.keyboard.press("d")
    assert figure.locator("img").first.get_attribute("src") != whole
    page.keyboard.down("f")
    assert is_scan(figure, 0.9)
    page.keyboard.up("f")
    assert not is_scan(figure, 0.9)
    page.keyboard.press("n")
    assert title.inner_text() == sorted(NAMES)[0]
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()


def test_links_lead_to_the_results(watched: Watched, published: Published) -> None:
    for link in watched.page.locator(".card h3 a").all():
        path = link.evaluate("element => new URL(element.href).pathname")
        assert Path(unquote(path)).is_file()


def test_dark_and_light(browser: Browser, published: Published) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, published.uri) as light, opened(browser, published.uri, dark=True) as dark:
        first, second = light.page.evaluate(ground), dark.page.evaluate(ground)
        assert first != second
        dark.page.get_by_role("button", name="Light or dark").click()
        assert dark.page.evaluate(ground) == first
        light.page.set_viewport_size({"width": 380, "height": 800})
        assert light.page.evaluate("document.documentElement.scrollWidth") <= 380


def test_the_next_report_makes_pictures_of_new_results_alone(published: Published) -> None:
    store = Store(published.uri.removeprefix("file://").partition("/_faitharchive")[0])
    pictures = {entry.path: entry.version for entry in store.list(PICTURES)}
    assert len(pictures) == 4 * 2 + 2  # and a detail of the one that is shown smaller
    make_and_publish(store.root, "again", pictures=2)
    assert {entry.path: entry.version for entry in store.list(PICTURES)} == pictures
    page = store.read("_faitharchive/reports/again.html").decode()
    assert "2 of 4 restored items are shown" in page
    with Image.open(io.BytesIO(published.strip)) as strip:
        assert strip.format == "JPEG"
        assert strip.width > 3 * strip.height
