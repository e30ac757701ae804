"""Captions that were made, kept in the output by what the captioner saw: later runs and other models need not ask again."""

from __future__ import annotations

import hashlib
import json
import logging

import numpy as np

from pipelines.store.layout import CAPTIONS
from pipelines.store.store import Store

__all__ = ["KeptCaptions"]

logger = logging.getLogger(__name__)


class KeptCaptions:
    """Captions of one captioner in an output store, a small JSON file each.

    A caption belongs to the pixels that were seen and to the seed, so renamed and copied scans share one, and a scan whose
    pixels change gets a new one. Two workers that make the same write the same.

    Args:
        store: the output store.
        made_by: what besides decides the words, such as the captioner's digest; any text.
        renew: find none, so that all are made again.
    """

    def __init__(self, store: Store, made_by: str, *, renew: bool = False) -> None:
        self._store, self._renew = store, renew
        self._folder = f"{CAPTIONS}/{hashlib.sha256(made_by.encode()).hexdigest()[:16]}"

    def find(self, seen_HWC: np.ndarray, seed: int) -> str | None:
        """The caption of a picture; None if there is none, or it cannot be read: it is then made again.

        Args:
            seen_HWC: uint8 [H, W, C], as the captioner sees it.
            seed: of the sampling.
        """
        if self._renew:
            return None
        try:
            kept = json.loads(self._store.read(self._path(seen_HWC, seed)))
            text = kept["caption"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return text if isinstance(text, str) else None

    def keep(self, seen_HWC: np.ndarray, seed: int, caption: str, source_path: str, source_sha256: str | None) -> None:
        """Write a caption down. A store that fails costs nothing but the caption's being made again.

        Args:
            seen_HWC, seed: as in `find`.
            caption: the captioner's words.
            source_path, source_sha256: of the scan, for whoever reads these files.
        """
        record = {"caption": caption, "seed": seed, "source_path": source_path, "source_sha256": source_sha256}
        data = json.dumps(record, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._store.publish(self._path(seen_HWC, seed), data)
        except OSError as error:
            logger.debug("the caption of %s was not kept: %s", source_path, type(error).__name__)

    def _path(self, seen_HWC: np.ndarray, seed: int) -> str:
        digest = hashlib.sha256(f"{seen_HWC.shape} {seed}\n".encode())
        digest.update(np.ascontiguousarray(seen_HWC).data)
        key = digest.hexdigest()
        return f"{self._folder}/{key[:2]}/{key}.json"
