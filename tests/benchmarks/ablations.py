"""The paper's ablations (tables 5 and 6) at nano's size: variants trained from nothing with equal steps, measured on `val`.

    python tests/benchmarks/ablations.py --output /tmp/ablations --cache /tmp/ablations/crops

Variants that are done are not trained again. Writes `results/ablations-nano.json` and `.md`. Two rows of the paper have no
counterpart here: nano's alignment has no training before the others', and its codec no last layer.
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

from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import as_rgb
from faithdiff_model.evaluation.fidelity import psnr_y, ssim_y
from faithdiff_model.evaluation.perceptual import gmsd, ms_ssim_y
from faithdiff_model.image.resize import enlarge
from faithdiff_model.network.config import AttentionMode, NetworkConfig
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.network.vae import build_vae
from faithdiff_model.presets import DEFAULTS, PRESETS, SHIPPED
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.ablations import Ablation, ablate
from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.recipes import JOINT_DEGRADATIONS, joint_stage
from faithdiff_model.weights.checkpoint import load_published, read_tensors
from pipelines.run.training import TrainingJob

HERE = Path(__file__).parent
PHOTOS = HERE.parents[2] / "shared" / "photos"
MEASURES = {"PSNR-Y": psnr_y, "SSIM-Y": ssim_y, "MS-SSIM": ms_ssim_y, "GMSD": gmsd}
_SIDE = 256  # pixels of the middle that is measured: the whole table in half an hour


@dataclass(frozen=True)
class Variant:
    """One row of the table: what each part of its training is ablated by, with its share of the steps."""

    name: str
    parts: tuple[tuple[Ablation, float], ...] = (("none", 1.0),)
    attention: AttentionMode | None = None


VARIANTS = (
    Variant("full (unleashed jointly)"),
    Variant("without alignment", (("without-alignment", 1.0),)),
    Variant("then LQ encoder only", (("none", 0.5), ("encoder-only", 0.5))),
    Variant("then UNet only", (("none", 0.5), ("unet-only", 0.5))),
    Variant("then separately: encoder, UNet", (("none", 0.5), ("encoder-only", 0.25), ("unet-only", 0.25))),
    Variant("spatial attention", attention="spatial"),
)


def main() -> None:
    """Train and measure all variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--cache", type=Path, required=True, help="folder for degraded crops")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for variant in VARIANTS:
        for seed in range(options.seeds):
            folder = options.output / "".join(c if c.isalnum() else "-" for c in variant.name) / str(seed)
            done = folder / "row.json"
            if not done.exists():
                folder.mkdir(parents=True, exist_ok=True)
                done.write_text(json.dumps(run_variant(variant, seed, options, folder)))
            rows.append(json.loads(done.read_text()))
            print(json.dumps(rows[-1]), flush=True)
    write(rows, options)


def run_variant(variant: Variant, seed: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train one variant, part after part, and measure it."""
    started = time.monotonic()
    spec = ModelSpec(preset="nano", attention=variant.attention, dtype="float32", device="cpu")
    init, network = None, spec.network()
    for number, (ablation, share) in enumerate(variant.parts):
        steps = round(options.steps * share)
        recipe = replace(
            joint_stage(1), minutes=0.0, steps=steps, warmup_steps=steps // 20, late_from=1.0, ema_decay=0.98
        )
        network, stage = ablate(ablation, spec.network(), replace(recipe, seed=seed, save_every=10 * steps))
        data = _data(options.cache, options.shards)
        init = TrainingJob(
            spec=spec, network=network, stage=stage, data=data, output=folder / str(number), init=init
        ).run()
    assert init is not None
    row: dict[str, Any] = {"variant": variant.name, "seed": seed, "training_s": round(time.monotonic() - started, 1)}
    for degradation in ("level-II", "archive"):
        row[degradation] = measure(_restorer(network, init), degradation, options.images)
    return row


def _data(cache: Path, shards: int) -> DataConfig:
    return DataConfig(
        hq=(str(PHOTOS / "train"),),
        crop=128,
        degradations=JOINT_DEGRADATIONS,
        shrink=2.0,
        leave_out=str(SHIPPED / "nano" / "held-out-photographs.txt"),
        cache=str(cache),
        shards=shards,
        part=64,
    )


def _restorer(network: NetworkConfig, weights: Path) -> Restorer:
    """A replica of an ablated network."""
    unet = assemble_unet(network)
    load_published(unet, read_tensors(weights), source=str(weights), dtype=torch.float32)
    return Restorer(
        config=network,
        unet=unet.eval().requires_grad_(False),
        vae=build_vae(network),
        prompt_encoder=None,
        options=DEFAULTS["nano"],
        device=torch.device("cpu"),
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
    """The table as JSON and Markdown: means over the seeds, and how far apart these are."""
    about = {
        "command": f"python tests/benchmarks/ablations.py --steps {options.steps} --shards {options.shards} "
        f"--seeds {options.seeds} --images {options.images}",
        "parameters": sum(p.numel() for p in assemble_unet(PRESETS["nano"]).parameters()),
        **machine_facts(),
    }
    (RESULTS / "ablations-nano.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    lines = []
    for degradation in ("level-II", "archive"):
        table = []
        for variant in VARIANTS:
            own = [row[degradation] for row in rows if row["variant"] == variant.name]
            values = {name: float(np.mean([row[name] for row in own])) for name in MEASURES}
            spread = np.ptp([row["PSNR-Y"] for row in own])
            table.append({"variant": variant.name, **values, "PSNR-Y apart": float(spread)})
        lines += [f"{degradation}:", "", text_table(table, ["variant", *MEASURES, "PSNR-Y apart"]), ""]
    (RESULTS / "ablations-nano.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
