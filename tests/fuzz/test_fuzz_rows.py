"""Rows with hostile values through the stages that need no model: each comes out pending or failed with a code, and no stage
raises."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, picture, save_photo, table_of
from corpus import seeds
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.errors import ERROR_CODES
from pipelines.rows import FAILED, PART_DONE, PENDING, Row, get_pixels, new_row
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.tile import Tile

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")
few = hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
_NAMES = st.one_of(
    st.sampled_from([
        "photo 0", "photo 7", "sub/photo.png", "", ".", "..", "../secret.png", "sub/../../secret.png", "/etc/passwd", "//",
        "sub", "sub/", "./photo 0", "photo 0/", "nul\0.png", "x" * 300, "d/" * 3000, "line\nbreak.png", "\u202egnp.x",
        "fifo.png", "socket.png", "link out.png", "loop.png", "gone.png", "~", "$HOME", "*", "photo *", "file:///etc/passwd",
        "s3://bucket/key",
    ]),
    _TEXT,
)  # fmt: skip
_NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 2**62]))
_ROWS = st.fixed_dictionaries(
    {"source_path": _NAMES},
    optional={
        "source_size": _NUMBERS,
        "source_version": st.one_of(st.none(), _TEXT),
        "seed": _NUMBERS,
        "settings_digest": st.one_of(st.none(), _TEXT),
        "model_digest": st.one_of(st.none(), _TEXT),
        "caption": st.one_of(st.none(), _TEXT),
        "warnings": st.lists(_TEXT, max_size=3),
        "width": _NUMBERS,
        "parts": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
        "pixels": st.binary(max_size=20),
        "icc_profile": st.binary(max_size=20),
    },
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Whole files of every layout, and things that are no files."""
    folder = tmp_path_factory.mktemp("hostile")
    settings = archive_settings(folder, tile=64, tile_halo=0, max_seconds=20)
    source = Path(settings.source)
    for number, (_, _, data) in enumerate(seeds()):
        (source / f"photo {number}").write_bytes(data)
    save_photo(source / "sub" / "photo.png")
    save_photo(folder / "secret.png")
    os.mkfifo(source / "fifo.png")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(source)  # a socket's name may have 100 bytes
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)
    (source / "link out.png").symlink_to(folder / "secret.png")
    (source / "loop.png").symlink_to("loop.png")
    (source / "gone.png").symlink_to("nowhere.png")
    return settings


def through(settings: Settings, *rows: Row) -> list[Row]:
    return run_stage(Tile(settings), run_stage(Decode(settings), table_of(*rows))).to_pylist()


def check(row: Row) -> None:
    assert row["status"] in (PENDING, FAILED, PART_DONE)
    if row["status"] == FAILED:
        assert row["error_code"] in ERROR_CODES
        assert row["error_reason"].strip()
        assert "\n" not in row["error_reason"]
        assert row["pixels"] is None
    if row["status"] == PENDING:
        assert get_pixels(row).size


@few
@given(st.lists(_ROWS, min_size=1, max_size=4))
def test_hostile_rows(archive: Settings, rows: list[dict[str, Any]]) -> None:
    results = through(archive, *(new_row() | values for values in rows))
    asked = [values["source_path"] for values in rows]
    assert {row["source_path"] for row in results} == set(asked)
    for row in results:
        check(row)


def test_every_layout_comes_through(archive: Settings) -> None:
    names = [f"photo {number}" for number in range(len(seeds()))]
    results = through(archive, *(new_row(source_path=name) for name in names))
    assert {row["source_path"] for row in results if row["status"] == PENDING} == set(names)


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("../secret.png", "bad_name", "rename"),
        ("sub/../../secret.png", "bad_name", "rename"),
        ("/etc/passwd", "bad_name", "rename"),
        ("nul\0.png", "bad_name", "rename"),
        ("x" * 300, "unreadable", "check access"),
        ("sub", "unreadable", "no regular file"),
        ("fifo.png", "unreadable", "no regular file"),
        ("socket.png", "unreadable", "no regular file"),
        ("loop.png", "unreadable", "check access"),
        ("gone.png", "unreadable", "a broken link"),
        ("link out.png", "outside", "outside the source"),
    ],
)
def test_what_is_no_file_of_the_archive(archive: Settings, path: str, code: str, says: str) -> None:
    (row,) = through(archive, new_row(source_path=path))
    assert (row["status"], row["error_code"]) == (FAILED, code)
    assert row["error_reason"].startswith(f"{path}: ".replace("\n", " "))
    assert says in row["error_reason"]


def test_a_file_that_grew_since_it_was_planned_is_not_read(archive: Settings) -> None:
    settings = Settings(**(archive.model_dump() | {"max_bytes": 1000}))
    grown = Path(archive.source) / "grown.png"
    with grown.open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no space, and would not fit into memory
    try:
        (row,) = through(settings, new_row(source_path="grown.png", source_size=10))
    finally:
        grown.unlink()
    assert (row["status"], row["error_code"]) == (FAILED, "too_many_bytes")
    assert str(1 << 40) in row["error_reason"]


_PIXEL_ROWS = st.fixed_dictionaries(
    {
        "width": st.one_of(st.none(), st.integers(-5, 300)),
        "height": st.one_of(st.none(), st.integers(-5, 300)),
        "channels": st.one_of(st.none(), st.integers(-1, 9)),
        "pixels": st.one_of(st.none(), st.binary(max_size=50), st.just(picture(20, 24).tobytes())),
        "pixels_shape": st.one_of(st.none(), st.lists(st.integers(-3, 300), max_size=4), st.just([20, 24, 3])),
        "pixels_dtype": st.one_of(st.none(), st.sampled_from(["uint8", "uint16", "float64", "O", "V8", "", "x"])),
    }
)


@few
@given(_PIXEL_ROWS)
def test_tiles_of_impossible_pixels(archive: Settings, values: dict[str, Any]) -> None:
    for row in run_stage(Tile(archive), table_of(new_row(source_path="a.png") | values)).to_pylist():
        check(row)
