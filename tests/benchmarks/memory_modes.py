"""What sdxl takes on a device by placement and image size, counted on the meta device: nothing is loaded or computed.

python tests/benchmarks/memory_modes.py
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from facts import text_table
from networks import build_on, pooled_width
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from faithdiff_model.memory import PLACEMENTS, Weights, needed
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.presets import PRESETS
from faithdiff_model.training.memory import SDXL_TEXT_PARAMETERS

SIDES = (1024, 2048, 4096, 8192)
WINDOWS = 4
_TOKENS = 77
_GIB = 2**30
_WIDTH = 2  # bytes of a number in float16 and bfloat16


class _Fused(TorchFunctionMode):
    """Attention as a GPU's kernels do it, without the weights between all tokens; the meta device has one such kernel."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        if function is functional.scaled_dot_product_attention:
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*arguments[:3])[0]
        return function(*arguments, **(keywords or {}))


class _Live(TorchDispatchMode):
    """Adds up what tensors take from when they are made until the last that refers to them is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._seen = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        result = function(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._made(tensor.untyped_storage())
        return result

    def _made(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._seen:
            self._seen[storage] = True
            self.bytes += storage.nbytes()
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._gone, storage.nbytes())

    def _gone(self, size: int) -> None:
        self.bytes -= size


def peak_numbers(call: Callable[..., Any], *inputs: Tensor) -> int:
    """The most numbers that live at once while `call` runs, its inputs and weights not among them."""
    with torch.inference_mode(), _Fused(), _Live() as live:
        call(*inputs)
    return live.peak // inputs[0].element_size()


def count_activations(config: NetworkConfig) -> tuple[int, int, Weights]:
    """Numbers that live at once in the UNet for a window and its guidance copy, and in the codec for a window; the weights."""
    unet, vae = build_on(config, torch.device("meta"), torch.bfloat16)
    side, scale = config.window, config.pixels_per_latent

    def empty(*shape: int) -> Tensor:
        return torch.empty(*shape, dtype=torch.bfloat16, device="meta")

    text = empty(2, _TOKENS, config.unet["cross_attention_dim"]), empty(2, pooled_width(config)), empty(2, 6)
    aligned = peak_numbers(
        unet.alignment, empty(1, config.latent_channels, side, side), empty(1, config.width, side, side)
    )
    predicted = peak_numbers(unet.predict, empty(2, config.width, side, side), torch.tensor(1), *text)
    image, latent = empty(1, 3, scale * side, scale * side), empty(1, config.latent_channels, side, side)
    codec = (
        peak_numbers(unet.lq_encoder, image),
        peak_numbers(lambda x: vae.encode(x).latent_dist.mode(), image),
        peak_numbers(lambda x: vae.decode(x, return_dict=False)[0], latent),
    )
    return max(aligned, predicted), max(codec), Weights.of(unet, vae, None)


def image_bytes(config: NetworkConfig, side: int) -> int:
    """What a photograph itself takes: each window's LQ embedding, and three copies of its pixels in float32 while the last
    windows are decoded (merged, brought to [0, 1], clamped)."""
    windows = len(config.grid(side, side, 0.5).windows())
    return windows * config.width * config.window**2 * _WIDTH + 3 * side * side * 3 * 4


def main() -> None:
    """Print the table."""
    config = PRESETS["sdxl"]
    unet, codec, counted = count_activations(config)
    print(f"UNet, a window and its guidance copy: {unet:,} numbers; codec, a window: {codec:,}")
    weights = Weights(core=counted.core, text=SDXL_TEXT_PARAMETERS * _WIDTH, rest=counted.rest)
    rows = []
    for stored, bytes_ in (("float16", weights), ("float8", Weights(**{**vars(weights), "core": weights.core // 2}))):
        for placement in PLACEMENTS:
            base = needed(placement, bytes_, config, windows=WINDOWS, width=_WIDTH)
            sizes = {f"{side}x{side}": (base + image_bytes(config, side)) / _GIB for side in SIDES}
            rows.append({"weights": stored, "placement": placement, **sizes})
    print(text_table(rows, ["weights", "placement", *(f"{side}x{side}" for side in SIDES)]))


if __name__ == "__main__":
    main()
