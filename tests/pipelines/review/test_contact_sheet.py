"""Contact sheets show scan and result at 100%, where there is something to see, and say why where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from jobs.cli.main import app
from pipelines.manifest.writer import ManifestWriter
from pipelines.review.contact_sheet import before_and_after, sheets
from pipelines.rows import Row, new_row
from pipelines.store.layout import damage_path
from pipelines.store.store import Store, StoreError


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Row]:
    """Makes a scan of one colour and its brighter result, twice as large, with a mask where there are marks."""

    def restored(name: str, size: tuple[int, int], *, marks: int | None = None, busy: bool = False) -> Row:
        for kind, level, scale in (("scans", 90, 1), ("restored", 160, 2)):
            pixels = np.full((size[1] * scale, size[0] * scale, 3), level, np.uint8)
            if busy:  # detail in one corner alone
                pixels[: 40 * scale, : 40 * scale] = np.random.default_rng(0).integers(
                    0, 255, (40 * scale, 40 * scale, 3)
                )
            path = tmp_path / kind / name
            path.parent.mkdir(exist_ok=True, parents=True)
            Image.fromarray(pixels).save(path)
        if marks:
            mask = np.zeros((size[1], size[0]), bool)
            mask[size[1] // 2, :] = True
            Image.fromarray(mask).save(tmp_path / "restored" / damage_path(name))
        return new_row(
            item_id=name,
            run_id="run",
            source_path=name,
            source_uri=f"{tmp_path}/scans/{name}",
            output_path=name,
            media_kind="photo",
            model_trained=True,
            width=size[0],
            height=size[1],
            output_width=2 * size[0],
            output_height=2 * size[1],
            damage_marks=marks,
        ) | {"status": "restored"}

    return restored


def stores(folder: Path) -> tuple[Store, Store]:
    return Store(str(folder / "scans")), Store(str(folder / "restored"))


def test_a_line_has_scan_result_and_marks(tmp_path: Path, archive: Callable[..., Row]) -> None:
    rows = [archive("a.png", (300, 260), marks=1), archive("b.png", (50, 40))]
    sheet = np.asarray(before_and_after(*stores(tmp_path), rows))
    line = (sheet.shape[0] - 12) // 2
    middle = 12 + line // 2 - 17  # of the first line's cells
    assert sheet[middle, 200].tolist() == [90, 90, 90]
    assert sheet[middle, 612].tolist() == [160, 160, 160]
    marked = sheet[12:line, 830:1230].astype(int)
    assert ((marked[..., 0] > 180) & (marked[..., 1] < 60)).sum() > 300  # red
    below = sheet[line:]
    assert (below[:, 830:1230].reshape(-1, 3) == sheet[0, 0]).all()  # nothing was found in the second
    assert (below == 160).all(axis=2).sum() >= 100 * 80


def test_the_busiest_part_is_shown_where_it_is_asked_for(tmp_path: Path, archive: Callable[..., Row]) -> None:
    rows = [archive("corner.png", (900, 700), busy=True)]
    for busiest in (False, True):
        sheet = np.asarray(before_and_after(*stores(tmp_path), rows, busiest=busiest)).astype(int)
        assert (sheet[20:90, 430:500].std() > 20) == busiest


def test_no_item_makes_an_empty_sheet(tmp_path: Path) -> None:
    assert before_and_after(Store(str(tmp_path)), Store(str(tmp_path)), []).size[0] > 1000


def test_a_scan_that_is_gone_has_the_reason_in_its_place(tmp_path: Path, archive: Callable[..., Row]) -> None:
    rows = [archive("gone.png", (60, 50)), archive("here.png", (60, 50))]
    (tmp_path / "scans" / "gone.png").unlink()
    sheet = np.asarray(before_and_after(*stores(tmp_path), rows)).astype(int)
    first, second = sheet[:440], sheet[440:]
    assert ((first[..., 0] > 180) & (first[..., 1] < 60)).any()
    assert (second == 160).all(axis=2).any()


def test_the_command_writes_pages_and_never_over_what_is_there(tmp_path: Path, archive: Callable[..., Row]) -> None:
    writer = ManifestWriter(stores(tmp_path)[1], "run")
    (tmp_path / "restored").mkdir()
    for number in range(5):
        writer.add(archive(f"box/{number}.png", (60, 50)))
    writer.flush()
    output, sheet = str(tmp_path / "restored"), tmp_path / "sheet.jpg"
    command = ["contact-sheet", output, str(sheet), "--lines", "2"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["sheet-2.jpg", "sheet-3.jpg", "sheet.jpg"]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, ValueError) and "is there already" in str(refused.exception)
    again = CliRunner().invoke(app, [*command, "--overwrite", "--only", "box/3*"])
    assert again.exit_code == 0 and again.output.count("Sheet:") == 1
    other = CliRunner().invoke(app, ["contact-sheet", output, str(tmp_path / "sheet.txt")])
    assert ".jpg, .jpeg, .png, .webp" in str(other.exception)


def test_what_matches_nothing_is_one_line(tmp_path: Path, archive: Callable[..., Row]) -> None:
    with pytest.raises(StoreError, match="no run has been here"):
        next(sheets(str(tmp_path)))
    (tmp_path / "restored").mkdir()
    writer = ManifestWriter(stores(tmp_path)[1], "run")
    writer.add(archive("a.png", (60, 50)))
    writer.flush()
    with pytest.raises(StoreError, match="nothing restored matches --only z"):
        next(sheets(str(tmp_path / "restored"), only="z*"))
