"""Describe photographs by LLaVA on its own actors. Row in, row with caption and prompt out (1:1)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from faithdiff_model.prompts import caption_to_prompt
from faithdiff_model.weights.files import captioner_digest
from faithdiff_model.weights.revisions import repository
from pipelines.manifest.captions import KeptCaptions
from pipelines.rows import Row, get_pixels
from pipelines.settings import CLEANER, Settings
from pipelines.store.stores import open_store

if TYPE_CHECKING:
    from faithdiff_model.restorer import Restorer

__all__ = ["CaptionStage"]

# LLaVA sees 336 pixels a side; more would only be shipped and thrown away.
_SIDE = 672
# Damage is cleaned at the scan's own size. Of a larger scan a view of this side shows LLaVA as much, and takes seconds.
_CLEANED_SIDE = 4 * _SIDE


class CaptionStage:
    """The stage, with one LLaVA.

    Args:
        settings: which captioner, on what, and whether the scan is cleaned for it (the reference has BSRNet for that; here it
            is nano, which travels in the package).
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
        self.model = repository(settings.captioner)
        self.cleaner = _load_cleaner(settings) if settings.cleans_for_captions else None
        # All that decides the words beside picture and seed; a device may round otherwise, and its words are as good.
        made_by = {
            "captioner": captioner_digest(settings.captioner),
            "asked": self.captioner.prompt,
            "sampling": [self.captioner.max_new_tokens, self.captioner.temperature, self.captioner.top_p],
            "cleaner": self.cleaner.digest if self.cleaner else "",
        }
        store = open_store(settings.output, settings.retry_seconds)
        self.kept: KeptCaptions | None = KeptCaptions(store, json.dumps(made_by), renew=settings.redo)

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
        """Fill caption and prompt of several rows at once; those that were captioned before are not asked about again.

        Raises what the captioner raises.
        """
        started = time.monotonic()
        views = [self._seen(row) for row in rows]
        texts = [
            self.kept.find(view, row["seed"]) if self.kept else None for view, row in zip(views, rows, strict=True)
        ]
        new = [place for place, text in enumerate(texts) if text is None]
        seeds = [rows[place]["seed"] for place in new]
        made = self.captioner.caption([views[place] for place in new], seeds) if new else []
        for place, caption in zip(new, made, strict=True):
            texts[place], row = caption.text, rows[place]
            if self.kept:
                self.kept.keep(views[place], row["seed"], caption.text, row["source_path"], row["source_sha256"])
        for row, text in zip(rows, texts, strict=True):
            row.update(
                {
                    "caption": text,
                    "prompt": caption_to_prompt(text or ""),
                    "caption_source": "llava",
                    "caption_model": self.model,
                }
            )
            row["seconds_caption"] = (time.monotonic() - started) / len(rows)
        return rows

    def _seen(self, row: Row) -> np.ndarray:
        """What LLaVA sees of a row, 8-bit RGB [H, W, 3]: the scan, or the scan as the cleaner restores it."""
        pixels = get_pixels(row)
        if self.cleaner is not None:
            pixels = self.cleaner.restore([_view(pixels, _CLEANED_SIDE)], [""], [row["seed"]])[0]
        return _view(pixels, _SIDE)


def _load_cleaner(settings: Settings) -> Restorer:
    """The default small network beside the captioner. Raises WeightsError: its weights are not there."""
    from faithdiff_model.build import build_restorer
    from faithdiff_model.presets import DEFAULTS

    return build_restorer(replace(CLEANER, device=settings.device), DEFAULTS[CLEANER.preset])


def _view(pixels_HWC: np.ndarray, side: int) -> np.ndarray:
    """An 8-bit RGB view [H, W, 3] of any decoded photograph, no side above `side`."""
    import cv2

    colour = pixels_HWC[..., :1] if pixels_HWC.shape[2] < 3 else pixels_HWC[..., :3]
    if colour.dtype == np.uint16:
        colour = (colour >> 8).astype(np.uint8)
    scale = min(1.0, side / max(colour.shape[:2]))
    size = (max(1, round(colour.shape[1] * scale)), max(1, round(colour.shape[0] * scale)))
    small = cv2.resize(np.ascontiguousarray(colour), size, interpolation=cv2.INTER_AREA)
    small = small[..., None] if small.ndim == 2 else small
    return np.ascontiguousarray(np.broadcast_to(small, (*small.shape[:2], 3)))
