"""The end of an item: encode, publish the file, the mask of its damage, then its sidecar. All together make it done."""

from __future__ import annotations

import errno
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np

from faithdiff_model.image.tone_curve import ToneCurve
from faithdiff_model.redaction import redact
from pipelines.errors import ItemError
from pipelines.manifest.disclosure import disclosure_of
from pipelines.manifest.naming import output_format
from pipelines.manifest.sidecar import sidecar_bytes
from pipelines.media.photo.encode import encode
from pipelines.rows import RESTORED, Row, drop_payload
from pipelines.settings import Settings
from pipelines.store.layout import damage_path, sidecar_path
from pipelines.store.store import Store

__all__ = ["publish_result", "write_errors"]

_FULL = re.compile(r"QuotaExceeded|StorageFull")  # as Ceph and MinIO say it


def publish_result(row: Row, pixels_HWC: np.ndarray, store: Store, settings: Settings) -> Row:
    """Write a restored photograph, the mask of its damage if any was found, and its sidecar; the row becomes `restored`.

    A sidecar that is there already speaks of an older file: it goes first, so that file and sidecar are never of two runs,
    whenever this process dies. An older mask goes where there is none now. That is two requests an item, small beside
    restoring it.

    Args:
        row: a row with all but the result's columns.
        pixels_HWC: the restored photograph in the tone of the scan, uint8 or uint16; the row's curve is applied here.
        store: the output store.
        settings: format and quality.

    Raises:
        ItemError: it could not be encoded or written.
    """
    started = time.monotonic()
    if row["tone_curve"]:
        depth = np.dtype(np.uint16 if row["bit_depth"] == 16 else np.uint8)
        pixels_HWC = ToneCurve.from_json(row["tone_curve"]).apply(pixels_HWC, depth)
    kind = output_format(row["source_path"], settings.formats)
    mask = row["damage_mask"]
    stated = disclosure_of(row, settings.source_type) if settings.disclosure else None
    data = encode(
        pixels_HWC,
        format=kind.upper(),
        icc_profile=row["icc_profile"],
        dpi=_enlarged_dpi(row, settings.upscale),
        jpeg_quality=settings.jpeg_quality,
        xmp=stated.xmp() if stated else b"",
    )
    row.update(
        {
            "output_size": len(data),
            "output_sha256": hashlib.sha256(data).hexdigest(),
            "output_height": pixels_HWC.shape[0],
            "output_width": pixels_HWC.shape[1],
            "output_format": kind.upper(),
            "disclosure": stated.source_type if stated else None,
            "damage_mask_sha256": hashlib.sha256(mask).hexdigest() if mask else None,
            "status": RESTORED,
        }
    )
    if pixels_HWC.dtype == np.uint16 and kind in ("jpeg", "webp"):
        row["warnings"] = [*row["warnings"], f"16 bits a channel reduced to the 8 that {kind.upper()} has"]
    with write_errors(row["output_path"]):
        store.retract(sidecar_path(row["output_path"]))
        store.publish(row["output_path"], data)
        if mask:
            store.publish(damage_path(row["output_path"]), mask)
        else:
            store.retract(damage_path(row["output_path"]))
        row["seconds_write"] = time.monotonic() - started
        row["finished_at"] = datetime.now(UTC)
        store.publish(sidecar_path(row["output_path"]), sidecar_bytes(row))
    return drop_payload(row)


@contextmanager
def write_errors(what: str) -> Iterator[None]:
    """Turn a failure to write into an `ItemError`: `no_space` where the output is full, else `write_error`.

    Args:
        what: names the object.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or _FULL.search(str(error)) is not None
        text = redact(error.strerror or str(error) or type(error).__name__)[:300]
        remedy = "make space" if full else "check space and access"
        raise ItemError(
            "no_space" if full else "write_error", f"{what}: cannot be written ({text}); {remedy}"
        ) from error


def _enlarged_dpi(row: Row, upscale: int) -> tuple[float, float] | None:
    """The same paper size at more pixels."""
    return (row["dpi"][0] * upscale, row["dpi"][1] * upscale) if row["dpi"] else None
