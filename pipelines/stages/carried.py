"""What a result holds of its source beside pixels: metadata made true of the result, and its resolution."""

from __future__ import annotations

import json

from pipelines.manifest.disclosure import Disclosure
from pipelines.media.photo.decode import CONVERTED
from pipelines.media.photo.metadata.blocks import Metadata
from pipelines.media.photo.metadata.exif_block import Facts
from pipelines.media.photo.metadata.fit import Embedded, fit_metadata
from pipelines.rows import Row
from pipelines.settings import Settings

__all__ = ["enlarged_dpi", "fitted_metadata", "joined_record", "metadata_record"]


def fitted_metadata(row: Row, format: str, settings: Settings, stated: Disclosure | None) -> Embedded | None:
    """The source's metadata as the result holds it, with our statement; None where it is not to be carried.

    Args:
        row: a row with the source's facts, blocks and the result's size.
        format: of the result, as `encode` names it.
        settings: whether metadata is carried, and the enlargement.
        stated: what the result says of its making.
    """
    if settings.metadata == "none":
        return None
    facts = Facts(
        width=row["output_width"],
        height=row["output_height"],
        dpi=enlarged_dpi(row, settings.upscale),
        scale=settings.upscale,
        orientation=row["orientation"],
        converted=row["colour_profile"] == CONVERTED,
    )
    statement = stated.properties() if stated else {}
    return fit_metadata(Metadata.from_bytes(row["metadata_blocks"]), format, facts, statement)


def metadata_record(blocks: Embedded | None) -> str | None:
    """What the manifest says of a result's metadata: which blocks it holds, and which lie aside."""
    if blocks is None:
        return None
    record = {"carried": list(blocks.names), "aside": [vars(note) for note in blocks.aside]}
    return json.dumps({name: value for name, value in record.items() if value or name == "carried"})


def joined_record(pages: list[Embedded | None]) -> str | None:
    """The same of several pages: what any of them holds, and what lies aside of each."""
    held = [blocks for blocks in pages if blocks is not None]
    if not held:
        return None
    names = tuple(dict.fromkeys(name for blocks in held for name in blocks.names))
    return metadata_record(Embedded(names=names, aside=tuple(note for blocks in held for note in blocks.aside)))


def enlarged_dpi(row: Row, upscale: int) -> tuple[float, float] | None:
    """The same paper size at more pixels."""
    return (row["dpi"][0] * upscale, row["dpi"][1] * upscale) if row["dpi"] else None
