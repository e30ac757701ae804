"""A clip for the eye: source and result side by side, in H.264."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pipelines.media.film.facts import FilmFacts, Opener, Timeline
from pipelines.media.film.picture.planes import FULL
from pipelines.media.film.write.statement import NOTHING, Statement
from pipelines.media.film.write.writer import FilmWriter

__all__ = ["ComparisonWriter"]

MOST_LINES = 1920
_DIVIDER = 4  # pixels; even, as all sides here
_LABELS = ("source", "restored")


class ComparisonWriter(AbstractContextManager["ComparisonWriter"]):
    """Write an MP4 with the source, enlarged, on the left and the result on the right; a context.

    Times, sound and what is left out are as in `FilmWriter`. Both sides are at most `MOST_LINES` pixels high.

    Args:
        path: local file, made anew.
        facts: of the source.
        width, height: of the result.
        timeline: of the result; as many frames have to be written.
        carried: opens the source for its sound; None where it has none.
        name: of the source, for reasons.
        stated: what the file says of how it was made.

    Raises:
        ItemError: encode_error or unreadable, on entering.
    """

    def __init__(
        self,
        path: Path,
        facts: FilmFacts,
        *,
        width: int,
        height: int,
        timeline: Timeline,
        carried: Opener | None,
        name: str,
        stated: Statement = NOTHING,
    ) -> None:
        scale = min(1.0, MOST_LINES / height)
        # H.264 has even sides: up to a pixel more is repeated at the edge, and none is taken.
        self._picture = max(round(height * scale), 1), max(round(width * scale), 1)
        self._side = tuple(side + side % 2 for side in self._picture)
        self._labels = [_label(text, self._side[0]) for text in _LABELS]
        self._writer = FilmWriter(
            path,
            "h264",
            facts,
            width=2 * self._side[1] + _DIVIDER,
            height=self._side[0],
            timeline=timeline,
            carried=carried,
            name=name,
            stated=stated,
        )

    def __enter__(self) -> ComparisonWriter:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    @property
    def warnings(self) -> list[str]:
        """What became different, a line each; whole after `close`."""
        return self._writer.warnings

    @property
    def left_out(self) -> list[str]:
        """What MP4 cannot hold, a line each; whole after `close`."""
        return self._writer.left_out

    def write(self, source_HWC: np.ndarray, restored_HWC: np.ndarray) -> None:
        """The timeline's next frame.

        Args:
            source_HWC: uint8 or uint16 [h, w, 3], RGB, full range.
            restored_HWC: uint16 [H, W, 3], likewise.

        Raises:
            ItemError, OSError: as `FilmWriter.write`.
        """
        divider = np.full((self._side[0], _DIVIDER, 3), FULL, np.uint16)
        if source_HWC.dtype == np.uint8:
            source_HWC = source_HWC.astype(np.uint16) * 257
        left, right = (self._fitted(pixels) for pixels in (source_HWC, restored_HWC))
        for side, label in zip((left, right), self._labels, strict=True):
            _burn(side, label)
        self._writer.write(np.hstack([left, divider, right]))

    def close(self) -> None:
        """End the clip and read it back. Raises as `FilmWriter.close`."""
        self._writer.close()

    def _fitted(self, pixels_HWC: np.ndarray) -> np.ndarray:
        """At the size of a side; a new array."""
        height, width = self._picture
        smaller = pixels_HWC.shape[0] > height or pixels_HWC.shape[1] > width
        how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        fitted = cv2.resize(pixels_HWC, (width, height), interpolation=how)
        rest = self._side[0] - height, self._side[1] - width
        return cv2.copyMakeBorder(fitted, 0, rest[0], 0, rest[1], cv2.BORDER_REPLICATE)


def _label(text: str, lines: int) -> np.ndarray:
    """How much of each pixel is white text, float32 [h, w] of 0 to 1, a thirtieth of the picture high."""
    scale = max(lines / 30, 10) / 22  # the font's capitals are 22 pixels high at scale 1
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    pad = height // 2
    label = np.zeros((height + below + 2 * pad, width + 2 * pad), np.uint8)
    thickness = max(round(scale * 1.5), 1)
    cv2.putText(label, text, (pad, pad + height), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    return label.astype(np.float32) / 255


def _burn(picture_HWC: np.ndarray, label: np.ndarray) -> None:
    """Write a label into the top left corner, on a darkened ground so that it is read on any picture."""
    height, width = (min(*sides) for sides in zip(label.shape, picture_HWC.shape[:2], strict=True))
    text, corner = label[:height, :width, None], picture_HWC[:height, :width]
    corner[:] = np.rint(corner * (0.4 * (1 - text)) + text * FULL).astype(np.uint16)
