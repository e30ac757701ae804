"""Rows: every column always there, pixels exact, Arrow types fixed."""

from __future__ import annotations

from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pytest
from archive_steps import full_row, picture

from pipelines.errors import ERROR_CODES, ItemError
from pipelines.rows import (
    FAILED,
    MANIFEST_COLUMNS,
    MANIFEST_SCHEMA,
    PAYLOAD_COLUMNS,
    PENDING,
    ROW_SCHEMA,
    SCHEMA_VERSION,
    Row,
    columns_of,
    drop_payload,
    fail,
    get_pixels,
    new_row,
    put_pixels,
    to_table,
    whole_row,
)


def test_a_new_row_has_every_column() -> None:
    row = new_row(source_path="a.jpg", width=3)
    assert list(row) == ROW_SCHEMA.names
    given = {"schema_version": SCHEMA_VERSION, "status": PENDING, "warnings": [], "source_path": "a.jpg", "width": 3}
    assert {name: value for name, value in row.items() if value is not None} == given


def test_a_new_row_has_no_others() -> None:
    with pytest.raises(AssertionError, match="widht"):
        new_row(widht=3)


_PYTHON = {
    pa.string(): str,
    pa.int16(): int,
    pa.int32(): int,
    pa.int64(): int,
    pa.float64(): float,
    pa.bool_(): bool,
    pa.large_binary(): bytes,
    pa.timestamp("us", tz="UTC"): datetime,
    pa.list_(pa.string()): list[str],
    pa.list_(pa.int32()): list[int],
    pa.list_(pa.float64()): list[float],
}


def test_the_type_of_a_row_is_that_of_its_columns() -> None:
    """Every key and type; only whether a column may be empty is the type's own."""
    found = {name: _without_none(hint) for name, hint in get_type_hints(Row).items()}
    assert found == {field.name: _PYTHON[field.type] for field in ROW_SCHEMA}
    assert list(found) == ROW_SCHEMA.names


def _without_none(hint: Any) -> Any:
    first, *rest = get_args(hint) or (hint,)
    return first if rest == [NoneType] else hint


def test_a_whole_row_has_the_columns_that_a_table_left_out() -> None:
    row = whole_row({"source_path": "a.jpg", "width": 3, "warnings": ["x"]})
    assert row == new_row(source_path="a.jpg", width=3) | {"warnings": ["x"]}
    columns_of(row)["width"] = 4
    assert row["width"] == 4


def test_new_rows_share_nothing() -> None:
    first = new_row()
    first["warnings"].append("x")
    assert new_row()["warnings"] == []


def test_columns_are_unique_and_explained() -> None:
    columns = (*MANIFEST_COLUMNS, *PAYLOAD_COLUMNS)
    assert len({column.name for column in columns}) == len(columns)
    assert all(column.meaning for column in columns)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (16, 7, 3), (2, 40, 4)])
def test_pixels_come_back_through_arrow(shape: tuple[int, int, int], dtype: Any) -> None:
    pixels = picture(*shape, dtype)
    row = new_row()
    put_pixels(row, pixels)
    (back,) = to_table([row]).to_pylist()
    for found in (get_pixels(row), get_pixels(back)):
        assert found.dtype == dtype
        assert found.shape == shape
        assert np.array_equal(found, pixels)
        assert not found.flags.writeable


def test_pixels_of_a_view_are_its_own() -> None:
    whole = picture(20, 30, 4, np.uint16)
    view = whole[3:9:2, ::-1, :3]
    row = new_row()
    put_pixels(row, view)
    assert np.array_equal(get_pixels(row), view)
    assert len(bytes(row["pixels"])) == view.size * 2


def test_no_pixels_at_all() -> None:
    row = new_row()
    put_pixels(row, np.empty((0, 4, 3), np.uint8))
    (back,) = to_table([row]).to_pylist()
    assert get_pixels(back).shape == (0, 4, 3)


@pytest.mark.parametrize("rows", [[], [new_row()], [dict.fromkeys(ROW_SCHEMA.names)] * 2, [full_row(), new_row()]])
def test_types_do_not_depend_on_content(rows: list[dict[str, Any]]) -> None:
    table = to_table(rows)
    assert table.schema.equals(ROW_SCHEMA)
    assert table.to_pylist() == rows
    assert pa.concat_tables([table, to_table([full_row()])]).num_rows == len(rows) + 1


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        to_table([new_row(width="wide")])


def test_a_failed_row_keeps_facts_and_has_no_output() -> None:
    row = full_row(part=3, dpi=[300.0, 300.0], icc_profile=b"x", statistics="[]")
    put_pixels(row, picture(4, 4))
    failed = fail(row, "decode", ItemError("corrupt", "a.jpg:\n two   lines"))
    assert failed is row
    changes = {
        "status": FAILED,
        "error_code": "corrupt",
        "error_stage": "decode",
        "error_reason": "a.jpg: two lines",
        "output_path": None,
        "output_uri": None,
    }
    payload = {column.name: None for column in PAYLOAD_COLUMNS} | {"part": 3}
    assert row == full_row(**changes, **payload)


def test_dropping_the_payload_keeps_the_manifests_columns() -> None:
    row = full_row(part=3)
    put_pixels(row, picture(4, 4))
    assert {name: drop_payload(row)[name] for name in MANIFEST_SCHEMA.names} == {
        name: full_row()[name] for name in MANIFEST_SCHEMA.names
    }
    assert row["pixels"] is row["pixels_shape"] is row["pixels_dtype"] is None
    assert row["part"] == 3


def test_error_codes() -> None:
    """Codes stand in manifests: new ones may come, none may go or change its name."""
    assert {
        "unreadable", "empty", "not_an_image", "truncated", "corrupt", "zero_size", "too_small", "too_many_pixels",
        "too_many_bytes", "unsupported", "out_of_memory", "restore_error", "encode_error", "write_error", "bad_name", "lost",
    } <= set(ERROR_CODES)  # fmt: skip
    assert str(ItemError("empty", "a\nb")) == "empty: a b"
    with pytest.raises(AssertionError):
        ItemError("other", "x")


def test_tables_free_their_pixels() -> None:
    """pyarrow 26 keeps what it makes of a memoryview for ever: a night's pixels, a row at a time."""
    import psutil

    process = psutil.Process()
    pixels = np.ones((512, 1024, 3), np.uint8)

    def work() -> None:
        for _ in range(100):
            row = new_row()
            put_pixels(row, pixels)
            to_table([row])

    work()
    before = process.memory_info().rss
    work()
    assert process.memory_info().rss - before < 50 << 20  # a leak keeps 150 MiB
