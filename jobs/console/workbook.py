"""An Excel workbook of one sheet, of texts and numbers alone: nothing in it is computed, linked or run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

__all__ = ["MOST_ROWS", "write_workbook"]

MOST_ROWS = 1_048_576  # of a sheet, by the format
_MOST_CHARACTERS = 32_767  # of a cell
_EXACT = 2**53  # whole numbers beyond are no numbers in Excel, which keeps 15 digits
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_workbook(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows, the first of which names the columns and stays in sight; a row at a time is in memory.

    Args:
        rows: of None, texts, numbers and booleans. Characters that XML has not become U+FFFD; long texts are cut.

    Raises:
        ValueError: there are more than `MOST_ROWS`.
    """
    import xlsxwriter  # late: the command line starts without it

    with TemporaryDirectory(prefix="faitharchive-") as folder:  # of rows on their way: also gone after an error
        book = xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": folder})
        book.use_zip64()
        sheet = book.add_worksheet("manifest")
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(rows):
            if number >= MOST_ROWS:
                raise ValueError(f"{path}: an Excel sheet holds {MOST_ROWS} rows; write .csv or .parquet instead")
            for column, value in enumerate(row):
                _write(sheet, number, column, value)
        book.close()


def _write(sheet: Worksheet, row: int, column: int, value: object) -> None:
    """By the value's own type: what is a text is never taken for a formula, a link or a number."""
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif (isinstance(value, float) and math.isfinite(value)) or (isinstance(value, int) and abs(value) < _EXACT):
        sheet.write_number(row, column, value)
    else:
        text = _NO_XML.sub("\ufffd", str(value)[:_MOST_CHARACTERS])
        if text.startswith("<r>") and text.endswith("</r>"):  # XlsxWriter takes that for its own formatted text
            text = f"{text[: _MOST_CHARACTERS - 1]} "
        sheet.write_string(row, column, text)
