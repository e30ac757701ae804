"""The end of an item: encode, publish the file, mask of damage, map of trust, then its sidecar. All make it done."""

from __future__ import annotations

import errno
import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from faithdiff_model.image.tone_curve import ToneCurve
from faithdiff_model.image.windows import Rect
from faithdiff_model.redaction import redact
from pipelines.errors import ItemError
from pipelines.manifest.disclosure import Disclosure, disclosure_of
from pipelines.manifest.naming import output_format
from pipelines.manifest.ownership import check_may_write, publish_where_ours
from pipelines.manifest.sidecar import sidecar_bytes
from pipelines.media.photo.encode import encode, encode_bands, streams
from pipelines.media.photo.metadata.fit import Embedded
from pipelines.rows import RESTORED, Row, drop_payload
from pipelines.settings import Settings
from pipelines.stages.carried import enlarged_dpi, fitted_metadata, metadata_record
from pipelines.stages.extra_channels import enlarged_extra
from pipelines.stages.flags import needs_review
from pipelines.stages.sensitive import with_trust
from pipelines.store.large_files import file_digest, publishing
from pipelines.store.layout import damage_path, sidecar_path, trust_path
from pipelines.store.store import Store

__all__ = [
    "Form", "depth_of", "describe", "enlarged_dpi", "finish", "publish_bands", "publish_result", "whole_of", "write_errors",
]  # fmt: skip

_FULL = re.compile(r"QuotaExceeded|StorageFull")  # as Ceph and MinIO say it


def publish_result(row: Row, pixels_HWC: np.ndarray, store: Store, settings: Settings) -> Row:
    """Write a restored photograph, the mask of its damage if any was found, and its sidecar; the row becomes `restored`.

    A sidecar that is there already speaks of an older file: it goes first, so that file and sidecar are never of two runs,
    whenever this process dies. An older mask goes where there is none now. What is not ours is never overwritten
    (`manifest.ownership`).

    Args:
        row: a row with all but the result's columns.
        pixels_HWC: the restored photograph in the tone of the scan, uint8 or uint16; the row's curve is applied here.
        store: the output store.
        settings: format and quality.

    Raises:
        ItemError: it could not be encoded or written, or a file that is not ours lies there.
    """
    started = time.monotonic()
    if row["tone_curve"]:
        pixels_HWC = ToneCurve.from_json(row["tone_curve"]).apply(pixels_HWC, depth_of(row))
    form = Form.of(row, settings)
    extra = enlarged_extra(row, settings.upscale) if form.format == "TIFF" else None
    data = encode(pixels_HWC, jpeg_quality=settings.jpeg_quality, extra=extra, **form.options)
    describe(row, form, pixels_HWC.shape, pixels_HWC.dtype, hashlib.sha256(data).hexdigest(), len(data))
    row["needs_review"], row["sensitive"] = needs_review(row, settings), with_trust(row)
    with write_errors(row["output_path"]):
        replaced = publish_where_ours(store, row, row["output_path"], data)
        finish(row, store, time.monotonic() - started, replaced=replaced)
    return drop_payload(row)


def publish_bands(
    row: Row,
    bands: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    store: Store,
    settings: Settings,
) -> Row:
    """The same of a photograph that comes in bands of rows: to the same bytes, and never whole in memory where its format can
    be written so (`media.photo.encode: streams`).

    Args:
        row: as of `publish_result`; what making the bands adds to it, up to the last of them, gets into the sidecar.
        bands: [h, W, C] of `dtype` in the tone of the scan, from top to bottom.
        shape: rows, columns and channels of the whole.
        dtype: uint8 or uint16.
        store, settings: as of `publish_result`.

    Raises:
        ItemError: as `publish_result`, and what making the bands raises.
    """
    form = Form.of(row, settings)
    curve = ToneCurve.from_json(row["tone_curve"]) if row["tone_curve"] else None
    depth = depth_of(row) if curve else dtype
    if not streams(form.format, shape, depth):
        return publish_result(row, whole_of(bands, shape, dtype), store, settings)
    started, joining = time.monotonic(), row["seconds_tile"] or 0.0
    toned = bands if curve is None else (curve.apply(band, depth) for band in bands)
    with write_errors(row["output_path"]), publishing(store, row["output_path"]) as local:
        with local.open("w+b") as file:
            extra = row["extra_channels"] or 0 if form.format == "TIFF" else 0
            whole = _with_extra(toned, row, settings.upscale) if extra else toned
            encode_bands(file, whole, shape, depth, extra=extra, **form.options)
        digest, size = file_digest(local)
        describe(row, form, shape, depth, digest, size)
        row["needs_review"], row["sensitive"] = needs_review(row, settings), with_trust(row)
        replaced = check_may_write(store, row, row["output_path"], digest)
        store.retract(sidecar_path(row["output_path"]))
    with write_errors(row["output_path"]):
        seconds = time.monotonic() - started - ((row["seconds_tile"] or 0.0) - joining)
        finish(row, store, seconds, replaced=replaced)
    return drop_payload(row)


class Form(NamedTuple):
    """How a result is encoded.

    Attributes:
        format: of its file, as `encode` names it.
        stated: what it says of its making.
        blocks: the source's metadata, and what it says; None where none is carried.
        options: for `encode`, of every format.
    """

    format: str
    stated: Disclosure | None
    blocks: Embedded | None
    options: dict[str, Any]

    @classmethod
    def of(cls, row: Row, settings: Settings) -> Form:
        kind = output_format(row["source_path"], settings.formats).upper().replace("JP2", "JPEG2000")
        stated = disclosure_of(row, settings.source_type) if settings.disclosure else None
        blocks = fitted_metadata(row, kind, settings, stated)
        options = {
            "format": kind,
            "icc_profile": row["icc_profile"],
            "dpi": enlarged_dpi(row, settings.upscale),
            "tiff_compression": settings.tiff_compression,
            "xmp": stated.xmp() if stated else b"",
            "metadata": blocks,
        }
        return cls(kind, stated, blocks, options)


def _with_extra(bands: Iterable[np.ndarray], row: Row, upscale: int) -> Iterator[np.ndarray]:
    """Bands with the extra channels of the same rows after their own."""
    top = 0
    for band in bands:
        extra = enlarged_extra(row, upscale, Rect(top, 0, len(band), band.shape[1]))
        assert extra is not None
        yield np.concatenate([band, extra], axis=2)
        top += len(band)


def describe(row: Row, form: Form, shape: tuple[int, ...], dtype: np.dtype, digest: str, size: int) -> None:
    """Fill in what an encoded photograph is."""
    mask, trust = row["damage_mask"], row["trust_map"]
    row.update(
        {
            "output_size": size,
            "output_sha256": digest,
            "output_height": shape[0],
            "output_width": shape[1],
            "output_format": form.format,
            "disclosure": form.stated.source_type if form.stated else None,
            "metadata": metadata_record(form.blocks),
            "damage_mask_sha256": hashlib.sha256(mask).hexdigest() if mask else None,
            "trust_map_sha256": hashlib.sha256(trust).hexdigest() if trust else None,
            "status": RESTORED,
        }
    )
    if form.blocks:
        row["warnings"] = [*row["warnings"], *form.blocks.warnings]
    if dtype == np.uint16 and form.format in ("JPEG", "WEBP"):
        row["warnings"] = [*row["warnings"], f"16 bits a channel reduced to the 8 that {form.format} has"]
    if row["extra_channels"] and form.format != "TIFF":
        reason = f"left out {row['extra_channels']} extra channels, such as infrared: only TIFF results can have them"
        row["warnings"] = [*row["warnings"], reason]


def finish(row: Row, store: Store, seconds: float, *, replaced: bool) -> None:
    """Publish what belongs to a file that lies there: mask of damage, map of trust, and the sidecar, with which it is done.

    `replaced`: a file of ours lay there before, so that what lies beside it is ours, too.
    """
    started = time.monotonic()
    beside = {
        damage_path(row["output_path"], row["pages"]): row["damage_mask"],
        trust_path(row["output_path"]): row["trust_map"],
    }
    for path, data in beside.items():
        if data and replaced:
            store.publish(path, data)
        elif data:
            publish_where_ours(store, row, path, data)
        elif replaced:
            store.retract(path)
    row["seconds_write"] = seconds + time.monotonic() - started
    row["finished_at"] = datetime.now(UTC)
    store.publish(sidecar_path(row["output_path"]), sidecar_bytes(row))


def depth_of(row: Row) -> np.dtype:
    """Of a result whose tone is restored: the source's."""
    return np.dtype(np.uint16 if row["bit_depth"] == 16 else np.uint8)


def whole_of(bands: Iterable[np.ndarray], shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray:
    """An image [H, W, C] of its bands."""
    pixels, top = np.empty(shape, dtype), 0
    for band in bands:
        pixels[top : top + len(band)] = band
        top += len(band)
    assert top == shape[0], (top, shape)
    return pixels


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
