"""Training of the tone estimator: prints faded on purpose, and curves that bring their colours back.

The loss is the colour error (CIE 1976) of what the predicted curves make of the faded print's pixels, so that the network
weighs its doubts as the eye would: where a cast may as well be the photograph's own, it changes less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from faithdiff_model.degradation.archive.fading import FADES, fade_print, print_of
from faithdiff_model.image.tone import (
    FEATURES,
    OUTPUTS,
    ToneEstimator,
    curve_slopes,
    features,
    is_single_hue,
    sample_colours,
)
from faithdiff_model.image.tone_curve import KNOTS, LEVELS

_KINDS = {"colour": 0.7, "grey": 0.15, "sepia": 0.15}
_UNDAMAGED = 0.25
_FROM_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)  # D65


@dataclass(frozen=True, kw_only=True)
class ToneStage:
    """How the estimator is trained.

    Attributes:
        samples: faded prints, each drawn once.
        pixels: of each print that its error is measured on.
        width: of the hidden layers.
        steps, batch: of the optimizer.
        learning_rate, weight_decay: of AdamW; the rate falls along a cosine to nothing.
        dropout: of the hidden layers.
        noise: standard deviation of what is added to the normalised features.
        undamaged_weight: of an undamaged print's error beside a faded one's.
        seed: of prints, order and start.
    """

    samples: int = 16_000
    pixels: int = 64
    width: int = 64
    steps: int = 2500
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    noise: float = 0.2
    undamaged_weight: float = 2.0
    seed: int = 0


class FadedPrints(NamedTuple):
    """Samples: features [S, FEATURES], whether each has a single hue [S, 1], its pixels faded and as they were [S, P, 3], and
    the weight of each [S]."""

    features: Tensor
    single: Tensor
    faded: Tensor
    original: Tensor
    weight: Tensor


def faded_prints(photographs: Sequence[np.ndarray], stage: ToneStage) -> FadedPrints:
    """Draw prints out of photographs and fade them.

    Args:
        photographs: float32 [H, W, 3] in 0 to 1, small; 80 pixels a side are enough.
        stage: how many, and the seed.
    """
    rng = np.random.default_rng(stage.seed)
    rows: list[tuple[np.ndarray, ...]] = []
    while len(rows) < stage.samples:
        image = _varied(photographs[int(rng.integers(len(photographs)))], rng)
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        what = "none" if rng.random() < _UNDAMAGED else str(rng.choice(FADES[kind][1:]))
        before = print_of(image, kind, rng)
        after = fade_print(before, kind, what, rng)
        noisy = np.clip(after + rng.uniform(0, 0.02) * rng.standard_normal(after.shape, np.float32), 0, 1)
        colours = sample_colours(np.rint(noisy * 255).astype(np.uint8))
        chosen = rng.integers(0, after.shape[0] * after.shape[1], stage.pixels)
        pairs = (np.reshape(each, (-1, 3))[chosen].astype(np.float16) for each in (after, before))
        weight = stage.undamaged_weight if what == "none" else 1.0
        single = is_single_hue(colours)
        rows.append((features(colours, single), np.array([single]), *pairs, np.array(weight)))
    columns = (np.stack(column).astype(np.float32) for column in zip(*rows, strict=True))
    return FadedPrints(*(torch.from_numpy(column) for column in columns))


def _varied(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of a photograph, a little lighter or darker and more or less colourful, perhaps on paper with a white border."""
    height, width = image.shape[:2]
    rows, columns = (max(16, round(side * rng.uniform(0.4, 1))) for side in (height, width))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    part = image[top : top + rows, left : left + columns] ** np.float32(rng.uniform(0.8, 1.25))
    part = part @ _turned(
        rng.uniform(0, 2 * np.pi) if rng.random() < 0.3 else rng.normal(0, 0.2), rng.uniform(0.6, 1.2)
    )
    part = np.clip(part * np.exp(rng.normal(0, 0.03, 3)).astype(np.float32), 0, 1)  # no two cameras agree on white
    if rng.random() < 0.15:
        edge = int(rng.integers(2, 8))
        part = np.pad(part, ((edge, edge), (edge, edge), (0, 0)), constant_values=rng.uniform(0.92, 1))
    return part.astype(np.float32)


def _turned(angle: float, colourful: float) -> np.ndarray:
    """The matrix [3, 3] that turns the hues of RGB rows by an angle about grey, and makes them more or less colourful."""
    grey = np.full((3, 3), 1 / 3, np.float32)
    cross = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / np.sqrt(3)
    turned = np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * cross
    return np.asarray(grey + colourful * turned, np.float32)


def train_tone(samples: FadedPrints, stage: ToneStage, on_log: Callable[[str], None] = print) -> ToneEstimator:
    """Train an estimator; it has no caution yet.

    Args:
        samples: of `faded_prints`.
        stage: how.
        on_log: gets a line with the loss every 500 steps.
    """
    torch.manual_seed(stage.seed)
    mean, deviation = samples.features.mean(0), samples.features.std(0) + 1e-3
    network = nn.Sequential(
        nn.Linear(FEATURES, stage.width),
        nn.ReLU(),
        nn.Dropout(stage.dropout),
        nn.Linear(stage.width, stage.width),
        nn.ReLU(),
        nn.Dropout(stage.dropout),
        nn.Linear(stage.width, OUTPUTS),
    )
    optimizer = torch.optim.AdamW(network.parameters(), stage.learning_rate, weight_decay=stage.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, stage.steps)
    given = ((samples.features - mean) / deviation).clip(-6, 6)
    losses: list[float] = []
    for step in range(1, stage.steps + 1):
        chosen = torch.randint(len(given), (stage.batch,))
        raw = network(given[chosen] + stage.noise * torch.randn(stage.batch, FEATURES))
        error = colour_errors(raw, *(column[chosen] for column in samples[1:4]))
        loss = (error * samples.weight[chosen]).sum() / samples.weight[chosen].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 500 == 0:
            on_log(f"step {step}: colour error {np.mean(losses[-500:]):.2f}")
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    return ToneEstimator(
        mean=mean.numpy(),
        deviation=deviation.numpy(),
        weights=tuple(layer.weight.detach().numpy() for layer in layers),
        biases=tuple(layer.bias.detach().numpy() for layer in layers),
        caution=0.0,
    )


def colour_errors(raw_BO: Tensor, single_B1: Tensor, faded_BP3: Tensor, original_BP3: Tensor) -> Tensor:
    """Mean colour error of each print after the curves that the network's outputs stand for.

    Args:
        raw_BO: [B, OUTPUTS].
        single_B1: 1 where the scan has a single hue; of such a print lightness alone counts, as its tint is to stay.
        faded_BP3, original_BP3: pixels in [0, 1].

    Returns:
        [B], a unit a CIE 1976 difference of 1.
    """
    slopes = curve_slopes(raw_BO, single_B1, torch.tensor(LEVELS, dtype=raw_BO.dtype), torch)
    difference = lab(curved(slopes, faded_BP3)) - lab(original_BP3)
    squares = difference**2 * torch.cat([torch.ones_like(single_B1), 1 - single_B1, 1 - single_B1], 1)[:, None]
    return (squares.sum(-1) + 0.25).sqrt().mean(-1)


def curved(slopes_B3K: Tensor, pixels_BP3: Tensor) -> Tensor:
    """Curves of slopes at pixels in [0, 1], as `image.tone_curve.values_at`, with gradients."""
    steps = (slopes_B3K[..., 1:] + slopes_B3K[..., :-1]) / (2 * (KNOTS - 1))
    starts = torch.cat([torch.zeros_like(steps[..., :1]), steps.cumsum(-1)], -1)
    place = pixels_BP3.transpose(1, 2) * (KNOTS - 1)
    knot = place.long().clip(max=KNOTS - 2)
    along = place - knot
    first, second = slopes_B3K.gather(2, knot), slopes_B3K.gather(2, knot + 1)
    rise = first * along + (second - first) * along**2 / 2
    return (starts.gather(2, knot) + rise / (KNOTS - 1)).transpose(1, 2)


def lab(pixels: Tensor) -> Tensor:
    """CIE L*a*b* (D65) of sRGB pixels [..., 3] in [0, 1]."""
    linear = torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels.clip(min=0.04) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ pixels.new_tensor(_FROM_XYZ).T / pixels.new_tensor(_WHITE)
    cut = (6 / 29) ** 3
    f = torch.where(xyz > cut, xyz.clip(min=cut) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return torch.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)
