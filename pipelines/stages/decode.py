"""Read a source once, hash what was read, and decode it. Row in, row with pixels out (1:1)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa

from pipelines.errors import ItemError
from pipelines.media.photo import DecodeLimits, decode
from pipelines.rows import Row, put_pixels
from pipelines.settings import Settings
from pipelines.stages.adapter import run_rows, stream_rows
from pipelines.storage import Store

STAGE = "decode"


class Decode:
    """The stage; holds the source store and the limits.

    Args:
        settings: source and limits.
    """

    def __init__(self, settings: Settings) -> None:
        self.source = Store(settings.source)
        self.limits = DecodeLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
        self.settings_json = json.dumps(settings.result_settings(), sort_keys=True)

    def __call__(self, table: pa.Table) -> pa.Table:
        return run_rows(STAGE, "corrupt", self.core, table)

    def stream(self, table: pa.Table) -> Iterator[pa.Table]:
        """As a call, in tables of bounded size."""
        return stream_rows(STAGE, "corrupt", self.core, table)

    def core(self, row: Row) -> Iterator[Row]:
        """Fill fixity, media facts and pixels.

        Raises:
            ItemError: unreadable or not a photograph that we can decode.
        """
        row["started_at"] = datetime.now(UTC)
        row["settings"] = self.settings_json
        started = time.monotonic()
        data = self._read(row)
        row["source_sha256"] = hashlib.sha256(data).hexdigest()
        row["source_size"] = len(data)
        row["seconds_read"] = time.monotonic() - started
        started = time.monotonic()
        photo = decode(data, row["source_path"], self.limits)
        height, width, channels = photo.pixels.shape
        row.update(
            media_format=photo.format,
            width=width,
            height=height,
            channels=channels,
            bit_depth=photo.bit_depth,
            colour_profile=photo.colour_space,
            orientation=photo.orientation,
            frames=photo.frames,
            icc_profile=photo.icc_profile,
            dpi=list(photo.dpi) if photo.dpi else None,
            warnings=[*row["warnings"], *photo.warnings],
        )
        put_pixels(row, photo.pixels)
        row["seconds_decode"] = time.monotonic() - started
        yield row

    def _read(self, row: Row) -> bytes:
        path = row["source_path"]
        if row["source_size"] and row["source_size"] > self.limits.max_bytes:
            raise ItemError(
                "too_many_bytes",
                f"{path}: {row['source_size']} bytes, the limit is {self.limits.max_bytes}; raise --max-bytes if it is genuine",
            )
        try:
            return self.source.read(path)
        except FileNotFoundError as error:
            raise ItemError("unreadable", f"{path}: listed but not there (a broken link, or removed since)") from error
        except OSError as error:
            raise ItemError(
                "unreadable", f"{path}: cannot be read ({error.strerror or type(error).__name__}); check access"
            ) from error
