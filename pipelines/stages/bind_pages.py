"""Bind the restored pages of one file: into a TIFF file of several pages, or into a folder of files with a list of them.

Every page lies durable in the output store, as the tiles of a large photograph do. One page is in memory at a time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from faithdiff_model.image.tone_curve import ToneCurve
from pipelines.manifest.ownership import check_may_write, lies_there, publish_member
from pipelines.media.photo.encode import encode
from pipelines.media.photo.mask import MaskPages
from pipelines.media.photo.metadata.embed import add_tiff_blocks
from pipelines.media.photo.metadata.fit import Embedded
from pipelines.media.photo.tiff_writer import TiffPage, write_tiff_pages
from pipelines.rows import Row, columns_of, drop_payload, parts_key
from pipelines.settings import Settings
from pipelines.stages.carried import enlarged_dpi, fitted_metadata, joined_record
from pipelines.stages.consistency import MEASURES, joined_measures, measures_of
from pipelines.stages.extra_channels import enlarged_extra
from pipelines.stages.flags import needs_review
from pipelines.stages.publish import Form, depth_of, describe, finish, write_errors
from pipelines.stages.sensitive import joined_sensitive
from pipelines.stages.tile_parts import OpenPart, part_errors
from pipelines.stages.tiling import count_tiles
from pipelines.stages.trust import mean_trust
from pipelines.store.large_files import file_digest, publishing
from pipelines.store.layout import PAGE_LIST, page_path, planned_output, sidecar_path
from pipelines.store.store import Store

__all__ = ["Page", "bind_pages"]

_FACTS = ("width", "height", "channels", "bit_depth", "output_width", "output_height")
_FOUND = (
    "extra_channels",
    "lost_rows",
    "damage_marks",
    "damage_share",
    *MEASURES,
    "trust",
    "sensitive",
    "caption",
    "tone_curve",
)
_SECONDS = ("seconds_decode", "seconds_damage", "seconds_caption", "seconds_tile", "seconds_trust")
_MOST_NAMED = 5  # pages that a warning names


class Page(NamedTuple):
    """A restored page as it lies in its parts.

    Attributes:
        row: of its first part, without what is large.
        first: number of that part.
        tiles: how many parts it has.
    """

    row: Row
    first: int
    tiles: int


def bind_pages(row: Row, output: Store, settings: Settings, pixels_of: Callable[[Page, Row], np.ndarray]) -> Row:
    """Bind an item whose pages are all durable, and publish it.

    Args:
        row: of any of its parts, with what is of this run.
        output: the output store.
        settings: all settings.
        pixels_of: a page's restored pixels [H, W, C] in the tone of the scan; given the page and its whole row, of which it may
            fill in how faithful the page is.

    Returns:
        The final row.

    Raises:
        ItemError: a part is missing or damaged, or the result could not be written.
    """
    started = time.monotonic()
    pages, seconds = _pages(row, output, settings)
    whole = _whole_row(row, pages, seconds)
    bound = _Bound(whole, pages, output, settings, pixels_of)
    replaced = bound.write_one() if bound.one_file else bound.write_each()
    whole["damage_mask"] = bound.masks.file()
    mask = whole["damage_mask"]
    whole["damage_mask_sha256"] = hashlib.sha256(mask).hexdigest() if mask else None
    _sum_up(whole, pages)
    whole["sensitive"] = joined_sensitive([page.row for page in pages])
    whole["needs_review"] = needs_review(whole, settings)
    with write_errors(whole["output_path"]):
        finish(whole, output, time.monotonic() - started, replaced=replaced)
    return drop_payload(whole)


def _pages(row: Row, output: Store, settings: Settings) -> tuple[list[Page], float]:
    """The pages, and the seconds that the model took for all of them."""
    pages, seconds, next_page = [], 0.0, 0
    for number in range(row["parts"]):
        with part_errors(output, row), OpenPart(output, parts_key(row), number) as part:
            found = part.row()
        seconds += found["seconds_restore"] or 0.0
        if number == next_page:
            tiles = count_tiles(found["width"], found["height"], settings)
            found.update({"icc_profile": None, "damage_mask": None, "extra_pixels": None})
            found.update({"metadata_blocks": None, "trust_map": None})
            pages.append(Page(found, number, tiles))
            next_page += tiles
    return pages, seconds


def _whole_row(row: Row, pages: list[Page], seconds: float) -> Row:
    """The item's row: of its first page, with what was found on all of them."""
    whole = pages[0].row.copy()
    ours = columns_of(row)
    of_this_run = ("run_id", "flow_run_id", "attempt", "output_path", "output_uri", "replaces")
    columns_of(whole).update({name: ours[name] for name in of_this_run})
    rows = [page.row for page in pages]
    marks = [each["damage_marks"] for each in rows if each["damage_marks"] is not None]
    whole.update(
        {
            "frames": len(pages),
            "warnings": _warnings(rows),
            "damage_marks": sum(marks) if marks else None,
            "tone_curve": next((each["tone_curve"] for each in rows if each["tone_curve"]), None),
            "lost_rows": _lost(rows),
            "extra_channels": max(each["extra_channels"] or 0 for each in rows) or None,
            "seconds_restore": seconds,
        }
    )
    for name in _SECONDS:
        known = [columns_of(each)[name] for each in rows]
        columns_of(whole)[name] = sum(float(str(value)) for value in known if value is not None) or None
    return whole


def _lost(rows: list[Row]) -> float | None:
    """Share of all pages' rows that damage has cost; None where each page is sound."""
    if all(row["lost_rows"] is None for row in rows):
        return None
    return sum(row["height"] * (row["lost_rows"] or 0.0) for row in rows) / sum(row["height"] for row in rows)


def _warnings(rows: list[Row]) -> list[str]:
    """Of all pages, each once, with the pages that it is of where it is not of all."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        for text in dict.fromkeys(row["warnings"]):
            found.setdefault(text, []).append(number)
    return [text if len(numbers) == len(rows) else f"{_named(numbers)}: {text}" for text, numbers in found.items()]


def _named(numbers: list[int]) -> str:
    more = len(numbers) - _MOST_NAMED
    names = ", ".join(map(str, numbers[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
    return f"page{'s' if len(numbers) > 1 else ''} {names}"


def _sum_up(whole: Row, pages: list[Page]) -> None:
    """Fill in what is of all pages together, and the facts of each."""
    rows = [page.row for page in pages]
    sizes = [row["width"] * row["height"] for row in rows]
    if whole["damage_marks"] is not None:
        damaged = sum(size * (row["damage_share"] or 0.0) for size, row in zip(sizes, rows, strict=True))
        whole["damage_share"] = damaged / sum(sizes)
    whole.update(joined_measures(rows))
    whole["trust"] = mean_trust(rows)
    whole["trust_source"] = whole["trust_source"] if whole["trust"] is not None else None
    facts = []
    for number, row in enumerate(rows, 1):
        columns = columns_of(row)
        found = {name: columns[name] for name in _FOUND if columns[name] not in (None, "")}
        facts.append({"page": number} | {name: columns[name] for name in _FACTS} | found)
    whole["page_facts"] = json.dumps(facts, sort_keys=True)


class _Bound:
    """Pages on their way into files.

    Attributes:
        one_file: whether one file holds them all.
        masks: of the damage of the pages that were written.
    """

    def __init__(
        self,
        whole: Row,
        pages: list[Page],
        output: Store,
        settings: Settings,
        pixels_of: Callable[[Page, Row], np.ndarray],
    ) -> None:
        self._whole, self._pages, self._output, self._settings = whole, pages, output, settings
        self._pixels_of = pixels_of
        self._form = Form.of(whole, settings)
        self._blocks: list[Embedded | None] = []  # metadata of the pages that were written
        self.one_file = whole["pages"] == "all" and self._form.format == "TIFF"
        self.masks = MaskPages()

    def write_one(self) -> bool:
        """All pages into one file; whether one of ours lay there."""
        whole = self._whole
        size = 0
        for row in (page.row for page in self._pages):
            samples = row["channels"] + (row["extra_channels"] or 0)
            size += row["output_width"] * row["output_height"] * samples * row["bit_depth"] // 8
        with write_errors(whole["output_path"]), publishing(self._output, whole["output_path"]) as local:
            with local.open("w+b") as file:
                write_tiff_pages(file, self._written(), size, self._settings.tiff_compression)
                for number, blocks in enumerate(self._blocks):
                    if blocks is not None:
                        add_tiff_blocks(file, blocks, number)
            digest, size = file_digest(local)
            self._describe(digest, size)
            replaced = check_may_write(self._output, whole, whole["output_path"], digest)
            self._output.retract(sidecar_path(whole["output_path"]))
        return replaced

    def write_each(self) -> bool:
        """Each page into a file of its own, and a list of them, which stands for the item; whether one of ours lay there."""
        whole, output = self._whole, self._output
        planned = planned_output(whole["output_path"])
        whole["output_path"] = planned + PAGE_LIST
        whole["output_uri"] = output.uri(whole["output_path"])
        if whole["pages"] == "all":
            reason = f"{len(self._pages)} pages, and {self._form.format} holds one: each is a file of its own"
            whole["warnings"] = [*whole["warnings"], reason]
        folder = planned.rpartition("/")[0]
        lines = []
        with write_errors(whole["output_path"]):
            ours = lies_there(output, whole)
            output.retract(sidecar_path(whole["output_path"]))
            for number, page in enumerate(self._written()):
                path = page_path(planned, number)
                data = self._encode(page)
                publish_member(output, path, data, ours=ours)
                lines.append(f"{hashlib.sha256(data).hexdigest()}  {path.removeprefix(f'{folder}/')}\n")
            text = "".join(lines).encode()
            publish_member(output, whole["output_path"], text, ours=ours)
        self._describe(hashlib.sha256(text).hexdigest(), len(text))
        return ours

    def _encode(self, page: TiffPage) -> bytes:
        return encode(
            page.pixels,
            format=self._form.format,
            icc_profile=page.icc_profile,
            dpi=page.dpi,
            jpeg_quality=self._settings.jpeg_quality,
            tiff_compression=self._settings.tiff_compression,
            xmp=page.xmp,
            metadata=self._blocks[-1],
            extra=page.extra,
        )

    def _written(self) -> Iterator[TiffPage]:
        """The pages one after the other, as they are written; their masks are put aside."""
        for page in self._pages:
            row = self._read(page)
            pixels = self._pixels_of(page, row)
            page.row.update(measures_of(row))
            page.row.update({"trust": row["trust"], "trust_source": row["trust_source"]})
            if row["tone_curve"]:
                pixels = ToneCurve.from_json(row["tone_curve"]).apply(pixels, depth_of(row))
            self.masks.add(row["damage_mask"], row["height"], row["width"])
            extra = enlarged_extra(row, self._settings.upscale) if self._form.format == "TIFF" else None
            dpi, statement = enlarged_dpi(row, self._settings.upscale), self._form.options["xmp"]
            blocks = fitted_metadata(row, self._form.format, self._settings, self._form.stated)
            self._blocks.append(blocks)
            if blocks is not None:
                page.row["warnings"] = [*page.row["warnings"], *blocks.warnings]
                statement = blocks.xmp
            yield TiffPage(pixels, row["icc_profile"], dpi, statement, extra)  # the statement is of the whole item

    def _read(self, page: Page) -> Row:
        """The whole row of a page's first part."""
        key = parts_key(self._whole)
        with part_errors(self._output, self._whole), OpenPart(self._output, key, page.first) as part:
            return part.row()

    def _describe(self, digest: str, size: int) -> None:
        first = self._pages[0].row
        shape = first["output_height"], first["output_width"], first["channels"]
        deepest = max(page.row["bit_depth"] for page in self._pages)
        describe(self._whole, self._form, shape, np.dtype(f"u{deepest // 8}"), digest, size)
        self._whole["metadata"] = joined_record(self._blocks)
        found = _warnings([page.row for page in self._pages])
        self._whole["warnings"] = [*found, *(line for line in self._whole["warnings"] if line not in found)]
