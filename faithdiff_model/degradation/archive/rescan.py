"""A cheap second scan: what a flatbed of the nineties made of the print, and sent as a small JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.blur import soften
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.noise import gaussian_noise
from faithdiff_model.degradation.ranges import require
from faithdiff_model.degradation.two_pass import small_size


def rescan(
    image: np.ndarray,
    rng: np.random.Generator,
    scale: int,
    quality: int,
    *,
    blur: float = 0.8,
    noise: float = 2.0,
    halo: float = 0.3,
) -> np.ndarray:
    """Scan a print: soft lens, small size, sensor noise, the scanner's own sharpening, JPEG.

    Args:
        image: float32 [H, W, 3] in 0 to 1, RGB.
        rng: of the noise.
        scale: by how much the scan is smaller, 1 to 8.
        quality: of the JPEG, 1 to 100.
        blur: sigma of the lens in the image's pixels, 0.1 to 5.
        noise: standard deviation of the sensor's noise in 1/255 levels, 0 to 20.
        halo: strength of the sharpening, 0 to 2: how far edges overshoot.

    Returns:
        float32 [ceil(H / scale), ceil(W / scale), 3] in 0 to 1.
    """
    require("scale", scale, 1, 8)
    require("blur", blur, 0.1, 5)
    require("noise", noise, 0, 20)
    require("halo", halo, 0, 2)
    height, width = small_size(image.shape[0], image.shape[1], scale)
    scan = cv2.resize(soften(image, blur), (width, height), interpolation=cv2.INTER_AREA)
    scan = gaussian_noise(scan, rng, noise)
    scan = np.clip(scan + (scan - cv2.GaussianBlur(scan, (0, 0), 1.2)) * np.float32(halo), 0, 1)
    return jpeg(scan, quality)
