"""Train the detector of damage from nothing, choose its thresholds, put it into the package and print its figures.

    python tests/benchmarks/train_detector.py RUN --hq ../shared/photos/train --val ../shared/photos/val --without HELD_OUT

`RUN` gets the crops and the checkpoint; called again, it goes on where it stopped. `HELD_OUT` names photographs of `--hq`, one
a line, that nothing is trained or chosen on: the last figures are theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from facts import text_table
from trainer_options import split_photographs, trainer_parser

from faithdiff_model.damage.crops import Crops, make_crops
from faithdiff_model.damage.detect import SHIPPED, DamageDetector, Thresholds
from faithdiff_model.damage.measure import choose_thresholds, measure_false, measure_kinds
from faithdiff_model.damage.network import DetectorConfig
from faithdiff_model.damage.scans import ScanSettings
from faithdiff_model.damage.train import DetectorStage, train_detector
from faithdiff_model.training.photographs import read_photograph

_MOST_FALSE = 1e-3  # of undamaged photographs; the goal is half of it, which the first version did not reach
_MIDDLE = 384  # pixels a side of what is measured of each photograph
_SURE, _PART = (230, 242, 250, 253, 254), (179, 204, 230, 245)
CANDIDATES = [Thresholds(sure=sure, part=part, smallest=3) for sure in _SURE for part in _PART if part <= sure]


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Crops, training, thresholds, figures."""
    parser = trainer_parser(__doc__, SHIPPED)
    parser.add_argument("--crops", type=int, default=7168)
    parser.add_argument("--minutes", type=float, default=87)
    parser.add_argument("--batch", type=int, default=6)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    used, held_out = split_photographs(options)
    for made in make_crops([str(path) for path in used], options.run / "crops", options.crops, ScanSettings()):
        print(f"{made} crops", flush=True)
    stage = DetectorStage(minutes=options.minutes, batch=options.batch)
    network = train_detector(Crops(options.run / "crops"), DetectorConfig(), stage, options.run / "train", on_log=print)
    detector = DamageDetector(network, Thresholds())
    val = photographs(sorted(options.val.iterdir()))
    detector.thresholds, rows = choose_thresholds(detector, val, CANDIDATES, _MOST_FALSE)
    print(text_table(rows, list(rows[0])))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    detector.save(options.out)
    shipped = DamageDetector.load(options.out)
    facts: dict[str, object] = {"thresholds": asdict(shipped.thresholds), "bytes": options.out.stat().st_size}
    for name, photos in (("val", val), ("held out", photographs(held_out))):
        kinds = {kind: asdict(found) for kind, found in measure_kinds(shipped, photos).items()}
        print(
            text_table(
                [{"kind": kind, **found} for kind, found in kinds.items()], ["kind", "recall", "precision", "damaged"]
            )
        )
        facts[name] = {"kinds": kinds, "false": measure_false(shipped, photos)}
        print(json.dumps(facts[name]))
    (options.run / "figures.json").write_text(json.dumps(facts, indent=2))
    return facts


def photographs(paths: Iterable[Path]) -> list[np.ndarray]:
    """The middles of photographs, float32 [H, W, 3] in 0 to 1."""
    found = []
    for path in paths:
        levels = read_photograph(str(path))
        top, left = (max(0, (side - _MIDDLE) // 2) for side in levels.shape[:2])
        found.append(levels[top : top + _MIDDLE, left : left + _MIDDLE].astype(np.float32) / 255)
    return found


if __name__ == "__main__":
    main()
