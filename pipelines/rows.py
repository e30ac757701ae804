"""The columns of a row: what a part carries through the stages, and which of them the manifest keeps.

A row is a dict with exactly these keys. A stage fills its own columns; a failed row passes through untouched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict, cast

import numpy as np
import pyarrow as pa

from pipelines.columns import MANIFEST_COLUMNS, MANIFEST_SCHEMA, PAYLOAD_COLUMNS, ROW_SCHEMA, Column
from pipelines.errors import ItemError

__all__ = [
    "CUT",
    "FAILED",
    "HELD_BACK",
    "MANIFEST_COLUMNS",
    "MANIFEST_SCHEMA",
    "PART_DONE",
    "PAYLOAD_COLUMNS",
    "PENDING",
    "QUARANTINED",
    "RESTORED",
    "ROW_SCHEMA",
    "SCHEMA_VERSION",
    "Column",
    "Row",
    "columns_of",
    "drop_payload",
    "fail",
    "get_pixels",
    "new_row",
    "parts_key",
    "put_pixels",
    "to_table",
    "whole_row",
]

SCHEMA_VERSION = 1

PENDING, RESTORED, FAILED, QUARANTINED = "pending", "restored", "failed", "quarantined"
PART_DONE = "part_done"  # one tile of several is durable; the item is finished by `assemble`
CUT = "cut"  # a segment of a film: it goes back to the driver, which hands it out as a block of its own
HELD_BACK = "held_back"  # not tried, as the run is ending; the next one plans it again

_PAYLOAD_NAMES = tuple(c.name for c in PAYLOAD_COLUMNS if c.name not in ("part", "replaces"))


class Row(TypedDict):
    """A part on its way through the stages. Every key is always there, and holds None until it is filled.

    A type names None where code must reckon with it; the others are filled before they are read.
    """

    schema_version: int
    run_id: str
    flow_run_id: str | None
    item_id: str
    source_uri: str
    source_path: str
    source_size: int | None
    source_version: str
    source_sha256: str
    output_uri: str
    output_path: str
    output_size: int | None
    output_sha256: str | None
    status: str
    error_code: str
    error_stage: str
    error_reason: str | None
    warnings: list[str]
    attempt: int
    media_kind: str
    media_format: str | None
    width: int
    height: int
    channels: int
    extra_channels: int | None
    bit_depth: int
    colour_profile: str
    orientation: int
    frames: int
    pages: str | None
    page_facts: str | None
    lost_rows: float | None
    frame_rate: float | None
    output_width: int
    output_height: int
    output_format: str | None
    caption: str | None
    prompt: str
    caption_source: str
    caption_model: str | None
    settings: str | None
    settings_digest: str
    model_preset: str | None
    model_trained: bool | None
    model_digest: str
    model_revision: str | None
    seed: int
    identity: str
    parts: int
    device: str | None
    software: str | None
    film: str | None
    damage_share: float | None
    damage_marks: int | None
    damage_mask_sha256: str | None
    lq_psnr_db: float | None
    consistency_ssim: float | None
    consistency_colour: float | None
    consistency_worst_db: float | None
    trust: float | None
    trust_source: str | None
    trust_map_sha256: str | None
    sensitive: str | None
    needs_review: bool | None
    disclosure: str | None
    metadata: str | None
    tone_curve: str | None
    seconds_read: float | None
    seconds_decode: float | None
    seconds_damage: float | None
    seconds_caption: float | None
    seconds_tile: float | None
    seconds_restore: float | None
    seconds_trust: float | None
    seconds_write: float | None
    started_at: datetime | None
    finished_at: datetime
    part: int
    page: list[int] | None
    replaces: str | None
    shot: int
    pixels: bytes
    pixels_shape: list[int]
    pixels_dtype: str
    icc_profile: bytes | None
    dpi: list[float] | None
    extra_pixels: bytes | None
    metadata_blocks: bytes | None
    statistics: str
    damage_mask: bytes | None
    trust_map: bytes | None
    filled_mask: bytes | None
    source_state: str


def new_row(**values: object) -> Row:
    """A row with every column, empty but for `values`."""
    row: dict[str, object] = dict.fromkeys(ROW_SCHEMA.names)
    assert not set(values) - set(row), set(values) - set(row)
    row.update(schema_version=SCHEMA_VERSION, status=PENDING, warnings=[], **values)
    return cast(Row, row)


def columns_of(row: Row) -> dict[str, object]:
    """The same row, for columns by name where the name is not written in the code."""
    return cast(dict[str, object], row)


def whole_row(values: Mapping[str, object]) -> Row:
    """A row of some of its columns, the others empty; of what a table or a file gave back."""
    return cast(Row, {**new_row(), **values})


def parts_key(row: Row) -> str:
    """Names an item's parts: of one identity, and of one source. Twins, the same scan under two names, have parts of their own,
    as the first that is joined removes its own."""
    return hashlib.sha256(f"{row['identity']} {row['item_id']}".encode()).hexdigest()


def to_table(rows: list[Row]) -> pa.Table:
    """Rows as an Arrow table whose types do not depend on what the rows hold."""
    return pa.Table.from_pylist(rows, schema=ROW_SCHEMA)


def put_pixels(row: Row, pixels_HWC: np.ndarray) -> None:
    """Store an image [H, W, C] in a row."""
    # A copy, not a view: pyarrow 26 never frees what it makes of a memoryview.
    row["pixels"] = pixels_HWC.tobytes()
    row["pixels_shape"] = list(pixels_HWC.shape)
    row["pixels_dtype"] = str(pixels_HWC.dtype)


def get_pixels(row: Row) -> np.ndarray:
    """The image [H, W, C] of a row, read-only."""
    return np.frombuffer(row["pixels"], row["pixels_dtype"]).reshape(row["pixels_shape"])


def drop_payload(row: Row) -> Row:
    """Forget all but the part's number, what lies at its output, and what the manifest keeps."""
    columns_of(row).update(dict.fromkeys(_PAYLOAD_NAMES))
    return row


def fail(row: Row, stage: str, error: ItemError) -> Row:
    """Turn a row into a failed one; it has no output."""
    columns_of(row).update(
        status=FAILED,
        output_uri=None,
        output_path=None,
        error_code=error.code,
        error_stage=stage,
        error_reason=error.reason,
    )
    return drop_payload(row)
