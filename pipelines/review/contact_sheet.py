"""Contact sheets: scan and result side by side at the result's own pixels, and where damage was found."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from faithdiff_model.redaction import redact_url
from pipelines.errors import ItemError
from pipelines.manifest.reader import current_rows
from pipelines.review.side_by_side import busiest_box, scan_and_result, scan_store_url
from pipelines.rows import RESTORED, Row
from pipelines.store.layout import damage_path
from pipelines.store.ownership import check_holds_records
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store

__all__ = ["SUFFIXES", "before_and_after", "sheets"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_CELL, _GAP, _LABEL = 400, 12, 22  # pixels of the picture
_PAPER, _INK, _RED = (250, 248, 244), (40, 40, 40), (208, 32, 32)
_COLUMNS = ("scan", "result", "marks found")
_NAME = 62  # characters of a path below its scan


def sheets(output: str, *, source: str = "", only: str = "", items: int = 40, lines: int = 8) -> Iterator[Image.Image]:
    """Sheets of an archive's restored items, by path, one after the other: of each the part that has most detail.

    Args:
        output: folder or URL of the results.
        source: where the scans lie now; empty for where the results were made from.
        only: glob of source paths; empty for all.
        items: at most so many, spread evenly over those that match.
        lines: items a sheet.

    Yields:
        Pictures of 1,248 pixels in width.

    Raises:
        StoreError: no run has been in the output, or nothing restored matches.
    """
    results = open_store(output)
    check_holds_records(results)
    rows = [
        row
        for row in current_rows(results).values()
        if row["status"] == RESTORED and (not only or fnmatch.fnmatchcase(row["source_path"], only))
    ]
    if not rows:
        what = f"matches --only {only}" if only else "is there"
        raise StoreError(
            f"output {redact_url(output)}: nothing restored {what}; faitharchive manifest show lists what is in it"
        )
    rows.sort(key=lambda row: row["source_path"])
    places = dict.fromkeys(np.linspace(0, len(rows) - 1, min(items, len(rows))).round().astype(int).tolist())
    chosen = [rows[place] for place in places]
    scans = open_store(source or scan_store_url(chosen[0]))
    for start in range(0, len(chosen), lines):
        yield before_and_after(scans, results, chosen[start : start + lines], busiest=True, names=True)


def before_and_after(
    scans: Store, results: Store, rows: Sequence[Row], *, busiest: bool = False, names: bool = False
) -> Image.Image:
    """A sheet with a line an item, at the result's own pixels: scan, result, and where damage was found.

    An item that cannot be read, or is too large to be shown, has the reason in its place.

    Args:
        scans, results: the stores of both.
        rows: of restored items.
        busiest: show of each the part with most detail, not its middle.
        names: write each source's path below its scan.

    Returns:
        RGB of 1,248 pixels in width and 434 a line.
    """
    width = len(_COLUMNS) * (_CELL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, max(1, len(rows)) * (_CELL + _LABEL + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = _GAP + number * (_CELL + _LABEL + _GAP)
        try:
            views = _views(scans, results, row)
        except (ItemError, OSError) as error:
            reason = error.reason if isinstance(error, ItemError) else f"{row['source_path']}: {error}"
            draw.multiline_text((_GAP, top), _folded(f"cannot be shown: {reason}", 120), fill=_RED)
            continue
        box = _box(views[0], busiest=busiest)
        for column, view in enumerate(views):
            left = _GAP + column * (_CELL + _GAP)
            cell = view.crop(box)
            sheet.paste(cell, (left + (_CELL - cell.width) // 2, top + (_CELL - cell.height) // 2))
            draw.text((left, top + _CELL + 4), _caption(row, column, names=names), fill=_INK)
    return sheet


def _views(scans: Store, results: Store, row: Row) -> list[Image.Image]:
    scan, result = scan_and_result(scans, results, row)
    scan = scan.resize(result.size, Image.Resampling.BICUBIC)
    mask = damage_path(row["output_path"], row["pages"])
    if not row["damage_marks"] or not results.exists(mask):
        return [scan, result]
    return [scan, result, _marked(result, results.read(mask))]


def _caption(row: Row, column: int, *, names: bool) -> str:
    note = "" if row["model_trained"] or not column else " (untrained)"
    frame = "" if row["media_kind"] == "photo" else "frame of a film, "
    words = f"{frame}{_COLUMNS[column]}{note}"
    if column == 2:
        return f"{words}: {row['damage_marks']}"
    size = (row["output_width"], row["output_height"]) if column else (row["width"], row["height"])
    if names and not column:
        return _printable(row["source_path"])
    return f"{words}, {size[0]}x{size[1]}"


def _printable(path: str) -> str:
    """A path as it is written below a scan; its end where it is long."""
    shown = _drawable(path)
    return shown if len(shown) <= _NAME else "..." + shown[3 - _NAME :]


def _folded(text: str, width: int) -> str:
    shown = _drawable(text)
    return "\n".join(shown[start : start + width] for start in range(0, min(len(shown), 4 * width), width))


def _drawable(text: str) -> str:
    """A text in the letters that every Pillow draws."""
    return "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in text)


def _box(scan: Image.Image, *, busiest: bool) -> tuple[int, int, int, int]:
    """The part of a picture that is shown: its middle, or where it has most detail."""
    if busiest:
        return busiest_box(scan, _CELL, _CELL)
    width, height = min(_CELL, scan.width), min(_CELL, scan.height)
    left, top = (scan.width - width) // 2, (scan.height - height) // 2
    return left, top, left + width, top + height


def _marked(result: Image.Image, mask: bytes) -> Image.Image:
    """The result, pale, with the marks that were found on its scan in red."""
    with Image.open(io.BytesIO(mask)) as file:
        found = file.convert("L").resize(result.size, Image.Resampling.NEAREST)
    pale = Image.blend(result.convert("L").convert("RGB"), Image.new("RGB", result.size, "white"), 0.5)
    pale.paste(_RED, mask=found)
    return pale
