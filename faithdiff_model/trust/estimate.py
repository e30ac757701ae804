"""What to trust of a result: a band that holds nine of ten pixels, cell by cell, from the scan and the result alone.

The network's scales are turned into bands by split-conformal calibration (`calibrate.py`) on photographs that nothing was
trained on. It speaks for the weights whose errors it was trained on, and for no others: `ErrorEstimator.speaks_for` says so.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faithdiff_model.image.resize import to_unit_float
from faithdiff_model.trust.network import MULTIPLE, ErrorConfig, ErrorNetwork
from faithdiff_model.trust.shipped import CELL, SHIPPED
from faithdiff_model.weights.half_file import read_half_file, unfit, write_half_file

HALO = 128  # pixels around a tile that it is judged with; a multiple of the network's
_CORE = 1024  # pixels a side of what one call judges; a multiple of the network's
_LOWEST, _HIGHEST = -8.0, 0.0  # of the scales' logarithms: less than a tenth of a level of 255, and white


@dataclass(frozen=True)
class Calibration:
    """By what a predicted scale is multiplied to get a band that holds the pixels of `coverage`.

    Attributes:
        scales: natural logarithms of predicted scales, rising.
        factors: of each; between them they follow straight lines, beyond them they stay.
        coverage: share of the pixels that lie within the band, 0 to 1.
    """

    scales: tuple[float, ...]
    factors: tuple[float, ...]
    coverage: float = 0.9

    def __post_init__(self) -> None:
        if not self.scales or len(self.scales) != len(self.factors) or list(self.scales) != sorted(self.scales):
            raise ValueError(f"scales {self.scales} and factors {self.factors}: give a factor for each rising scale")

    def bands(self, logarithm: np.ndarray) -> np.ndarray:
        """Half widths of the bands as shares of white, of logarithms of scales of any shape."""
        return np.asarray(np.exp(logarithm) * np.interp(logarithm, self.scales, self.factors), np.float32)


class ErrorEstimator:
    """The network with its calibration.

    Args:
        network: on its device; it is put into evaluation mode.
        calibration: see `Calibration`.
        model: digest of the restorer whose errors it predicts.
    """

    def __init__(self, network: ErrorNetwork, calibration: Calibration, model: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.calibration = calibration
        self.model = model

    @classmethod
    def load(cls, path: Path = SHIPPED, device: str | torch.device = "cpu") -> ErrorEstimator:
        """Read weights; their numbers are float16 in the file and float32 in the network.

        Raises:
            WeightsError: missing, damaged, or of another network.
        """
        tensors, facts = read_half_file(path)
        try:
            network = ErrorNetwork(ErrorConfig(**json.loads(facts["config"])))
            network.load_state_dict(tensors, strict=True)
            told = json.loads(facts["calibration"])
            calibration = Calibration(tuple(told["scales"]), tuple(told["factors"]), told["coverage"])
            return cls(network.to(device), calibration, facts["model"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unfit(path, "an error network's", error) from error

    def save(self, path: Path) -> None:
        """Write weights as float16, with configuration, calibration and the restorer's digest beside them."""
        facts = {
            "config": json.dumps(asdict(self.network.config)),
            "calibration": json.dumps(asdict(self.calibration)),
            "model": self.model,
        }
        write_half_file(path, self.network.state_dict(), facts)

    def speaks_for(self, model: str) -> bool:
        """Whether it was trained on the errors of the restorer of this digest."""
        return model == self.model

    def bands(self, scan: np.ndarray, result: np.ndarray) -> np.ndarray:
        """How far pixels may be off.

        Args:
            scan: enlarged to the result's size: uint8, uint16 or float in [0, 1], [H, W, C], C from 1 to 4; alpha is ignored.
            result: what was made of it, of the same height and width, likewise.

        Returns:
            float32 [ceil(H / CELL), ceil(W / CELL)]: of each cell the half width, as a share of white, of the band around the
            result that holds nine of ten pixels of the truth.

        Raises:
            ValueError: of different sizes.
        """
        return self.calibration.bands(self.scales(scan, result))

    def scales(self, scan: np.ndarray, result: np.ndarray) -> np.ndarray:
        """Logarithms of the errors' scales as the network has them; arguments and shape as of `bands`."""
        if scan.shape[:2] != result.shape[:2]:
            raise ValueError(f"a scan of {scan.shape[:2]} and a result of {result.shape[:2]}: give equal sizes")
        height, width = scan.shape[:2]
        found = np.empty((-(-height // CELL), -(-width // CELL)), np.float32)
        for top in range(0, height, _CORE):
            for left in range(0, width, _CORE):
                rows, columns = slice(top, min(top + _CORE, height)), slice(left, min(left + _CORE, width))
                cells = slice(top // CELL, -(-rows.stop // CELL)), slice(left // CELL, -(-columns.stop // CELL))
                found[cells] = self._tile(scan, result, rows, columns)
        return np.clip(found, _LOWEST, _HIGHEST, out=found)

    @torch.inference_mode()
    def _tile(self, scan: np.ndarray, result: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """`scales` of a rectangle whose first row and column are multiples of the network's, from it and its halo."""
        top, left = max(0, rows.start - HALO), max(0, columns.start - HALO)
        area = slice(top, rows.stop + HALO), slice(left, columns.stop + HALO)
        device = self.network.leave.weight.device
        pair = [torch.from_numpy(_planes(image[area])).to(device) for image in (scan, result)]
        logarithm = self.network(*pair)[0].float().cpu().numpy()
        first = (rows.start - top) // CELL, (columns.start - left) // CELL
        count = -(-(rows.stop - rows.start) // CELL), -(-(columns.stop - columns.start) // CELL)
        return np.asarray(logarithm[first[0] : first[0] + count[0], first[1] : first[1] + count[1]])


def _planes(image: np.ndarray) -> np.ndarray:
    """An image as the network takes it, float32 [1, 3, H, W], its sides padded to multiples of the network's."""
    colour: Any = to_unit_float(image[..., :1] if image.shape[2] < 3 else image[..., :3])
    padding = [(0, -side % MULTIPLE) for side in colour.shape[:2]]
    padded = np.pad(np.clip(colour, 0, 1), [*padding, (0, 0)], mode="edge")
    planes = np.broadcast_to(padded, (*padded.shape[:2], 3)).transpose(2, 0, 1)
    return np.ascontiguousarray(planes)[None]
