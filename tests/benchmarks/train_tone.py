"""Train the tone estimator from nothing, choose its caution, put it into the package and print its figures.

    python tests/benchmarks/train_tone.py RUN --hq ../shared/photos/train --val ../shared/photos/val --without HELD_OUT

`RUN` gets the figures. `HELD_OUT` names photographs of `--hq`, one a line, that nothing is trained or chosen on: the last
figures are theirs. About three minutes on one core.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from facts import text_table
from skimage.color import deltaE_ciede2000, rgb2lab
from trainer_options import split_photographs, trainer_parser

from faithdiff_model.degradation.archive.fading import FADES, fade_print, print_of
from faithdiff_model.image.tone import ToneEstimator
from faithdiff_model.image.tone_weights import SHIPPED
from faithdiff_model.training.photographs import read_photograph
from faithdiff_model.training.tone import ToneStage, faded_prints, train_tone

CAUTIONS = (0.005, 0.01, 0.015, 0.02, 0.03)
_MOST_CHANGE = 1.0  # CIEDE2000, the mean over undamaged photographs of val: what an eye just sees
_TRAINED, _MEASURED = 80, 160  # longest sides, pixels
_MAX = 65535

Method = Callable[[np.ndarray], np.ndarray]


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Samples, training, caution, figures."""
    parser = trainer_parser(__doc__, SHIPPED)
    parser.add_argument("--samples", type=int, default=ToneStage.samples)
    parser.add_argument("--steps", type=int, default=ToneStage.steps)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    used, held_out = split_photographs(options)
    stage = ToneStage(samples=options.samples, steps=options.steps)
    estimator = train_tone(faded_prints(photographs(used, _TRAINED), stage), stage)
    val = photographs(sorted(options.val.iterdir()), _MEASURED)
    estimator = replace(estimator, caution=choose_caution(estimator, val))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    estimator.save(options.out)
    facts: dict[str, object] = {"caution": estimator.caution, "bytes": options.out.stat().st_size}
    shipped = ToneEstimator.load(options.out)
    for name, photos in (
        ("val", val),
        ("held out", photographs(held_out, _MEASURED)),
    ):
        rows = measure(shipped, photos)
        print(f"{name}: {len(photos)} photographs")
        print(text_table(rows, list(rows[0])))
        facts[name] = rows
    options.run.mkdir(parents=True, exist_ok=True)
    (options.run / "figures.json").write_text(json.dumps(facts, indent=2))
    return facts


def photographs(paths: Iterable[Path], side: int) -> list[np.ndarray]:
    """Photographs reduced to a longest side in pixels, float32 [H, W, 3] in 0 to 1."""
    found = []
    for path in paths:
        image = read_photograph(str(path))
        factor = min(1.0, side / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found.append(small.astype(np.float32) / 255)
    return found


def choose_caution(estimator: ToneEstimator, val: list[np.ndarray]) -> float:
    """The least caution with which undamaged photographs of val change little enough; else the most."""
    for caution in CAUTIONS:
        method = restored_by(replace(estimator, caution=caution))
        errors = [errors_of("colour", "none", photo, number, [method])[0] for number, photo in enumerate(val)]
        print(f"caution {caution}: undamaged photographs of val change by {np.mean(errors):.2f}")
        if np.mean(errors) <= _MOST_CHANGE:
            return caution
    return CAUTIONS[-1]


def measure(estimator: ToneEstimator, photos: list[np.ndarray]) -> list[dict[str, object]]:
    """Mean errors by print and fade, of the faded print, of the estimator's result and of two plain methods.

    Of colour prints it is CIEDE2000; of grey and toned ones the error of L* alone, as their tint is kept.
    """
    methods = {
        "faded": lambda scan: scan,
        "restored": restored_by(estimator),
        "levels": levels,
        "grey world": grey_world,
    }
    rows: list[dict[str, object]] = []
    for kind, fades in FADES.items():
        for what in fades:
            errors = np.array([errors_of(kind, what, p, n, list(methods.values())) for n, p in enumerate(photos)])
            means = {name: round(float(mean), 2) for name, mean in zip(methods, errors.mean(0), strict=True)}
            row = {"print": kind, "fade": what, **means, "closer": f"{(errors[:, 1] < errors[:, 0]).mean():.0%}"}
            rows.append(row | {"worst": round(float((errors[:, 1] - errors[:, 0]).max()), 2)})
    return rows


def errors_of(kind: str, what: str, photo: np.ndarray, number: int, methods: list[Method]) -> list[float]:
    """Errors of several methods on one print of a photograph, the same print in every run."""
    rng = np.random.default_rng([number, list(FADES).index(kind), FADES[kind].index(what)])
    before = print_of(photo, kind, rng)
    scan = np.rint(fade_print(before, kind, what, rng) * _MAX).astype(np.uint16)
    return [colour_error(method(scan) / _MAX, before, kind != "colour") for method in methods]


def colour_error(result: np.ndarray, before: np.ndarray, lightness_alone: bool) -> float:
    """Mean CIEDE2000, or mean error of L*."""
    first, second = rgb2lab(result), rgb2lab(before)
    return float((np.abs(first - second)[..., 0] if lightness_alone else deltaE_ciede2000(first, second)).mean())


def restored_by(estimator: ToneEstimator) -> Method:
    """The estimator's curves on a scan, uint16 [H, W, 3]."""
    return lambda scan: estimator.estimate(scan).apply(scan, np.dtype(np.uint16))


def levels(scan: np.ndarray) -> np.ndarray:
    """The plain method of image editors: each channel stretched from its darkest to its lightest half percent."""
    low, high = np.quantile(scan.reshape(-1, 3), (0.005, 0.995), axis=0)
    return np.rint(np.clip((scan - low) / np.maximum(high - low, 1), 0, 1) * _MAX)


def grey_world(scan: np.ndarray) -> np.ndarray:
    """Each channel multiplied so that all have the same mean."""
    means = scan.reshape(-1, 3).mean(0)
    return np.clip(scan * (means.mean() / np.maximum(means, 1)), 0, _MAX)


if __name__ == "__main__":
    main()
