"""Draw the README's pictures of the review page: run this file with Python and a FOLDER after a change of the page.

FOLDER gets a small archive of free photographs that are aged (`jobs/samples/archive.py` says whose they are), and what
`faitharchive restore` makes of it; a second call finds both there. The pictures are what Chromium shows of that archive.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from browser import opened, start_browser
from review_page import loaded, ready, settle, until
from reviewed_output import serving

from jobs.samples import archive
from jobs.samples.clip import make_demo_clip

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "pipelines" / "review" / "pictures"
SIDE = 512  # pixels of a scan's longer side
SIZE = (1440, 900)
_LARGE = "photographer.jp2"
_MOST_BYTES = 250_000
_SHOWN = "19?[!8]*"  # without the slide whose name few machines have the letters of


def make_scans(folder: Path) -> None:
    """The demo's scans, larger, its clip, and a file that was cut off."""
    archive.LONG_SIDE = SIDE
    archive.make_demo_archive(folder)
    make_demo_clip(folder / "1931 reel" / "coffee and a cat.mkv")
    letter = (folder / "1947 letters" / "Lindqvist, glass plates.jpg").read_bytes()
    (folder / "1956 press" / "half a plate.jpg").write_bytes(letter[:3000])


def keep_picture(page: Page, name: str) -> None:
    """Write what the page shows as WebP of a size that a repository can carry."""
    page.evaluate("document.activeElement.blur()")
    settle(page)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in (88, 82, 76, 70, 62):
        image.save(PICTURES / name, quality=quality, method=6)
        if (PICTURES / name).stat().st_size < _MOST_BYTES:
            return


def main(folder: Path) -> None:
    """Make the archive where it is missing, and draw both pictures."""
    scans, restored = folder / "scans", folder / "restored"
    if not scans.exists():
        make_scans(scans)
    command = f"{sys.executable} -m jobs restore {scans} {restored} --repair-damage fill --comparison --cpus 2"
    subprocess.run(command.split(), cwd=ROOT, check=False)  # one scan is broken, so it does not end with 0
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as cache,
        serving(str(restored), Path(cache), only=_SHOWN, reviewer="Ada Archivist") as server,
        start_browser() as browser,
        opened(browser, server.url, dark=True, size=SIZE) as watched,
    ):
        page = ready(watched.page)
        page.set_viewport_size({"width": SIZE[0], "height": 700})
        page.locator("#size").fill("260")
        until(page, "document.querySelectorAll('.card-picture').length >= 7")
        until(page, "[...document.querySelectorAll('.card-picture')].every((each) => each.complete)", 120)
        for place, key in ((0, "a"), (3, "a"), (6, "r"), (1, "a")):
            page.evaluate(f"document.querySelector('#card-{place}').click()")
            page.keyboard.press(key)
        until(page, "document.querySelectorAll('.card:not([data-decision=none])').length === 4")
        until(page, "!document.querySelector('#toast').classList.contains('shown')", 20)
        keep_picture(page, "gallery.webp")
        page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
        page.locator(".card", has_text=_LARGE).dblclick()
        loaded(page)
        until(page, "[...document.querySelectorAll('.cell img')].every((each) => each.complete)", 60)
        page.locator("details[data-part=settings] > summary").click()
        page.keyboard.press("m")
        page.wait_for_timeout(500)
        page.mouse.move(5, 5)
        keep_picture(page, "photograph.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
