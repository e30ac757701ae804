"""A small restored archive for tests of its review, made without a network: the results are known to the last pixel.

A result is its scan enlarged twice, each pixel four times, with red and blue exchanged: whichever of both is on the screen
shows in its colours.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from archive_steps import MOMENT, full_row
from film_clips import moving_frames, write_film
from PIL import Image
from tiff_pages import tiff_pages

from pipelines.manifest.naming import item_id
from pipelines.manifest.writer import ManifestWriter
from pipelines.media.photo.encode import encode
from pipelines.media.photo.mask import write_mask
from pipelines.media.photo.trust_map import write_trust_map
from pipelines.review.review import Review
from pipelines.review.server import ReviewServer
from pipelines.review.tile_cache import TileCache
from pipelines.rows import FAILED, MANIFEST_SCHEMA, RESTORED, Row
from pipelines.settings import Settings
from pipelines.store.layout import damage_path, trust_path
from pipelines.store.store import Store

MARKUP = "<img src=x onerror=alert(1)>.png"
SCAN_COLOUR, RESULT_COLOUR = (200, 90, 40), (40, 90, 200)
HEIGHT, WIDTH = 300, 400  # of a scan
FRAMES = 6


@dataclass(frozen=True)
class ReviewedOutput:
    """Where an archive is.

    Attributes:
        scans, restored: its folders.
    """

    scans: Path
    restored: Path

    def row_id(self, path: str) -> str:
        """The id of an item by its source's path."""
        return item_id(path)


def scan_pixels(seed: int = 0) -> np.ndarray:
    """A scan, uint8 [H, W, 3]: one colour, with single pixels that no other place has."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = SCAN_COLOUR
    pixels[100:200, 150:250] = np.random.default_rng(seed).integers(0, 256, (100, 100, 3), np.uint8)
    return pixels


def result_pixels(scan: np.ndarray) -> np.ndarray:
    """The result of a scan."""
    return np.ascontiguousarray(scan[..., ::-1].repeat(2, axis=0).repeat(2, axis=1))


def make_reviewed_output(folder: Path) -> ReviewedOutput:
    """Write scans, results and a manifest: seven photographs, one of them of two pages, a film, and one that failed."""
    place = ReviewedOutput(folder / "scans", folder / "restored")
    store = Store(str(place.restored))
    writer = ManifestWriter(store, "20260101T000000.000Z-aaaaaa")
    for number in range(5):
        path = f"box {number // 3 + 1}/photo {number}.png"
        writer.add(_photo(place, path, number, lq_psnr_db=30.0 + number, warnings=["two words"] if number == 1 else []))
    writer.add(_photo(place, f"box 1/{MARKUP}", 7, caption="<script>alert(2)</script>", warnings=["<b>bold</b>"]))
    writer.add(_pages(place, "box 3/letter.tif"))
    writer.add(_film(place, "reels/1931.mkv"))
    broken = place.scans / "box 3/broken.jpg"
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_bytes(b"\xff\xd8\xff")
    failed = {
        "status": FAILED,
        "error_code": "truncated",
        "error_stage": "decode",
        "error_reason": "broken.jpg: ends early",
    }
    none: dict[str, Any] = dict.fromkeys(
        ("output_path", "output_sha256", "output_width", "output_height", "film", "pages")
    )
    writer.add(_row(place, "box 3/broken.jpg", **none, **failed, source_sha256="f" * 64, damage_mask_sha256=None))
    writer.flush()
    return place


def _row(place: ReviewedOutput, path: str, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "run_id": "20260101T000000.000Z-aaaaaa", "item_id": item_id(path), "source_path": path, "media_kind": "photo",
        "source_uri": f"file://{place.scans}/{path}", "warnings": [], "width": WIDTH, "height": HEIGHT,
        "frames": 1, "film": None, "output_width": 2 * WIDTH, "output_height": 2 * HEIGHT, "pages": None, "page_facts": None,
        "model_preset": "nano",
        "model_trained": True, "settings_digest": "d" * 64, "settings": '{"preset": "nano", "upscale": 2}',
        "damage_mask_sha256": None, "needs_review": False, "finished_at": MOMENT + timedelta(seconds=1),
        **{name: None for name in MANIFEST_SCHEMA.names if name.startswith(("trust", "sensitive"))},
    }  # fmt: skip
    return full_row(**(values | changes))


def _photo(place: ReviewedOutput, path: str, seed: int, **changes: Any) -> Row:
    scan = scan_pixels(seed)
    data = _png(scan, title="a scan" if seed == 0 else "")
    result = encode(result_pixels(scan), format="PNG")
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:60, 10:60] = True
    if seed == 0:
        changes["damage_mask_sha256"] = _write(place.restored / damage_path(path), write_mask(mask))
    if seed == 2:
        bands = np.zeros((75, 100))  # a cell of 8 x 8 pixels of the result
        bands[:25] = 0.15
        changes |= {
            "trust": 0.42,
            "trust_map_sha256": _write(place.restored / trust_path(path), write_trust_map(bands)),
        }
    return _row(
        place, path, source_sha256=_write(place.scans / path, data), output_path=path,
        output_sha256=_write(place.restored / path, result), status=RESTORED, **changes,
    )  # fmt: skip


def _pages(place: ReviewedOutput, path: str) -> Row:
    pages = [scan_pixels(11), scan_pixels(12)[:150]]
    return _row(
        place, path, frames=2, pages="all", output_path=path,
        source_sha256=_write(place.scans / path, tiff_pages([(page, {}) for page in pages])),
        output_sha256=_write(place.restored / path, tiff_pages([(result_pixels(page), {}) for page in pages])),
    )  # fmt: skip


def _film(place: ReviewedOutput, path: str) -> Row:
    frames = moving_frames(FRAMES, (48, 64))
    write_film(place.scans / path, frames)
    write_film(place.restored / path, [result_pixels(frame) for frame in frames])
    clip = f"{path}.comparison.mp4"
    write_film(place.restored / clip, frames, codec="libx264", pix_fmt="yuv420p", sound=False)
    outputs = [{"path": name, "format": name, "sha256": "0" * 64, "size": 1, "warnings": []} for name in (path, clip)]
    facts = {"rate": "24/1", "format": "matroska", "codec": "ffv1", "pixel_format": "bgr0"}
    return _row(
        place, path, media_kind="film", width=64, height=48, output_width=128, output_height=96, frames=FRAMES, frame_rate=24.0,
        film=json.dumps({"facts": facts, "outputs": outputs, "shots": [], "filled": []}), output_path=path,
        source_sha256=_sha256(place.scans / path), output_sha256=_sha256(place.restored / path),
    )  # fmt: skip


def _png(pixels: np.ndarray, title: str = "") -> bytes:
    from PIL.PngImagePlugin import PngInfo

    file, info = io.BytesIO(), PngInfo()
    if title:
        info.add_text("Title", title)
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _write(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def serving(output: str, cache: Path, **options: Any) -> Iterator[ReviewServer]:
    """A review server in a thread of its own, which answers when the block begins."""
    review = Review(output, cache=TileCache(cache, 64 << 20), settings=Settings(), **options)
    server = ReviewServer(review)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


def make_large_output(folder: Path, items: int) -> ReviewedOutput:
    """An archive of many items in its manifest, all of which have the same scan and the same result on disk."""
    place = ReviewedOutput(folder / "scans", folder / "restored")
    one = _photo(place, "photo.png", 0, damage_mask_sha256=None)
    writer = ManifestWriter(Store(str(place.restored)), "20260101T000000.000Z-aaaaaa")
    words = ["market square", "portrait", "harbour at night", "family on the steps"]
    for number in range(items):
        path = f"box {number // 400:03d}/IMG_{number:06d}.png"
        own: dict[str, Any] = {
            "item_id": item_id(path), "source_path": path, "caption": f"{words[number % 4]}, plate {number}",
            "lq_psnr_db": 30 + (number * 7919 % 1000) / 80, "warnings": ["the scan is very small"] if number % 9 == 0 else [],
        }  # fmt: skip
        writer.add({**one, **own})  # type: ignore[typeddict-item]
    writer.flush()
    return place
