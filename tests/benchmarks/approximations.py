"""What approximations change, on the middles of photographs that no network here was trained on.

    python tests/benchmarks/approximations.py ../shared/photos/val
    python tests/benchmarks/approximations.py ../shared/photos/val --first-nano FOLDER

The first measures wider steps between windows, of nano. The second measures reused features, of the first nano, which is the
only network with several steps that has been trained here; README.md says how it comes out of this repository's history.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facts import text_table

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import as_rgb
from faithdiff_model.evaluation.fidelity import psnr_y
from faithdiff_model.evaluation.perceptual import gmsd
from faithdiff_model.image.resize import enlarge
from faithdiff_model.network.config import AlignmentConfig, LQEncoderConfig, NetworkConfig
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.network.vae import build_vae
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.photographs import read_photograph
from faithdiff_model.weights.checkpoint import load_published, read_tensors

DEGRADATIONS = ("level-II", "archive")
STEPS = 20  # as sdxl takes by default
REUSE = (1, 2, 3, 5)
OVERLAPS = (0.5, 0.75, 1.0)
WINDOW = 64  # of nano here, in latent pixels: half its own, as val's photographs have two windows a side at most

# The first nano, a diffusion model of 1.9 M parameters with a VAE (presets/nano.py before "nano, version 2").
FIRST_NANO = NetworkConfig(
    name="first nano",
    unet={
        "sample_size": 64,
        "in_channels": 8,
        "out_channels": 8,
        "down_block_types": ("DownBlock2D", "DownBlock2D", "DownBlock2D"),
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ("UpBlock2D", "UpBlock2D", "UpBlock2D"),
        "block_out_channels": (64, 96, 128),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 32,
    },
    vae={
        "block_out_channels": (16, 32, 64),
        "layers_per_block": 1,
        "latent_channels": 8,
        "norm_num_groups": 0,
        "scaling_factor": 1.875,
        "mid_block_add_attention": False,
        "force_upcast": False,
    },
    noise_schedule={
        "num_train_timesteps": 1000,
        "beta_start": 0.0001,
        "beta_end": 0.0031,
        "beta_schedule": "linear",
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
    },
    lq_encoder=LQEncoderConfig(
        block_out_channels=(16, 32, 64), layers_per_block=1, norm_num_groups=0, mid_attention=False
    ),
    alignment=AlignmentConfig(heads=4),
    starts=("lr",),
)


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Parse, measure, print; returns a row a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--first-nano", type=Path, help="FaithDiff.safetensors and vae/ of the first nano")
    parser.add_argument("--side", type=int, help="of the middle that is measured (default: 256, and 768 for windows)")
    parser.add_argument("--most", type=int, default=100, help="photographs")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.first_nano is None:
        exact, side = build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"]), options.side or 768
        exact.config = replace(exact.config, window=WINDOW)
        ways = {f"window step {overlap}": exact.with_options(overlap=overlap) for overlap in OVERLAPS}
    else:
        exact, side = first_nano(options.first_nano), options.side or 256
        ways = {f"features of every {reuse}. step": exact.with_options(feature_reuse=reuse) for reuse in REUSE}
    files = sorted(file for file in options.photographs.iterdir() if file.suffix in (".png", ".jpg"))[: options.most]
    rows = [row for degradation in DEGRADATIONS for row in compared(ways, degradation, files, side)]
    print(text_table(rows, tuple(rows[0])))
    return rows


def first_nano(folder: Path) -> Restorer:
    """The first nano with `STEPS` steps, nothing of the scan mixed in."""
    from safetensors.torch import load_file

    unet, vae = assemble_unet(FIRST_NANO), build_vae(FIRST_NANO)
    load_published(unet, read_tensors(folder / "FaithDiff.safetensors"), source=str(folder), dtype=torch.float32)
    vae.load_state_dict(load_file(folder / "vae" / "diffusion_pytorch_model.safetensors"))
    for part in (unet, vae):
        torch.nn.Module.to(part, dtype=torch.float32).eval().requires_grad_(False)
    return Restorer(
        config=FIRST_NANO,
        unet=unet,
        vae=vae,
        prompt_encoder=None,
        options=replace(RestoreOptions(), steps=STEPS, guidance_scale=1.0, colour_fix="wavelet"),
        device=torch.device("cpu"),
        digest="first nano",
        trained=True,
    )


def compared(ways: dict[str, Restorer], degradation: str, files: list[Path], side: int) -> list[dict[str, Any]]:
    """A row a way, means over the photographs: against the first way, which is exact, and against the photographs; seconds."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number, file in enumerate(files):
        degraded = degrade(degradation, middle(read_photograph(str(file)), side), number)
        lq, reference = as_rgb(degraded.lq), as_rgb(degraded.hq)
        scan = enlarge(lq, *reference.shape[:2])
        exact: np.ndarray | None = None
        for way, restorer in ways.items():
            started = time.process_time()
            result = restorer.restore([scan], [""], [number])[0]
            seconds = time.process_time() - started
            exact = result if exact is None else exact
            error = np.abs(result - exact)
            found[way].append(
                {
                    "largest": float(error.max()),
                    "root mean square": float(np.sqrt((error**2).mean())),
                    "PSNR-Y": psnr_y(as_rgb(result), reference),
                    "GMSD": gmsd(as_rgb(result), reference),
                    "cpu_s": seconds,
                }
            )
    names = ("largest", "root mean square", "PSNR-Y", "GMSD", "cpu_s")
    return [
        {
            "degradation": degradation,
            "way": way,
            **{name: float(np.mean([row[name] for row in each])) for name in names},
        }
        for way, each in found.items()
    ]


def middle(photograph_HWC: np.ndarray, side: int) -> np.ndarray:
    """The middle of a photograph, sides of at most `side` and a multiple of 8, float32 in [0, 1]."""
    height, width = (min(side, length // 8 * 8) for length in photograph_HWC.shape[:2])
    top, left = (photograph_HWC.shape[0] - height) // 2, (photograph_HWC.shape[1] - width) // 2
    return photograph_HWC[top : top + height, left : left + width].astype(np.float32) / 255


if __name__ == "__main__":
    main()
