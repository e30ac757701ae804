"""An Excel workbook of one sheet, of texts and numbers alone: nothing in it is computed, linked or run."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["MOST_ROWS", "write_workbook"]

MOST_ROWS = 1_048_576  # of a sheet, by the format
_MOST_CHARACTERS = 32_767  # of a cell
_EXACT = 2**53  # whole numbers beyond are no numbers in Excel, which keeps 15 digits
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMES = "http://schemas.openxmlformats.org"
_TYPES = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="{_NAMES}/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>
</Types>"""
_BOOK = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="{_NAMES}/spreadsheetml/2006/main" xmlns:r="{_NAMES}/officeDocument/2006/relationships">
<sheets><sheet name="manifest" sheetId="1" r:id="rId1"/></sheets></workbook>"""
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET = f'{_HEAD}<worksheet xmlns="{_NAMES}/spreadsheetml/2006/main">'
_FREEZE = (
    '<sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" state="frozen"/></sheetView></sheetViews>'
)


def write_workbook(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows, the first of which names the columns and stays in sight.

    Args:
        rows: of None, texts, numbers and booleans. Characters that XML has not become U+FFFD; long texts are cut.

    Raises:
        ValueError: there are more than `MOST_ROWS`.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", _TYPES)
        book.writestr("_rels/.rels", _relation("officeDocument", "xl/workbook.xml"))
        book.writestr("xl/workbook.xml", _BOOK)
        book.writestr("xl/_rels/workbook.xml.rels", _relation("worksheet", "worksheets/sheet1.xml"))
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f"{_SHEET}{_FREEZE}<sheetData>".encode())
            for number, row in enumerate(rows, 1):
                if number > MOST_ROWS:
                    raise ValueError(f"{path}: an Excel sheet holds {MOST_ROWS} rows; write .csv or .parquet instead")
                cells = "".join(_cell(value) for value in row)
                sheet.write(f'<row r="{number}">{cells}</row>'.encode())
            sheet.write(b"</sheetData></worksheet>")


def _relation(kind: str, target: str) -> str:
    return (
        f'{_HEAD}<Relationships xmlns="{_NAMES}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_NAMES}/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>'
    )


def _cell(value: object) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if (isinstance(value, float) and abs(value) < float("inf")) or (isinstance(value, int) and abs(value) < _EXACT):
        return f"<c><v>{value!r}</v></c>"
    text = escape(_NO_XML.sub("\ufffd", str(value)[:_MOST_CHARACTERS]))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
