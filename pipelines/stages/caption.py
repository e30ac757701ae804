"""Describe photographs by LLaVA on its own actors. Row in, row with caption and prompt out (1:1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from pipelines.rows import Row, get_pixels
from pipelines.settings import Settings

__all__ = ["CaptionStage"]

# LLaVA sees 336 pixels a side; more would only be shipped and thrown away.
_SIDE = 672


class CaptionStage:
    """The stage, with one LLaVA.

    Args:
        settings: which captioner, on what.
    """

    name: ClassVar[str] = "caption"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(self, settings: Settings) -> None:
        import torch

        from faithdiff_model.captioner import LlavaCaptioner

        spec = settings.model_spec()
        device = spec.torch_device()
        self.captioner = LlavaCaptioner.from_pretrained(
            settings.captioner, device=str(device), dtype=spec.torch_dtype()
        )
        self.device = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        self.model = settings.captioner

    def core(self, row: Row) -> Iterator[Row]:
        """Fill caption and prompt; a failure leaves the row without them and warns in it."""
        try:
            self.core_batch([row])
        except Exception as error:
            row.update(
                {
                    "caption": "",
                    "prompt": "",
                    "caption_source": "none",
                }
            )
            warning = " ".join(f"no caption: {type(error).__name__}: {error}".split())[:200]
            row["warnings"] = [*row["warnings"], warning]
        yield row

    def core_batch(self, rows: list[Row]) -> list[Row]:
        """Fill caption and prompt of several rows at once. Raises what the captioner raises."""
        started = time.monotonic()
        captions = self.captioner.caption([_view(get_pixels(row)) for row in rows], [row["seed"] for row in rows])
        for row, caption in zip(rows, captions, strict=True):
            row.update(
                {
                    "caption": caption.text,
                    "prompt": caption.prompt,
                    "caption_source": "llava",
                    "caption_model": self.model,
                }
            )
            row["seconds_caption"] = (time.monotonic() - started) / len(rows)
        return rows


def _view(pixels_HWC: np.ndarray) -> np.ndarray:
    """A small 8-bit RGB view [H, W, 3] of any decoded photograph."""
    import cv2

    colour = pixels_HWC[..., :1] if pixels_HWC.shape[2] < 3 else pixels_HWC[..., :3]
    if colour.dtype == np.uint16:
        colour = (colour >> 8).astype(np.uint8)
    scale = min(1.0, _SIDE / max(colour.shape[:2]))
    size = (max(1, round(colour.shape[1] * scale)), max(1, round(colour.shape[0] * scale)))
    small = cv2.resize(np.ascontiguousarray(colour), size, interpolation=cv2.INTER_AREA)
    small = small[..., None] if small.ndim == 2 else small
    return np.ascontiguousarray(np.broadcast_to(small, (*small.shape[:2], 3)))
