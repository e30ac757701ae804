"""`faitharchive demo`: a small archive of real photographs and a clip, restored, and a picture of before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from jobs.console.terminal import printable
from jobs.samples.archive import make_demo_archive
from jobs.samples.clip import make_demo_clip
from pipelines.manifest.reader import current_rows
from pipelines.review.contact_sheet import before_and_after
from pipelines.rows import RESTORED, Row
from pipelines.settings import Settings
from pipelines.store.stores import open_store

__all__ = ["front_picture", "run_demo"]

SCANS, RESULTS, SHEET, TABLE = "scans", "restored", "before-after.png", "manifest.csv"
CLIP = Path("1931 reel", "coffee and a cat.mkv")
_ON_THE_FRONT = ("1924", "1938", "1947", "1956")  # years of the scans that stand in the README


def run_demo(folder: Path, console: Console, restore: Callable[[Settings], int]) -> int:
    """Make the archive, restore it and print what to open.

    Args:
        folder: gets `scans`, `restored` and the picture.
        console: where to print.
        restore: runs a restoration; its exit code is returned.
    """
    scans, results = folder / SCANS, folder / RESULTS
    if not scans.exists():
        console.print(Text(f"Making a small archive of real photographs and a clip, aged, in {printable(str(scans))}"))
        make_demo_archive(scans)
        make_demo_clip(scans / CLIP)
    settings = Settings(source=str(scans), output=str(results), comparison=True, repair_damage="fill")
    code = restore(settings)
    before_and_after(open_store(str(scans)), open_store(str(results)), _restored(results)).save(folder / SHEET)
    _export(results, folder / TABLE)
    trained = settings.model_spec().trained
    place = Path(printable(str(folder)))
    console.print(
        Text(
            f"\nOpen {place / SHEET} to see the scans and what was made of them,\n"
            f"     {place / RESULTS / CLIP}.comparison.mp4 for the film, before and after side by side,\n"
            f"     {place / RESULTS} for the files and their sidecars (*.restoration.json),\n"
            f"     {place / TABLE} for the manifest as a table."
        ),
        soft_wrap=True,
    )
    if not trained:
        console.print(
            f"The demo ran on the untrained network ({settings.preset}): every step is real, but the pictures are noise on the "
            "scans' colours, not restorations. With the published weights: faitharchive restore SCANS RESTORED --preset sdxl",
            soft_wrap=True,
        )
    console.print("Your own folder: .venv/bin/faitharchive restore SCANS RESTORED", soft_wrap=True)
    return code


def front_picture(folder: Path) -> Image.Image:
    """The README's picture: four lines of the sheet that `run_demo` has left in `folder`."""
    rows = [row for row in _restored(folder / RESULTS) if row["source_path"].startswith(_ON_THE_FRONT)]
    return before_and_after(open_store(str(folder / SCANS)), open_store(str(folder / RESULTS)), rows)


def _restored(results: Path) -> list[Row]:
    rows = [row for row in current_rows(open_store(str(results))).values() if row["status"] == RESTORED]
    return sorted(rows, key=lambda row: row["source_path"])


def _export(results: Path, file: Path) -> None:
    from jobs.console.export import select, to_csv

    file.write_text(to_csv(select(str(results))), encoding="utf-8", newline="")
