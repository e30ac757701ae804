"""Single pictures of films: the very frames that reading from the start gives, wherever key frames lie."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_steps import full_row
from film_files import film, make_clip
from PIL import Image

from pipelines.errors import ItemError
from pipelines.film.stills import frame_count, result_still, source_still
from pipelines.media.film.container.reader import open_container
from pipelines.media.film.facts import FilmOptions
from pipelines.rows import Row
from pipelines.store.store import Store

CLIPS: dict[str, dict[str, Any]] = {
    "intra.mkv": {},
    "long groups.mp4": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 60, "b_frames": 2},
    "short groups.mkv": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 8, "b_frames": 2},
    "broadcast.ts": {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 12, "b_frames": 2},
}
COUNT = 75  # three seconds


def row_of(path: str, rate: float = 25.0, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "source_path": path,
        "output_path": path,
        "media_kind": "film",
        "frames": COUNT,
        "film": None,
    }
    return full_row(**{**values, "frame_rate": rate, **changes})


@pytest.mark.parametrize("name", CLIPS)
def test_a_still_is_the_frame_of_its_number(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / name, film(COUNT), rate=25, **CLIPS[name])
    store, row = Store(str(tmp_path)), row_of(name)
    reader = open_container(lambda: str(tmp_path / name), name, FilmOptions(deinterlace="keep"))
    frames = [frame.pixels for frame in islice(reader.scan(), COUNT)]
    for number in (0, 1, 37, COUNT - 2, COUNT - 1, 12):
        assert np.array_equal(source_still(store, row, number), frames[number]), number
    assert np.array_equal(result_still(store, row, COUNT + 9), frames[-1])


def test_a_sequence_shows_the_frame_before_a_gap(tmp_path: Path) -> None:
    (tmp_path / "shot").mkdir()
    for number in (7, 8, 10):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"shot/f.{number:04d}.png")
    store, row = Store(str(tmp_path)), row_of("shot/f.%04d.png", frames=4)
    assert frame_count(row) == 4
    assert [int(source_still(store, row, number)[0, 0, 0]) for number in range(4)] == [7, 8, 8, 10]


def test_what_is_no_film_is_an_item_error(tmp_path: Path) -> None:
    (tmp_path / "none.mkv").write_bytes(b"no film at all")
    with pytest.raises(ItemError, match=r"none\.mkv"):
        source_still(Store(str(tmp_path)), row_of("none.mkv"), 0)
    with pytest.raises(ItemError, match="No such file"):
        source_still(Store(str(tmp_path)), row_of("gone.mkv"), 0)
