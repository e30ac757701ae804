"""The paper's ablations (tables 5 and 6) at nano scale: variants trained from one prior with equal steps, measured on `val`.

    python tests/benchmarks/ablations.py --prior RUN/prior/FaithDiff.safetensors --output /tmp/ablations

Variants that are done are not trained again. Writes `results/ablations-nano.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from facts import RESULTS, machine_facts, text_table

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import as_rgb
from faithdiff_model.evaluation.fidelity import psnr_y, ssim_y
from faithdiff_model.evaluation.perceptual import gmsd, ms_ssim_y
from faithdiff_model.image.resize import enlarge
from faithdiff_model.network.config import AttentionMode, NetworkConfig
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.presets import DEFAULTS, PRESETS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.ablations import Ablation, ablate
from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.recipes import small_stage
from faithdiff_model.weights.checkpoint import load_published, read_tensors
from pipelines.run.training import TrainingJob

HERE = Path(__file__).parent
PHOTOS = HERE.parents[2] / "shared" / "photos"
MEASURES = {"PSNR-Y": psnr_y, "SSIM-Y": ssim_y, "MS-SSIM": ms_ssim_y, "GMSD": gmsd}
_SEED = 2025
_SIDE = 256  # pixels of the middle that is measured: the whole table in half an hour


@dataclass(frozen=True)
class Variant:
    """One row of the table: what each of its stages is ablated by, with its share of the second stage's steps."""

    name: str
    stage1: Ablation | None
    stage2: tuple[tuple[Ablation, float], ...]
    attention: AttentionMode | None = None
    start_from_lq: bool = True


VARIANTS = (
    Variant("full (unleashed jointly)", "none", (("none", 1.0),)),
    Variant("without alignment", "without-alignment", (("without-alignment", 1.0),)),
    Variant("alignment not pre-trained", None, (("without-pretraining", 1.0),)),
    Variant("last-layer features", "last-layer", (("last-layer", 1.0),)),
    Variant("LQ encoder only", "none", (("encoder-only", 1.0),)),
    Variant("UNet only", "none", (("unet-only", 1.0),)),
    Variant("separately: encoder, then UNet", "none", (("encoder-only", 0.5), ("unet-only", 0.5))),
    Variant("spatial attention", "none", (("none", 1.0),), attention="spatial"),
    Variant("noise around HQ latents", "none", (("none", 1.0),), start_from_lq=False),
)


def main() -> None:
    """Train and measure all variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prior", type=Path, required=True, help="weights that every variant starts from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--stage1-steps", type=int, default=100)
    parser.add_argument("--stage2-steps", type=int, default=400)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for variant in VARIANTS:
        done = options.output / variant.name.replace(" ", "-").replace(":", "").replace(",", "") / "row.json"
        if not done.exists():
            done.parent.mkdir(parents=True, exist_ok=True)
            done.write_text(json.dumps(run_variant(variant, options, done.parent)))
        rows.append(json.loads(done.read_text()))
        print(json.dumps(rows[-1]), flush=True)
    write(rows, options)


def run_variant(variant: Variant, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train one variant, stage after stage, and measure it."""
    started = time.monotonic()
    spec = ModelSpec(preset="nano", attention=variant.attention, dtype="float32", device="cpu")
    init, network = options.prior, spec.network()
    stages: list[tuple[str, Ablation, int]] = []
    if variant.stage1 is not None:
        stages.append(("1", variant.stage1, options.stage1_steps))
    stages += [("2", ablation, round(options.stage2_steps * share)) for ablation, share in variant.stage2]
    for number, (stage_name, ablation, steps) in enumerate(stages):
        network, stage = ablate(ablation, spec.network(), _stage(stage_name, steps, variant))
        job = TrainingJob(
            spec=spec,
            network=network,
            stage=stage,
            data=_data(options.crop),
            output=folder / f"{number}-{stage.name}",
            init=init,
            fresh_alignment=ablation == "without-pretraining",
        )
        init = job.run()
    restorer = _restorer(network, init)
    row: dict[str, Any] = {"variant": variant.name, "training_s": round(time.monotonic() - started, 1)}
    for degradation in ("level-II", "archive"):
        row[degradation] = measure(restorer, degradation, options.images)
    return row


def _stage(name: str, steps: int, variant: Variant) -> StageConfig:
    stage = small_stage(name)
    return replace(
        stage,
        steps=steps,
        warmup_steps=20,
        ema_decay=0.98,
        seed=_SEED,
        save_every=steps,
        log_every=1,
        start_from_lq=variant.start_from_lq,
    )


def _data(crop: int) -> DataConfig:
    weights = {"level-I": 1.0, "level-II": 3.0, "archive": 2.0}
    return DataConfig(hq=(str(PHOTOS / "train"),), crop=crop, degradations=weights, shrink=2.0, workers=1)


def _restorer(network: NetworkConfig, weights: Path) -> Restorer:
    """A replica of an ablated network: the shipped one with another UNet."""
    shipped = build_restorer(ModelSpec(preset="nano", dtype="float32", device="cpu"), DEFAULTS["nano"])
    unet = assemble_unet(network)
    load_published(unet, read_tensors(weights), source=str(weights), dtype=torch.float32)
    return Restorer(
        config=network,
        unet=unet.eval().requires_grad_(False),
        vae=shipped.vae,
        prompt_encoder=None,
        options=shipped.options,
        device=shipped.device,
        digest="",
        trained=True,
    )


def measure(restorer: Restorer, degradation: str, images: int) -> dict[str, float]:
    """Means over the middles of the first `images` photographs of `val`."""
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for seed, file in enumerate(sorted((PHOTOS / "val").glob("*.png"))[:images]):
        hq = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
        top, left = ((side - _SIDE) // 2 for side in hq.shape[:2])
        hq = np.ascontiguousarray(hq[top : top + _SIDE, left : left + _SIDE])
        degraded = degrade(degradation, hq, seed)
        lq, reference = as_rgb(degraded.lq), as_rgb(degraded.hq)
        result = as_rgb(restorer.restore([enlarge(lq, *hq.shape[:2])], [""], [seed])[0])
        for name, function in MEASURES.items():
            values[name].append(function(result, reference))
    return {name: float(np.mean(found)) for name, found in values.items()}


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The table as JSON and Markdown."""
    about = {
        "command": f"python tests/benchmarks/ablations.py --stage1-steps {options.stage1_steps} "
        f"--stage2-steps {options.stage2_steps} --crop {options.crop} --images {options.images}",
        "seed": _SEED,
        "parameters": sum(p.numel() for p in assemble_unet(PRESETS["nano"]).parameters()),
        **machine_facts(),
    }
    (RESULTS / "ablations-nano.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    lines = []
    for degradation in ("level-II", "archive"):
        table = [{"variant": row["variant"], **row[degradation]} for row in rows]
        lines += [f"{degradation}:", "", text_table(table, ["variant", *MEASURES]), ""]
    (RESULTS / "ablations-nano.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
