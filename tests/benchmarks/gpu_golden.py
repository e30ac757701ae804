"""Step 1 of `gpu.py`: the reference's own numbers, from the device that is measured (tests/data/README.md)."""

from __future__ import annotations

import argparse
import copy
from typing import Any

import golden  # of tests/support, which `gpu.py` puts into the path
import numpy as np
import torch
from gpu_measure import device_of, exact_float32, name, surviving
from torch import Tensor

from faithdiff_model.options import RestoreOptions
from faithdiff_model.restorer import Restorer

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_TIMESTEP = 501
_STEPS = 4


def run(options: argparse.Namespace) -> None:
    """A row a dtype: the largest absolute error of each part; in float32 whether all are within tolerance.

    A CPU is asked for float32 alone: it takes minutes for the full-size LQ encoder in half precision.
    """
    device = device_of(options)
    exact_float32()
    for dtype in DTYPES if device.type == "cuda" else DTYPES[:1]:
        row: dict[str, Any] = {"what": "golden", "dtype": name(dtype)}
        with surviving(options, row), torch.inference_mode():
            network = copy.deepcopy(golden.network()).to(device=device, dtype=dtype)
            errors = {**_parts(network, device, dtype), "image": _image(network, device, dtype)}
            row["errors"] = errors
            row["within"] = None
            if dtype is torch.float32:
                limits = {part: golden.LOOP if part == "image" else golden.SINGLE for part in errors}
                row["within"] = all(error <= limits[part] for part, error in errors.items())


def _parts(network: Any, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Errors of single forwards."""
    found = {key: value.to(device, dtype) for key, value in golden.tensors("unet_tiny").items()}
    text = found["text"], found["pooled"], found["time_ids"]
    ours = {
        "lq_features": network.lq_encoder(found["lq_image"]),
        "condition_embedding": network.alignment.lq_embedding(found["lq_features"]).expand(2, -1, -1, -1),
        "aligned_features": network.alignment(found["sample"], found["condition_embedding"], pair=2),
        "noise_pred_pair": network(found["sample"], found["condition_embedding"], _TIMESTEP, *text, pair=2),
    }
    reference = golden.tensors("unet_tiny")
    return {part: _error(value, reference[part]) for part, value in ours.items()}


def _image(network: Any, device: torch.device, dtype: torch.dtype) -> float:
    """Error of a whole restoration of 192x160 pixels in four steps, of white."""
    found = golden.tensors("restore_tiny")
    texts = golden.ReferenceText({key: value.to(device, dtype) for key, value in found.items()})
    restorer = Restorer(
        config=golden.network_config(),
        unet=network,
        vae=torch.nn.Module.to(copy.deepcopy(golden.vae()), device=device, dtype=dtype),
        prompt_encoder=texts,  # type: ignore[arg-type]
        options=RestoreOptions(steps=_STEPS, colour_fix="none", window_batch=2),
        device=device,
        digest="golden",
        trained=False,
    )
    image = found["image"].numpy().astype(np.float32) / 255
    (result,) = restorer.restore([image], [""], [0], noises=[found["noise"][0].numpy()])
    return _error(torch.from_numpy(result), found["image_euler_lr_cfg5"][0])


def _error(ours: Tensor, reference: Tensor) -> float:
    assert ours.shape == reference.shape
    return float((ours.float().cpu() - reference).abs().max())
