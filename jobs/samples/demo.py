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
from pipelines.store.stores import open_store

__all__ = ["before_and_after", "run_demo"]

SCANS, RESULTS, SHEET, TABLE = "scans", "restored", "before-after.png", "manifest.csv"
CLIP = Path("1931 reel", "coffee and a cat.mkv")
_CELL, _GAP, _LABEL = 320, 12, 22  # pixels of the picture
_PAPER, _INK = (250, 248, 244), (40, 40, 40)


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
    settings = Settings(source=str(scans), output=str(results), comparison=True)
    code = restore(settings)
    rows = [row for row in current_rows(open_store(str(results))).values() if row["status"] == RESTORED]
    before_and_after(scans, results, sorted(rows, key=lambda row: row["source_path"])).save(folder / SHEET)
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


def before_and_after(scans: Path, results: Path, rows: list[Row]) -> Image.Image:
    """A sheet with a column an item: the scan above, its result below."""
    width = max(1, len(rows)) * (_CELL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, 2 * (_CELL + _LABEL + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, row in enumerate(rows):
        left = _GAP + column * (_CELL + _GAP)
        scan, result = scans / row["source_path"], results / row["output_path"]
        note = "" if row["model_trained"] else " (untrained)"
        for number, (path, words) in enumerate(((scan, "scan"), (result, f"result{note}"))):
            top = _GAP + number * (_CELL + _LABEL + _GAP)
            view = _view(_pixels(row, path))
            sheet.paste(view, (left + (_CELL - view.width) // 2, top + (_CELL - view.height) // 2))
            frame = "" if row["media_kind"] == "photo" else "frame of a film, "
            draw.text((left, top + _CELL + 4), f"{frame}{words}, {_size(row, number)}", fill=_INK)
    return sheet


def _pixels(row: Row, path: Path) -> np.ndarray:
    """A photograph, or a frame from the middle of a film's first half."""
    if row["media_kind"] == "photo":
        return decode(path.read_bytes(), path.name, DecodeLimits()).pixels
    with av.open(str(path)) as container:
        frames = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        return next(islice(frames, row["frames"] // 4, None))


def _view(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1:] / 255
        pixels = np.rint(pixels[..., :-1] * alpha + np.array(255) * (1 - alpha)).astype(np.uint8)
    view = Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    scale = _CELL / max(view.size)
    size = (max(1, round(view.width * scale)), max(1, round(view.height * scale)))
    return view.resize(size, Image.Resampling.BICUBIC)


def _size(row: Row, number: int) -> str:
    return f"{row['output_width']}x{row['output_height']}" if number else f"{row['width']}x{row['height']}"


def _export(results: Path, file: Path) -> None:
    from jobs.console.export import select, to_csv

    file.write_text(to_csv(select(str(results))), encoding="utf-8", newline="")
