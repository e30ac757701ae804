"""A round trip through real JPEG files, in memory."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.ranges import require


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image [H, W, 3] in 0 to 1, encoded with 8 bits and 4:2:0 chroma and decoded: float32, multiples of 1/255.

    Args:
        quality: of libjpeg, 1 to 100.
    """
    require("quality", quality, 1, 100)
    levels = cv2.cvtColor(cv2.convertScaleAbs(np.clip(image, 0, 1), alpha=255), cv2.COLOR_RGB2BGR)
    done, packed = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    assert done
    decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert decoded is not None  # it has just been encoded
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)
