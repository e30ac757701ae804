"""The sheet of the demo: a line an item, scan beside result, and the damage that was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jobs.samples.demo import before_and_after
from pipelines.rows import Row, new_row
from pipelines.store.layout import damage_path


def restored(folder: Path, name: str, size: tuple[int, int], *, marks: int | None) -> Row:
    """A scan of one colour and its brighter result, twice as large, with a mask where there are marks."""
    for kind, level, scale in (("scans", 90, 1), ("restored", 160, 2)):
        path = folder / kind / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (size[0] * scale, size[1] * scale), (level,) * 3).save(path)
    if marks:
        mask = np.zeros((size[1], size[0]), bool)
        mask[size[1] // 2, :] = True
        Image.fromarray(mask).save(folder / "restored" / damage_path(name))
    return new_row(
        source_path=name,
        output_path=name,
        media_kind="photo",
        model_trained=True,
        width=size[0],
        height=size[1],
        output_width=2 * size[0],
        output_height=2 * size[1],
        damage_marks=marks,
    )


def test_a_line_has_scan_result_and_marks(tmp_path: Path) -> None:
    rows = [
        restored(tmp_path, "a.png", (300, 260), marks=1),
        restored(tmp_path, "b.png", (50, 40), marks=None),
    ]
    sheet = np.asarray(before_and_after(tmp_path / "scans", tmp_path / "restored", rows))
    line = (sheet.shape[0] - 12) // 2
    middle = 12 + line // 2 - 17  # of the first line's cells
    assert sheet[middle, 200].tolist() == [90, 90, 90]
    assert sheet[middle, 612].tolist() == [160, 160, 160]
    marked = sheet[12:line, 830:1230].astype(int)
    assert ((marked[..., 0] > 180) & (marked[..., 1] < 60)).sum() > 300  # red
    below = sheet[line:]
    assert (below[:, 830:1230].reshape(-1, 3) == sheet[0, 0]).all()  # nothing was found in the second
    assert (below == 160).all(axis=2).sum() >= 100 * 80


def test_no_item_makes_an_empty_sheet(tmp_path: Path) -> None:
    assert before_and_after(tmp_path, tmp_path, []).size[0] > 1000
