"""Durable tiles as bands of rows: the photograph that they make when all are held at once, and no damaged one goes through."""

from __future__ import annotations

import functools
import json
import operator
from pathlib import Path

import numpy as np
import pytest
from archive_steps import MOMENT, archive_settings

from faithdiff_model.image.colour_statistics import ColourStatistics
from faithdiff_model.image.resize import from_unit_float, to_grey, to_unit_float
from pipelines.errors import ItemError
from pipelines.rows import Row, new_row, parts_key
from pipelines.settings import Settings
from pipelines.stages.joining import JoinedTiles
from pipelines.stages.tile_parts import OpenPart, PartStatistics, part_path, write_part
from pipelines.stages.tiling import pixels_of, tile_places
from pipelines.store.store import Store

SIZE = (150, 210)  # of the scan; 300 x 420 restored, in 3 x 4 tiles


def write_tiles(
    store: Store, settings: Settings, channels: int, bit_depth: int
) -> tuple[Row, list[PartStatistics], np.ndarray]:
    """Tiles of noise, the row of the last, their statistics, and their cores in one piece."""
    height, width = SIZE
    rng = np.random.default_rng(5)
    depth = 4 if channels in (2, 4) else 3
    whole = np.zeros((2 * height, 2 * width, depth), np.uint16)
    places, statistics = tile_places(width, height, settings), []
    row = new_row(
        identity="ab" * 32, source_path="a.tif", width=width, height=height, channels=channels, bit_depth=bit_depth,
        output_width=2 * width, output_height=2 * height, parts=len(places), icc_profile=b"a profile",
    )  # fmt: skip
    row["started_at"] = MOMENT
    for number, place in enumerate(places):
        area = pixels_of(place.tile.core, place, settings)
        core = rng.integers(0, 65536, (area.height, area.width, depth), dtype=np.uint16)
        whole[area.slices] = core
        planes = to_unit_float(core[..., :3]).transpose(2, 0, 1)
        statistics.append(PartStatistics(ColourStatistics.of(planes * 0.5), ColourStatistics.of(planes)))
        row["part"], row["seconds_restore"] = number, 0.25
        write_part(store, row, core, statistics[-1].to_json())
    return row, statistics, whole


@pytest.mark.parametrize("colour_fix", ["adain", "none"])
@pytest.mark.parametrize(("channels", "bit_depth"), [(1, 8), (2, 16), (3, 8), (3, 16), (4, 8)])
def test_bands_are_the_whole(tmp_path: Path, channels: int, bit_depth: int, colour_fix: str) -> None:
    settings = archive_settings(tmp_path, tile=128, colour_fix=colour_fix)
    store = Store(settings.output)
    row, statistics, cores = write_tiles(store, settings, channels, bit_depth)
    assert row["parts"] == 12
    tiles = JoinedTiles(store, row, settings)
    bands = list(tiles.bands())
    values = to_unit_float(cores)
    if colour_fix == "adain":
        lq = functools.reduce(operator.add, (item.lq for item in statistics))
        restored = functools.reduce(operator.add, (item.restored for item in statistics))
        gain, offset = (each.astype(np.float32) for each in restored.transfer_to(lq))
        values[..., :3] = values[..., :3] * gain + offset
    colour = to_grey(values[..., :3]) if channels < 3 else values[..., :3]
    dtype = np.dtype(np.uint16 if bit_depth == 16 else np.uint8)
    expected = from_unit_float(np.concatenate([colour, values[..., 3:]], axis=2), dtype)
    assert tiles.shape == expected.shape
    assert {band.dtype for band in bands} == {tiles.dtype} == {dtype}
    np.testing.assert_array_equal(np.concatenate(bands), expected)
    assert tiles.seconds_restore == 3.0
    assert tiles.row["icc_profile"] == b"a profile"
    assert tiles.row["part"] == 0


def test_bands_are_short_where_the_photograph_is_wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = archive_settings(tmp_path, tile=128)
    store = Store(settings.output)
    row, _, _ = write_tiles(store, settings, 3, 8)
    whole = np.concatenate(list(JoinedTiles(store, row, settings).bands()))
    monkeypatch.setattr("pipelines.stages.joining._BAND_VALUES", 7 * whole.shape[1] * 3)
    bands = list(JoinedTiles(store, row, settings).bands())
    assert max(map(len, bands)) == 7
    np.testing.assert_array_equal(np.concatenate(bands), whole)


@pytest.mark.parametrize("at", [0.2, 0.8])
def test_a_tile_that_is_damaged_inside_stops_the_bands(tmp_path: Path, at: float) -> None:
    settings = archive_settings(tmp_path, tile=128)
    store = Store(settings.output)
    row, _, _ = write_tiles(store, settings, 3, 8)
    path = Path(store.key(part_path(parts_key(row), 7)))
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ItemError, match="a restored tile is damaged") as error:
        list(JoinedTiles(store, row, settings).bands())
    assert error.value.code == "write_error"
    assert not store.exists(part_path(parts_key(row), 0))  # all are made again


def test_a_tile_is_read_in_pieces_of_any_store(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path, tile=128)
    local, remote = Store(settings.output), Store("memory://joining/a")
    row, _, _ = write_tiles(local, settings, 3, 16)
    path = part_path(parts_key(row), 5)
    remote.publish(path, local.read(path))
    for store in (local, remote):
        with OpenPart(store, parts_key(row), 5) as part:
            rows, columns, _ = part.shape
            first, rest = part.rows(10), part.rows(10_000)
            assert (len(first), len(rest)) == (10, rows - 10)
            assert first.shape[1:] == (columns, 3)
            assert part.row()["part"] == 5
            assert json.loads(part.statistics().to_json())[0]["count"] == rows * columns
