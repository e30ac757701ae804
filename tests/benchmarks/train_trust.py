"""Train nano's error network from nothing, calibrate it, put it into the package and print its figures.

    python tests/benchmarks/train_trust.py RUN --hq ../shared/photos/train --val ../shared/photos/val --without HELD_OUT

`RUN` gets restored crops, which are not made again, and the figures. It is calibrated on `--val`. `HELD_OUT` names photographs
of `--hq`, one a line, that nothing is trained or calibrated on: the last figures are theirs. About twenty minutes on one core.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import torch
from trainer_options import split_photographs, trainer_parser
from trust_nano import figures, judge, nano

from faithdiff_model.training.config import DataConfig
from faithdiff_model.trust.calibrate import calibrated
from faithdiff_model.trust.estimate import Calibration, ErrorEstimator
from faithdiff_model.trust.measure import cases
from faithdiff_model.trust.network import ErrorConfig
from faithdiff_model.trust.pairs import MIX, make_pairs
from faithdiff_model.trust.shipped import SHIPPED
from faithdiff_model.trust.train import TrustStage, train_trust

CROPS, MINUTES = 1928, 6.0  # as the shipped one was trained


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Crops, training, calibration, figures."""
    parser = trainer_parser(__doc__, SHIPPED)
    parser.add_argument("--crops", type=int, default=CROPS)
    parser.add_argument("--crop", type=int, default=160, help="side of a crop in pixels, a multiple of 16")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--side", type=int, default=384, help="of the middles that are measured, in pixels")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    restorer = nano()
    data = DataConfig(
        hq=(str(options.hq),),
        crop=options.crop,
        degradations=MIX,
        shrink=2.0,
        leave_out=str(options.without),
        workers=0,
    )
    pairs = make_pairs(restorer, data, options.crops, options.run / "crops")
    stage = TrustStage(minutes=options.minutes, crop=min(128, options.crop))
    network = train_trust(pairs, ErrorConfig(), stage)
    raw = ErrorEstimator(network, Calibration((0.0,), (1.0,)), restorer.digest)
    val = list(cases(restorer, sorted(options.val.iterdir()), side=options.side))
    calibration = calibrated((raw.scales(case.scan, case.result), case.result, case.reference) for case in val)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    ErrorEstimator(network, calibration, restorer.digest).save(options.out)
    shipped = ErrorEstimator.load(options.out)
    facts: dict[str, object] = {"bytes": options.out.stat().st_size}
    print("val, on which it was calibrated")
    facts["val"] = figures(judge(shipped, val))
    held_out: list[Path] = split_photographs(options)[1]
    print("held out")
    facts["held out"] = figures(judge(shipped, cases(restorer, held_out, side=options.side)))
    (options.run / "figures.json").write_text(json.dumps(facts, indent=2))
    return facts


if __name__ == "__main__":
    main()
