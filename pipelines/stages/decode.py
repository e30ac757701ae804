"""Read a source once, hash what was read, and decode it. Row in, row with pixels out (1:1)."""

from __future__ import annotations

import hashlib
import json
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from faithdiff_model.image.tone import ToneEstimator
from pipelines.errors import ItemError
from pipelines.media.limits import limits_of
from pipelines.media.photo.decode import decode
from pipelines.media.time_limit import deadline
from pipelines.rows import Row, put_pixels
from pipelines.settings import Settings
from pipelines.store.store import OutsideError
from pipelines.store.stores import open_store

__all__ = ["Decode"]


class Decode:
    """The stage; holds the source store and the limits.

    Args:
        settings: source, limits and whether the tone is to be restored.
    """

    name: ClassVar[str] = "decode"
    fallback_code: ClassVar[str] = "corrupt"

    def __init__(self, settings: Settings) -> None:
        self.source = open_store(settings.source, settings.retry_seconds)
        self.limits = limits_of(settings)
        self.max_seconds = settings.max_seconds
        self.tone = ToneEstimator.load() if settings.tone == "restore" else None
        self.settings_json = json.dumps(settings.result_settings(), sort_keys=True)

    def core(self, row: Row) -> Iterator[Row]:
        """Fill fixity, media facts and pixels.

        Raises:
            ItemError: unreadable, not a photograph that we can decode, or not in time.
        """
        row["started_at"] = datetime.now(UTC)
        row["settings"] = self.settings_json
        started = time.monotonic()
        data = self._read(row)
        row["source_sha256"] = hashlib.sha256(data).hexdigest()
        row["source_size"] = len(data)
        row["seconds_read"] = time.monotonic() - started
        started = time.monotonic()
        with deadline(self.max_seconds, row["source_path"]):
            photo = decode(data, row["source_path"], self.limits)
        height, width, channels = photo.pixels.shape
        row.update(
            {
                "media_format": photo.format,
                "width": width,
                "height": height,
                "channels": channels,
                "bit_depth": photo.bit_depth,
                "colour_profile": photo.colour_space,
                "orientation": photo.orientation,
                "frames": photo.frames,
                "icc_profile": photo.icc_profile,
                "dpi": list(photo.dpi) if photo.dpi else None,
                "warnings": [*row["warnings"], *photo.warnings],
            }
        )
        if self.tone is not None:
            row["tone_curve"] = self.tone.estimate(photo.pixels).to_json()
        put_pixels(row, photo.pixels)
        row["seconds_decode"] = time.monotonic() - started
        yield row

    def _read(self, row: Row) -> bytes:
        path = row["source_path"]
        try:
            size = self._size(path) or row["source_size"] or 0
            if size > self.limits.max_bytes:
                reason = f"{size} bytes, the limit is {self.limits.max_bytes}; raise --max-bytes if it is genuine"
                raise ItemError("too_many_bytes", f"{path}: {reason}")
            return self.source.read(path)
        except ItemError:
            raise
        except OutsideError as error:
            reason = "is a link to something outside the source tree; copy the file into it, or give its own folder as source"
            raise ItemError("outside", f"{path}: {reason}") from error
        except FileNotFoundError as error:
            raise ItemError("unreadable", f"{path}: listed but not there (a broken link, or removed since)") from error
        except ValueError as error:  # it holds "..", or a byte that no file's name can hold
            raise ItemError("bad_name", f"{path}: cannot be read under this name; rename it") from error
        except Exception as error:  # each kind of store has errors of its own
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ItemError("unreadable", f"{path}: cannot be read ({reason}); check access") from error

    def _size(self, path: str) -> int:
        """Bytes of a local file as it is now: it may have grown since it was planned, and a pipe would never end."""
        if not self.source.local:
            return 0
        facts = Path(self.source.key(path)).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ItemError("unreadable", f"{path}: is no regular file but a folder, a pipe or a device; remove it")
        return facts.st_size
