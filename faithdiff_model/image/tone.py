"""How a scan's tone is to be changed so that fading and colour casts go: a curve a channel, estimated from the scan alone.

The estimator is a small network over what a downsized scan says of its colours: quantiles of each channel, what tint shadows,
middle tones and lights have, how colourful it is. It never sees where in the picture a colour is. Trained on fades of our own
(`training/tone.py`); the model card beside the weights has what it reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from faithdiff_model.image.resize import to_grey, to_unit_float
from faithdiff_model.image.tone_curve import HIGHEST_SLOPE, KNOTS, LEVELS, LOWEST_SLOPE, ToneCurve, values_at
from faithdiff_model.image.tone_weights import SHIPPED

__all__ = [
    "FEATURES",
    "OUTPUTS",
    "SHIPPED",
    "ToneEstimator",
    "curve_slopes",
    "features",
    "is_single_hue",
    "sample_colours",
]

_SIDE = 64  # of the downsized scan, in pixels: averages noise, grain and dust
_QUANTILES = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.995)
_BANDS = (0.0, 0.05, 0.25, 0.75, 0.95, 1.0)  # shares of the scan from its shadows to its lights
FEATURES = 3 * len(_QUANTILES) + 2 * (len(_BANDS) - 1) + 8
OUTPUTS = 10  # black, white and bend of each channel, and how sure it is
# A print of one hue: all but the last twentieth of it lies this close to its mean tint at that lightness, as a share of its
# range from shadows to lights. Chosen on the validation photographs.
_ONE_HUE = 0.06
_HUE_BANDS = 32  # lightnesses at which the mean tint is taken
_FLAT = 0.02  # of a scan whose lights are this close to its shadows nothing is known
# What the network's outputs can mean: black up to a level, white down to one, how far the middle may bend, and the width of the
# passage between what was within the print's range and what was not.
_MOST_BLACK, _LEAST_WHITE, _MOST_BEND, _PASSAGE = 0.5, 0.4, 1.5, 0.04


def sample_colours(pixels_HWC: np.ndarray) -> np.ndarray:
    """Colours of a downsized scan, in no order that matters.

    Args:
        pixels_HWC: uint8, uint16 or float in [0, 1], 1 to 4 channels; what alpha hides does not count.

    Returns:
        float32 [N, 3] in [0, 1], N at most 64 x 64; a grey scan has three equal channels.
    """
    height, width, channels = pixels_HWC.shape
    factor = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(pixels_HWC, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)
    flat = to_unit_float(small).reshape(-1, channels)
    if channels in (2, 4):
        flat = flat[flat[:, -1] >= 0.5]
    return np.ascontiguousarray(flat[:, :3] if channels >= 3 else np.repeat(flat[:, :1], 3, axis=1))


def is_single_hue(colours_N3: np.ndarray) -> bool:
    """Whether a scan is of a grey or toned print: its tint follows from its lightness.

    Args:
        colours_N3: of `sample_colours`.
    """
    light = to_grey(colours_N3)[:, 0]
    bands = min(_HUE_BANDS, len(light))
    order = np.argsort(light, kind="stable")[: len(light) // bands * bands]
    tint = (colours_N3[:, [0, 2]] - light[:, None])[order].reshape(bands, -1, 2)
    away = np.sort(np.abs(tint - tint.mean(1, keepdims=True)).max(2), axis=None)
    span = light[order[round(0.98 * (len(order) - 1))]] - light[order[round(0.02 * (len(order) - 1))]]
    return bool(away[round(0.95 * (len(away) - 1))] < _ONE_HUE * max(span, 0.1))


def features(colours_N3: np.ndarray, single: bool) -> np.ndarray:
    """What the estimator is told of a scan.

    Args:
        colours_N3: of `sample_colours`, one or more.
        single: `is_single_hue` of them.

    Returns:
        float32 [FEATURES].
    """
    ordered = np.sort(colours_N3, axis=0)
    places = np.round(np.array(_QUANTILES) * (len(ordered) - 1)).astype(int)
    light = to_grey(colours_N3)[..., 0]
    order = np.argsort(light, kind="stable")
    tint = colours_N3[:, [0, 2]] - light[:, None]
    ends = np.round(np.array(_BANDS) * len(order)).astype(int)
    bands = [tint[order[min(low, len(order) - 1) : max(high, low + 1)]].mean(0) for low, high in pairwise(ends)]
    chroma = np.ptp(colours_N3, axis=1)
    dullest = tint[np.argsort(chroma, kind="stable")[: max(1, len(chroma) // 5)]].mean(0)
    spread = np.concatenate([tint.std(0), light.std(keepdims=True), chroma.mean(keepdims=True)])
    hue = np.array([single, (tint[:, 0] * tint[:, 1]).mean() * 10], np.float32)
    return np.concatenate([ordered[places].T.ravel(), *bands, dullest, spread, hue]).astype(np.float32)


def curve_slopes(raw: Any, single: Any, levels: Any, xp: ModuleType) -> Any:
    """Slopes of the curves that the network's outputs stand for, in numpy or torch alike.

    Each channel is led from the black and white that it is thought to have now to black and white, its middle bent by an
    exponential; outside of them the slope is the lowest. How sure the network is moves all of it towards no change.

    Args:
        raw: [..., OUTPUTS].
        single: [..., 1], 1 where the scan has a single hue, whose channels get one curve, else 0.
        levels: [KNOTS], `LEVELS`.
        xp: numpy or torch.

    Returns:
        [..., 3, KNOTS], as `ToneCurve.slopes`.
    """

    def sigmoid(x: Any) -> Any:
        return (xp.tanh(x / 2) + 1) / 2

    channels = raw[..., :9].reshape((*raw.shape[:-1], 3, 3))
    mean = channels.mean(-2)[..., None, :]
    channels = (channels + (mean - channels) * single[..., None])[..., None]
    black = _MOST_BLACK * sigmoid(channels[..., 0, :] - 2)
    white = 1 - (1 - _LEAST_WHITE) * sigmoid(channels[..., 1, :] - 2)
    inside = xp.clip((levels - black) / xp.clip(white - black, 0.1, 1), 0, 1)
    shape = xp.exp(_MOST_BEND * xp.tanh(channels[..., 2, :]) * (1 - 2 * inside))
    shape = shape * sigmoid((levels - black) / _PASSAGE) * sigmoid((white - levels) / _PASSAGE)
    weight = (shape.sum(-1) - (shape[..., 0] + shape[..., -1]) / 2) / (KNOTS - 1)
    slopes = LOWEST_SLOPE + (1 - LOWEST_SLOPE) * shape / weight[..., None]
    room = (HIGHEST_SLOPE - 1) / xp.clip(xp.amax(slopes, -1) - 1, HIGHEST_SLOPE - 1, None)
    return 1 + (slopes - 1) * (sigmoid(raw[..., 9:]) * room)[..., None]


@dataclass(frozen=True, kw_only=True)
class ToneEstimator:
    """The network with its weights: two hidden layers with ReLU.

    Attributes:
        mean, deviation: [FEATURES], of the training scans' features.
        weights, biases: of the three layers, [out, in] and [out].
        caution: mean change below which nothing is changed; from twice of it on, all of it. Between them a share.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    caution: float

    def estimate(self, pixels_HWC: np.ndarray) -> ToneCurve:
        """The curve that takes fading and a cast out of a scan.

        Args:
            pixels_HWC: the whole scan, uint8 or uint16, 1 to 4 channels.

        Returns:
            As many channels as the scan has colours. Three equal ones for a grey or toned print in colour, so that its hue
            stays; no change where the scan seems undamaged or is all of one lightness.
        """
        count = 1 if pixels_HWC.shape[2] < 3 else 3
        colours = sample_colours(pixels_HWC)
        if not len(colours) or np.ptp(np.quantile(to_grey(colours), (0.005, 0.995))) < _FLAT:
            return ToneCurve.identity(count)
        single = is_single_hue(colours)
        slopes = self.slopes(features(colours, single), single)[:count]
        moved = [np.abs(values_at(slopes[c], colours[:, c]) - colours[:, c]).mean() for c in range(count)]
        share = np.clip(np.mean(moved) / max(self.caution, 1e-9) - 1, 0, 1)
        return ToneCurve.of(1 + (slopes - 1) * share)

    def slopes(self, features_F: np.ndarray, single: bool) -> np.ndarray:
        """The network's slopes [3, KNOTS] for the features of one scan, without caution."""
        x = np.clip((features_F - self.mean) / self.deviation, -6, 6)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(weight @ x + bias, 0)
        raw = self.weights[-1] @ x + self.biases[-1]
        return np.asarray(curve_slopes(raw.astype(np.float64), np.array([float(single)]), LEVELS, np))

    @classmethod
    def load(cls, path: Path = SHIPPED) -> ToneEstimator:
        """Read an estimator from a safetensors file.

        Raises:
            ValueError: it is not one of ours.
        """
        from safetensors.numpy import load

        tensors = load(path.read_bytes())
        layers = sorted(name.removesuffix(".weight") for name in tensors if name.endswith(".weight"))
        shapes = [tensors[f"{name}.weight"].shape for name in layers]
        if not shapes or shapes[0][1] != FEATURES or shapes[-1][0] != OUTPUTS:
            raise ValueError(f"{path}: no tone estimator of {FEATURES} features and {OUTPUTS} outputs")
        return cls(
            mean=tensors["mean"],
            deviation=tensors["deviation"],
            weights=tuple(tensors[f"{name}.weight"] for name in layers),
            biases=tuple(tensors[f"{name}.bias"] for name in layers),
            caution=float(tensors["caution"][0]),
        )

    def save(self, path: Path) -> None:
        """Write it to a safetensors file."""
        from safetensors.numpy import save

        tensors = {"mean": self.mean, "deviation": self.deviation, "caution": np.array([self.caution], np.float32)}
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors |= {f"layer{number}.weight": weight, f"layer{number}.bias": bias}
        path.write_bytes(save({name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}))
