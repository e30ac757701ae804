"""Publish what the model made: a whole photograph as the result, a tile as a durable part. Row in, final row out (1:1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipelines.rows import PART_DONE, Row, drop_payload, get_pixels
from pipelines.settings import Settings
from pipelines.stages.publish import publish_result, write_errors
from pipelines.stages.tile_parts import write_part
from pipelines.stages.tiling import page_name
from pipelines.store.stores import open_store

__all__ = ["Write"]


class Write:
    """The stage; holds the output store.

    Args:
        settings: output, format and quality.
    """

    name: ClassVar[str] = "write"
    fallback_code: ClassVar[str] = "write_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.output = open_store(settings.output, settings.retry_seconds)

    def core(self, row: Row) -> Iterator[Row]:
        """Publish.

        Raises:
            ItemError: it could not be encoded or written.
        """
        if row["parts"] == 1:
            yield publish_result(row, get_pixels(row), self.output, self.settings)
            return
        with write_errors(f"{page_name(row)}: tile {row['part']}"):
            write_part(self.output, row, get_pixels(row), row["statistics"] or "")
        row["status"] = PART_DONE
        yield drop_payload(row)
