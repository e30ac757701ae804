"""The end of an item: encode, publish the file, then its sidecar. Both make it done."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.encode import encode
from pipelines.naming import output_format
from pipelines.provenance import sidecar_bytes, sidecar_path
from pipelines.rows import RESTORED, Row, drop_payload
from pipelines.settings import Settings
from pipelines.storage import Store


def publish_result(row: Row, pixels_HWC: np.ndarray, store: Store, settings: Settings) -> Row:
    """Write a restored photograph and its sidecar; the row becomes `restored`.

    Args:
        row: a row with all but the result's columns.
        pixels_HWC: the restored photograph, uint8 or uint16.
        store: the output store.
        settings: format and quality.

    Raises:
        ItemError: it could not be encoded or written.
    """
    started = time.monotonic()
    kind = output_format(row["source_path"], settings.format)
    data = encode(
        pixels_HWC,
        format=kind.upper(),
        icc_profile=row["icc_profile"],
        dpi=_enlarged_dpi(row, settings.upscale),
        jpeg_quality=settings.jpeg_quality,
    )
    row.update(
        output_size=len(data),
        output_sha256=hashlib.sha256(data).hexdigest(),
        output_height=pixels_HWC.shape[0],
        output_width=pixels_HWC.shape[1],
        output_format=kind.upper(),
        status=RESTORED,
    )
    if pixels_HWC.dtype == np.uint16 and kind in ("jpeg", "webp"):
        row["warnings"] = [*row["warnings"], f"16 bits a channel reduced to the 8 that {kind.upper()} has"]
    try:
        store.publish(row["output_path"], data)
        row["seconds_write"] = time.monotonic() - started
        row["finished_at"] = datetime.now(UTC)
        store.publish(sidecar_path(row["output_path"]), sidecar_bytes(row))
    except OSError as error:
        reason = f"{row['output_path']}: cannot be written ({error.strerror or type(error).__name__}); check space and access"
        raise ItemError("write_error", reason) from error
    return drop_payload(row)


def _enlarged_dpi(row: Row, upscale: int) -> tuple[float, float] | None:
    """The same paper size at more pixels."""
    return (row["dpi"][0] * upscale, row["dpi"][1] * upscale) if row["dpi"] else None
