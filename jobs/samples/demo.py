"""`faitharchive demo`: a small archive of real photographs and a clip, restored, and a picture of before and after."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.text import Text

from jobs.console.terminal import printable
from jobs.samples.archive import make_demo_archive
from jobs.samples.clip import make_demo_clip
from pipelines.manifest.reader import current_rows
from pipelines.media.photo.decode import DecodeLimits, decode
from pipelines.rows import RESTORED, Row
from pipelines.settings import Settings
from pipelines.store.layout import damage_path
from pipelines.store.stores import open_store

__all__ = ["before_and_after", "front_picture", "run_demo"]

SCANS, RESULTS, SHEET, TABLE = "scans", "restored", "before-after.png", "manifest.csv"
CLIP = Path("1931 reel", "coffee and a cat.mkv")
_CELL, _GAP, _LABEL = 400, 12, 22  # pixels of the picture
_PAPER, _INK, _RED = (250, 248, 244), (40, 40, 40), (208, 32, 32)
_ON_THE_FRONT = ("1924", "1938", "1947", "1956")  # years of the scans that stand in the README
_COLUMNS = ("scan", "result", "marks found")


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
    before_and_after(scans, results, _restored(results)).save(folder / SHEET)
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
    return before_and_after(folder / SCANS, folder / RESULTS, rows)


def _restored(results: Path) -> list[Row]:
    rows = [row for row in current_rows(open_store(str(results))).values() if row["status"] == RESTORED]
    return sorted(rows, key=lambda row: row["source_path"])


def before_and_after(scans: Path, results: Path, rows: list[Row]) -> Image.Image:
    """A sheet with a line an item, at the result's own pixels: scan, result, and where damage was found.

    Args:
        scans, results: the folders of both.
        rows: of restored items.
    """
    width = len(_COLUMNS) * (_CELL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, max(1, len(rows)) * (_CELL + _LABEL + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = _GAP + number * (_CELL + _LABEL + _GAP)
        scan = _rgb(_pixels(row, scans / row["source_path"]))
        result = _rgb(_pixels(row, results / row["output_path"]))
        scan = scan.resize(result.size, Image.Resampling.BICUBIC)
        mask = results / damage_path(row["output_path"], row["pages"])
        views = [scan, result, _marked(result, mask)] if mask.is_file() else [scan, result]
        for column, view in enumerate(views):
            left = _GAP + column * (_CELL + _GAP)
            cell = _middle(view)
            sheet.paste(cell, (left + (_CELL - cell.width) // 2, top + (_CELL - cell.height) // 2))
            draw.text((left, top + _CELL + 4), _caption(row, column), fill=_INK)
    return sheet


def _caption(row: Row, column: int) -> str:
    note = "" if row["model_trained"] or not column else " (untrained)"
    frame = "" if row["media_kind"] == "photo" else "frame of a film, "
    words = f"{frame}{_COLUMNS[column]}{note}"
    if column == 2:
        return f"{words}: {row['damage_marks']}"
    size = (row["output_width"], row["output_height"]) if column else (row["width"], row["height"])
    return f"{words}, {size[0]}x{size[1]}"


def _middle(view: Image.Image) -> Image.Image:
    left, top = max(0, (view.width - _CELL) // 2), max(0, (view.height - _CELL) // 2)
    return view.crop((left, top, min(view.width, left + _CELL), min(view.height, top + _CELL)))


def _marked(result: Image.Image, mask: Path) -> Image.Image:
    """The result, pale, with the marks that were found on its scan in red."""
    with Image.open(mask) as file:
        found = file.convert("L").resize(result.size, Image.Resampling.NEAREST)
    pale = Image.blend(result.convert("L").convert("RGB"), Image.new("RGB", result.size, "white"), 0.5)
    pale.paste(_RED, mask=found)
    return pale


def _pixels(row: Row, path: Path) -> np.ndarray:
    """A photograph, or a frame from the middle of a film's first half."""
    if row["media_kind"] == "photo":
        return decode(path.read_bytes(), path.name, DecodeLimits()).pixels
    with av.open(str(path)) as container:
        frames = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        return next(islice(frames, row["frames"] // 4, None))


def _rgb(pixels: np.ndarray) -> Image.Image:
    """8 or 16 bits, grey or colour, as RGB; what is transparent becomes white."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1:] / 255
        pixels = np.rint(pixels[..., :-1] * alpha + np.array(255) * (1 - alpha)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


def _export(results: Path, file: Path) -> None:
    from jobs.console.export import select, to_csv

    file.write_text(to_csv(select(str(results))), encoding="utf-8", newline="")
