"""The photographs and films of a report's gallery: what is said of each, and small pictures of before and after.

Pictures are named by the bytes that they were made of, and lie in a folder that all reports of an archive share: the next
night's report makes those of new results alone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import Image

from faithdiff_model.redaction import redact
from pipelines.errors import ItemError, first_line
from pipelines.manifest.decision import Decision, standing
from pipelines.review.side_by_side import busiest_box, scan_and_result
from pipelines.rows import Row
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import REPORTS
from pipelines.store.store import Store

__all__ = ["CARD_COLUMNS", "PICTURES", "Card", "Pair", "make_cards", "picture_strip"]

PICTURES = f"{REPORTS}/pictures"
CARD_COLUMNS = (
    "item_id", "source_uri", "source_path", "source_sha256", "output_path", "output_sha256", "output_width",
    "output_height", "width", "height", "media_kind", "media_format", "frames", "frame_rate", "film", "pages",
    "settings_digest", "model_trained", "model_preset", "lq_psnr_db", "trust", "needs_review", "warnings", "damage_marks",
    "caption",
)  # fmt: skip

_VERSION = 1  # of how pictures are made
_WHOLE, _DETAIL = 640, (640, 480)  # pixels: longer side of the whole, and size of the detail
_SEARCHED = 1200  # pixels of the longer side at which the detail is looked for
_MOST_PIXELS = 120_000_000  # of a result that is decoded for this: some gigabytes
_THREADS = 2
_QUALITY = 80

ScansOf = Callable[[Row], Store]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Scan and result as files below `PICTURES`, both of this size in pixels."""

    scan: str
    result: str
    width: int
    height: int


@dataclass(kw_only=True)
class Card:
    """What a report's gallery shows of an item.

    Attributes:
        path, output_path: of source and result.
        whole: both as a whole; None where they cannot be shown.
        detail: where there is most of it, at the result's own pixels; None where the whole shows as much.
        problem: why they cannot be shown; empty otherwise.
        facts: short texts on it.
        warnings: of the manifest.
        decision, note, reviewer: of a review: `accept`, `reject`, `redo` or `none`.
        needs_review: whether a measure of trust was below its threshold.
    """

    path: str
    output_path: str
    whole: Pair | None = None
    detail: Pair | None = None
    problem: str = ""
    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decision: str = "none"
    note: str = ""
    reviewer: str = ""
    needs_review: bool = False


def make_cards(
    output: Store, rows: Sequence[Row], decisions: Mapping[str, Decision], scans_of: ScansOf
) -> tuple[list[Card], int]:
    """Cards of restored items, in their order, with pictures that are published where they are not there yet.

    Args:
        output: the store of the results.
        rows: with `CARD_COLUMNS`.
        decisions: of `DecisionLog.current`.
        scans_of: gives the store that a row's scan lies in.

    Returns:
        The cards, and the bytes of pictures that were made now.

    Raises:
        OSError: a picture cannot be written.
    """
    there = {PurePosixPath(entry.path).name for entry in output.list(PICTURES)}
    made = [0]

    def card(row: Row) -> Card:
        found = _card(row, decisions.get(row["item_id"]))
        try:
            pictures = _Pictures(row, scans_of, output)
            found.whole, found.detail = pictures.pairs(there)
        except Exception as error:  # whatever a decoder raises: one picture must not cost the report
            reason = error.reason if isinstance(error, ItemError) else redact(first_line(error))
            found.problem = f"cannot be shown: {reason}"
            return found
        for name, data in pictures.new.items():
            output.publish(f"{PICTURES}/{name}", data)
            made[0] += len(data)
        return found

    return list(map_threaded(card, rows, _THREADS)), made[0]


def picture_strip(output: Store, cards: Sequence[Card], most: int = 3, side: int = 200) -> bytes:
    """Before and after of the first items beside each other, as a small JPEG file; empty where none can be shown.

    Args:
        output: the store of the results.
        cards: of `make_cards`.
        most: items.
        side: pixels of each of their two squares.

    Raises:
        OSError: a picture cannot be read.
    """
    pairs = [card.detail or card.whole for card in cards if card.whole][:most]
    if not pairs:
        return b""
    strip = Image.new("RGB", (len(pairs) * (2 * side + 12) - 12, side), (128, 128, 128))
    for place, pair in enumerate(pairs):
        assert pair is not None
        for number, name in enumerate((pair.scan, pair.result)):
            with Image.open(io.BytesIO(output.read(f"{PICTURES}/{name}"))) as picture:
                edge = min(picture.size)
                left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
                square = picture.crop((left, top, left + edge, top + edge)).resize((side, side))
            strip.paste(square, (place * (2 * side + 12) + number * side, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=75)
    return file.getvalue()


def _card(row: Row, decision: Decision | None) -> Card:
    state = standing(decision, row)
    frames = row["frames"] or 1
    kind = f"film of {frames:,} frames" if row["media_kind"] == "film" else ""
    pages = f"{frames} pages" if not kind and frames > 1 and row["pages"] in ("all", "split") else ""
    facts = [kind, pages, f"{row['width']} × {row['height']} to {row['output_width']} × {row['output_height']}"]
    facts.append(f"{row['lq_psnr_db']:.1f} dB to the scan" if row["lq_psnr_db"] is not None else "")
    facts.append(f"trust {row['trust']:.2f}" if row["trust"] is not None else "")
    facts.append(f"{row['damage_marks']} marks of damage" if row["damage_marks"] else "")
    facts.append("" if row["model_trained"] else "untrained network: no restoration")
    held = decision if state != "none" else None
    return Card(
        path=row["source_path"],
        output_path=row["output_path"],
        facts=[fact for fact in facts if fact],
        warnings=list(row["warnings"] or ()),
        decision=state,
        note=held.note if held else "",
        reviewer=held.reviewer if held else "",
        needs_review=bool(row["needs_review"]),
    )


class _Pictures:
    """The pictures of one item: made where they are not there yet."""

    def __init__(self, row: Row, scans_of: ScansOf, output: Store) -> None:
        self._row, self._scans_of, self._output = row, scans_of, output
        self.new: dict[str, bytes] = {}
        pixels = (row["output_width"] or 0) * (row["output_height"] or 0)
        if pixels > _MOST_PIXELS:
            raise ItemError(
                "too_many_pixels", f"{row['source_path']}: {pixels / 1e6:.0f} megapixels are too many for a report"
            )

    def pairs(self, there: set[str]) -> tuple[Pair, Pair | None]:
        """The whole, and a detail. Raises ItemError, StoreError and OSError."""
        width, height = self._row["output_width"] or 0, self._row["output_height"] or 0
        whole = self._pair("whole", _fitting(width, height))
        detail: Pair | None = None
        if max(width, height) > _WHOLE:
            detail = self._pair("detail", (min(_DETAIL[0], width), min(_DETAIL[1], height)))
        wanted = [name for pair in (whole, detail) if pair for name in (pair.scan, pair.result)]
        if not there.issuperset(wanted):
            self._make(whole, detail)
        return whole, detail

    def _make(self, whole: Pair, detail: Pair | None) -> None:
        scan, result = scan_and_result(self._scans_of(self._row), self._output, self._row)
        for name, picture in ((whole.scan, scan), (whole.result, result)):
            small = picture.resize((whole.width, whole.height), Image.Resampling.LANCZOS, reducing_gap=3.0)
            self.new[name] = _webp(small)
        if detail is None:
            return
        scale = max(1.0, max(result.size) / _SEARCHED)
        size = round(result.width / scale), round(result.height / scale)
        sought = scan.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        left, top, _, _ = busiest_box(sought, round(detail.width / scale), round(detail.height / scale))
        left = min(round(left * scale), result.width - detail.width)
        top = min(round(top * scale), result.height - detail.height)
        box = left, top, left + detail.width, top + detail.height
        across, down = scan.width / result.width, scan.height / result.height
        source = box[0] * across, box[1] * down, box[2] * across, box[3] * down
        enlarged = scan.resize((detail.width, detail.height), Image.Resampling.BICUBIC, box=source)
        self.new[detail.scan], self.new[detail.result] = _webp(enlarged), _webp(result.crop(box))

    def _pair(self, what: str, size: tuple[int, int]) -> Pair:
        row = self._row
        made_of = f"{_VERSION} {what} {row['source_sha256']} {row['output_sha256']} {row['output_path']}"
        name = hashlib.sha256(made_of.encode("utf-8", "surrogatepass")).hexdigest()[:20]
        return Pair(scan=f"{name}-scan.webp", result=f"{name}-result.webp", width=size[0], height=size[1])


def _fitting(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, _WHOLE / max(width, height, 1))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()
