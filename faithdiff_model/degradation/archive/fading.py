"""Prints as they were and as decades left their tone: pairs for whoever learns, or measures, to bring the tone back."""

from __future__ import annotations

import numpy as np

from faithdiff_model.degradation.archive.tone import DYE_LOSS, colour_cast, density_loss, fade, grey, sepia, yellow
from faithdiff_model.degradation.ranges import require_image

# Kinds of prints, and what can have become of each. "none" is a print in good order; "mixed" several at once, now and
# then none.
FADES: dict[str, tuple[str, ...]] = {
    "colour": ("none", "contrast", "cyan", "magenta", "yellow", "yellowed", "density", "mixed"),
    "grey": ("none", "contrast", "yellowed", "density", "mixed"),
    "sepia": ("none", "contrast", "density", "mixed"),
}
_BLACK, _WHITE = (0.0, 0.25), (0.65, 1.0)
_CAST, _LOSS, _YELLOW = (0.1, 0.55), (0.1, 0.55), (0.15, 1.0)


def print_of(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A photograph as a print of a kind.

    Args:
        image: float32 [H, W, 3] in 0 to 1.
        kind: a key of `FADES`.
        rng: of how brown a toned print is.
    """
    require_image(image)
    if kind not in FADES:
        raise ValueError(f"kind is {kind!r}: choose one of {', '.join(FADES)}")
    if kind == "grey":
        return grey(image)
    return sepia(image, rng.uniform(0.35, 1)) if kind == "sepia" else image


def fade_print(image: np.ndarray, kind: str, what: str, rng: np.random.Generator) -> np.ndarray:
    """What light, air and chemistry made of a print, each channel by a curve of its own.

    Args:
        image: of `print_of`.
        kind: of the print.
        what: of `FADES[kind]`.
        rng: of how much.

    Returns:
        float32 [H, W, 3] in 0 to 1.
    """
    if what not in FADES[kind]:
        raise ValueError(f"a {kind} print cannot have {what!r}: choose one of {', '.join(FADES[kind])}")
    mixed = what == "mixed"
    if what in DYE_LOSS or (mixed and kind == "colour" and rng.random() < 0.7):
        dye = what if what in DYE_LOSS else tuple(DYE_LOSS)[rng.integers(len(DYE_LOSS))]
        by = density_loss if rng.random() < 0.5 else colour_cast
        image = by(image, rng.uniform(*_CAST), dye)
    if what == "density" or (mixed and rng.random() < 0.3):
        image = density_loss(image, rng.uniform(*_LOSS))
    if what == "yellowed" or (mixed and kind != "sepia" and rng.random() < 0.5):
        image = yellow(image, rng.uniform(*_YELLOW))
    if what == "contrast" or (mixed and rng.random() < 0.6):
        image = fade(image, rng.uniform(*_BLACK), rng.uniform(*_WHITE))
    return image
