"""HQ photographs from folders and stores, their captions, and what becomes of bad ones."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from archive_steps import picture, save_photo
from training_runs import small_data

from faithdiff_model.training.photographs import (
    Photograph,
    PhotographCache,
    PhotographError,
    list_photographs,
    read_photograph,
)
from faithdiff_model.training.samples import TrainingSamples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """1.png, 11.png and sub/1.JPG, and something that is no photograph."""
    save_photo(tmp_path / "1.png")
    save_photo(tmp_path / "11.png")
    save_photo(tmp_path / "sub" / "1.JPG", quality=95)
    (tmp_path / "notes.txt").write_text("no photograph")
    return tmp_path


@pytest.fixture
def memory() -> Iterator[str]:
    """A store without a disk, emptied afterwards."""
    yield "memory://training"
    fsspec.filesystem("memory").store.clear()


def names(photographs: list[Photograph]) -> list[tuple[str, str]]:
    return [(photograph.name, photograph.caption) for photograph in photographs]


def cache_of(folder: Path, **changes: int) -> PhotographCache:
    options = {"smallest_side": 16, "limit_mib": 64, **changes}
    return PhotographCache(list_photographs((str(folder),)), **options)


def test_photographs_are_listed_in_order_from_all_folders(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    save_photo(other / "0.tif")
    listed = list_photographs((str(folder), str(other)))
    assert names(listed) == [("1.png", ""), ("11.png", ""), ("1.JPG", ""), ("0.tif", "")]


def test_captions_beside_the_photographs(folder: Path) -> None:
    (folder / "11.txt").write_text("  a barn, a crème sky \n", encoding="utf-8")
    assert names(list_photographs((str(folder),), "beside")) == [
        ("1.png", ""),
        ("11.png", "a barn, a crème sky"),
        ("1.JPG", ""),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_captions_from_a_table(folder: Path, tmp_path_factory: pytest.TempPathFactory, encoding: str) -> None:
    """By the end of the path in whole names: 1.png is not the end of 11.png; a cut row has no caption."""
    table = tmp_path_factory.mktemp("captions") / "captions.csv"
    rows = ["path,caption", "1.png, a house ", "sub/1.JPG,a bridge", "11.png"]
    table.write_text("\n".join(rows), encoding=encoding)
    assert names(list_photographs((str(folder),), str(table))) == [
        ("1.png", "a house"),
        ("11.png", ""),
        ("1.JPG", "a bridge"),
    ]


def test_the_longest_name_in_a_table_counts(folder: Path) -> None:
    (folder / "c.csv").write_text(f"path,caption\n1.JPG,any\n{folder}/sub/1.JPG,this one\n")
    assert names(list_photographs((str(folder),), str(folder / "c.csv")))[2] == ("1.JPG", "this one")


@pytest.mark.parametrize("content", ["file,text\na.png,x\n", "", "path,caption\n"])
def test_a_table_without_captions(folder: Path, content: str) -> None:
    (folder / "c.csv").write_text(content)
    with pytest.raises(PhotographError, match="need the columns path and caption"):
        list_photographs((str(folder),), str(folder / "c.csv"))


def test_a_table_that_is_missing(folder: Path) -> None:
    with pytest.raises(PhotographError, match=r"none\.csv: captions could not be read"):
        list_photographs((str(folder),), str(folder / "none.csv"))


def test_photographs_and_captions_in_a_store(memory: str, folder: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/training/a/1.png", (folder / "1.png").read_bytes())
    store.pipe("/training/a/1.txt", b"a mill")
    assert names(list_photographs((memory,), "beside")) == [("1.png", "a mill")]
    store.pipe("/tables/c.csv", f"path,caption\n{memory}/a/1.png,a barn\n".encode())
    assert names(list_photographs((memory,), "memory://tables/c.csv")) == [("1.png", "a barn")]
    np.testing.assert_array_equal(
        read_photograph(list_photographs((memory,))[0].url), read_photograph(str(folder / "1.png"))
    )


def test_samples_from_a_store(memory: str, hq: Path) -> None:
    for path in hq.iterdir():
        fsspec.filesystem("memory").pipe(f"/training/{path.name}", path.read_bytes())
    found, expected = (TrainingSamples(small_data(source), 3)[2] for source in (memory, hq))
    assert all(np.array_equal(found[name], expected[name]) for name in ("hq", "lq", "time_ids"))


@pytest.mark.parametrize("where", ["nowhere", "empty", "gopher://x"])
def test_a_folder_without_photographs(tmp_path: Path, where: str) -> None:
    (tmp_path / "empty").mkdir()
    location = where if ":" in where else str(tmp_path / where)
    with pytest.raises(PhotographError, match=where) as caught:
        list_photographs((location,))
    assert "\n" not in str(caught.value)


def test_colours_come_in_the_order_of_rgb(tmp_path: Path) -> None:
    pixels = picture(20, 24)
    np.testing.assert_array_equal(read_photograph(str(save_photo(tmp_path / "a b#1%.png", pixels))), pixels)
    grey = read_photograph(str(save_photo(tmp_path / "grey.png", picture(20, 24, 1))))
    assert grey.shape == (20, 24, 3)
    assert np.array_equal(grey[..., 0], grey[..., 2])


def huge_png() -> bytes:
    """A file that claims more pixels than OpenCV decodes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [b"", b"no image at all", huge_png()], ids=["empty", "text", "huge"])
def test_a_bad_photograph_is_reported_once_and_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (folder / "1.png").write_bytes(content)
    cache = cache_of(folder)
    with caplog.at_level(logging.WARNING):
        taken = [cache.image(0)[0].name for _ in range(3)]
    assert taken == ["11.png"] * 3  # the next one
    (record,) = caplog.records
    assert "left out of training" in record.message
    assert "1.png" in record.message


def test_a_photograph_that_is_gone_is_left_out(folder: Path) -> None:
    cache = cache_of(folder)
    (folder / "11.png").unlink()
    assert cache.image(1)[0].name == "1.JPG"


def test_photographs_that_are_too_small_are_left_out(folder: Path) -> None:
    save_photo(folder / "2.png", picture(60, 60))
    cache = cache_of(folder, smallest_side=48)
    assert {cache.image(index)[0].name for index in range(4)} == {"2.png"}


def test_no_photograph_that_can_be_used_is_an_error(folder: Path) -> None:
    with pytest.raises(PhotographError, match="none of 3 photographs can be used: each side must be 64 pixels or more"):
        TrainingSamples(small_data(folder), 0)[0]


def test_the_cache_keeps_the_limit_and_the_latest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        save_photo(folder / f"big{number}.png", picture(400, 400))  # 0.46 MiB each, decoded
    cache = PhotographCache(
        [Photograph(str(folder / f"big{number}.png")) for number in range(3)], smallest_side=16, limit_mib=1
    )
    read: list[str] = []
    plain = read_photograph
    monkeypatch.setattr(
        "faithdiff_model.training.photographs.read_photograph", lambda url: (read.append(url[-5]), plain(url))[1]
    )
    for index in (0, 1, 0, 2, 0, 1):
        cache.image(index)
    assert read == ["0", "1", "2", "1"]
