"""What nano's error network is worth: coverage of its band, width by degradation, and rank correlations with the true errors.

    python tests/benchmarks/trust_nano.py --hq ../shared/photos/train --only HELD_OUT [--out FIGURES.json]

`HELD_OUT` names photographs of `--hq`, a line each. About five minutes on one core for twenty photographs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
import torch
from facts import text_table

from faithdiff_model.build import build_restorer
from faithdiff_model.restorer import Restorer
from faithdiff_model.trust.estimate import ErrorEstimator
from faithdiff_model.trust.measure import BLOCK, Case, block_means, cases, rank_correlation
from faithdiff_model.trust.pairs import pixel_errors
from faithdiff_model.trust.shipped import CELL
from pipelines.settings import Settings


class Judged(TypedDict):
    """How right the estimator is of one restoration; errors and widths as shares of white."""

    photograph: str
    degradation: str
    covered: float
    width: float
    error: float
    by_block: float


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Restore, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hq", type=Path, required=True)
    parser.add_argument("--only", type=Path, required=True)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photographs = [options.hq / name for name in options.only.read_text(encoding="utf-8").split()]
    facts = figures(judge(ErrorEstimator.load(), cases(nano(), photographs, side=options.side)))
    if options.out is not None:
        options.out.write_text(json.dumps(facts, indent=2))
    return facts


def nano() -> Restorer:
    """The shipped network at its defaults, on a CPU."""
    settings = Settings(device="cpu")
    return build_restorer(settings.model_spec(), settings.restore_options(1))


def judge(estimator: ErrorEstimator, restorations: Iterable[Case]) -> list[Judged]:
    """What the estimator says of each, beside the truth."""
    found: list[Judged] = []
    for case in restorations:
        bands = estimator.bands(case.scan, case.result)
        errors = pixel_errors(case.result, case.reference)
        pixels = np.kron(bands, np.ones((CELL, CELL), np.float32))[: errors.shape[0], : errors.shape[1]]
        found.append(
            {
                "photograph": case.name,
                "degradation": case.degradation,
                "covered": float((errors <= pixels).mean()),
                "width": float(bands.mean()),
                "error": float(errors.mean()),
                "by_block": rank_correlation(block_means(pixels, BLOCK), block_means(errors, BLOCK)),
            }
        )
    return found


def figures(judged: list[Judged]) -> dict[str, object]:
    """Means by degradation and over all, and the rank correlation by photograph; printed."""
    rows: list[dict[str, object]] = []
    for degradation in [*dict.fromkeys(each["degradation"] for each in judged), ""]:
        part = [each for each in judged if degradation in ("", each["degradation"])]
        widths, errors = (np.array([each[name] for each in part]) for name in ("width", "error"))
        rows.append(
            {
                "degradation": degradation or "all",
                "photographs": len(part),
                "covered": f"{np.mean([each['covered'] for each in part]):.1%}",
                "least covered": f"{min(each['covered'] for each in part):.1%}",
                "band": f"{widths.mean():.4f}",
                "error": f"{errors.mean():.4f}",
                "rank by block": f"{np.mean([each['by_block'] for each in part]):.2f}",
                "rank by photograph": f"{rank_correlation(widths, errors):.2f}",
            }
        )
    print(text_table(rows, list(rows[0])))
    return {"summary": rows, "photographs": judged}


if __name__ == "__main__":
    main()
