"""The detector: a photograph in, the mask of its damage and how much there is out.

The mask of a pixel depends on the pixels within `HALO` of it, and on the marks that they are part of: large scans go through
the network in tiles, and come out as they would in one piece but for rounding.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faithdiff_model.damage.infrared import combine, infrared_evidence
from faithdiff_model.damage.marks import select_marks
from faithdiff_model.damage.network import FAMILIES, DamageNetwork, DetectorConfig
from faithdiff_model.damage.prominence import network_input
from faithdiff_model.damage.shipped import SHIPPED
from faithdiff_model.image.resize import to_grey, to_unit_float
from faithdiff_model.weights.half_file import read_half_file, unfit, write_half_file

HALO = 160  # pixels: as far as the network sees, rounded up to its multiple
_CORE = 1024  # pixels a side of what one call decides; a multiple of the network's
# The ways a scan is looked at, by the axes of [C, H, W] that are mirrored: damage is damage from every side, and much of
# what is wrongly taken for it is so from one side alone.
_VIEWS: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (1, 2))


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What counts as damage, as probabilities in 255ths; chosen on photographs that nothing was trained on.

    Attributes:
        sure: some pixel of a mark is at least this likely.
        part: every pixel of a mark is at least this likely.
        smallest: pixels of a mark.
    """

    sure: int = 153
    part: int = 102
    smallest: int = 2


@dataclass(frozen=True)
class Damage:
    """What was found.

    Attributes:
        mask: bool [H, W], True where the photograph is damaged.
        share: of its pixels, 0 to 1.
        marks: separate ones.
        families: share of the pixels by what the marks look like (`FAMILIES`: specks, lines, areas); they sum to `share`.
    """

    mask: np.ndarray
    share: float
    marks: int
    families: dict[str, float]


class DamageDetector:
    """The network with its thresholds.

    Args:
        network: in evaluation mode, on its device.
        thresholds: see `Thresholds`.
    """

    def __init__(self, network: DamageNetwork, thresholds: Thresholds) -> None:
        self.network = network.eval().requires_grad_(False)
        self.thresholds = thresholds

    @classmethod
    def load(cls, path: Path = SHIPPED, device: str = "cpu") -> DamageDetector:
        """Read weights; their numbers are float16 in the file and float32 in the network.

        Raises:
            WeightsError: missing, damaged, or of another network.
        """
        tensors, facts = read_half_file(path)
        try:
            settings = {name: tuple(value) for name, value in json.loads(facts["config"]).items()}
            network = DamageNetwork(DetectorConfig(**settings))
            thresholds = Thresholds(**json.loads(facts["thresholds"]))
            network.load_state_dict(tensors, strict=True)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unfit(path, "a damage detector's; give detector.safetensors", error) from error
        return cls(network.to(device), thresholds)

    def save(self, path: Path) -> None:
        """Write weights as float16, with the network's configuration and the thresholds beside them."""
        facts = {"config": json.dumps(asdict(self.network.config)), "thresholds": json.dumps(asdict(self.thresholds))}
        write_half_file(path, self.network.state_dict(), facts)

    def detect(self, pixels: np.ndarray, *, infrared: np.ndarray | None = None) -> Damage:
        """Find damage.

        Args:
            pixels: uint8, uint16 or float (0 to 1), [H, W], or [H, W, C] with one to four channels: grey, grey and alpha, RGB,
                RGB and alpha. Alpha is ignored.
            infrared: a scanner's infrared channel of the same height and width, uint8, uint16 or float (0 to 1).

        Raises:
            ValueError: another kind or shape of array.
        """
        picture = _as_picture(pixels)
        probability, families = self.probabilities(picture)
        if infrared is not None:
            probability = _with_infrared(probability, picture, _as_plane(infrared, picture.shape[:2]))
        limits = self.thresholds
        mask, marks = select_marks(probability, limits.sure, limits.part, limits.smallest)
        found = np.bincount(families[mask], minlength=len(FAMILIES)) / mask.size
        return Damage(mask, float(mask.mean()), marks, dict(zip(FAMILIES, found.tolist(), strict=True)))

    def probabilities(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How likely each pixel is damaged, in 255ths, and the likeliest family: both uint8 [H, W].

        Both are means over the scan as it is, mirrored, upside down, and both.

        Args:
            picture: uint8, uint16 or float, [H, W, 1] or [H, W, 3].
        """
        height, width = picture.shape[:2]
        probability = np.empty((height, width), np.uint8)
        family = np.empty((height, width), np.uint8)
        for top in range(0, height, _CORE):
            for left in range(0, width, _CORE):
                rows, columns = slice(top, min(top + _CORE, height)), slice(left, min(left + _CORE, width))
                probability[rows, columns], family[rows, columns] = self._tile(picture, rows, columns)
        return probability, family

    @torch.inference_mode()
    def _tile(self, picture: np.ndarray, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """`probabilities` of a rectangle whose first row and column are multiples of the network's, from it and its halo."""
        top, left = max(0, rows.start - HALO), max(0, columns.start - HALO)
        cut = to_unit_float(picture[top : rows.stop + HALO, left : columns.stop + HALO])
        multiple = self.network.config.multiple
        padding = [(0, -side % multiple) for side in cut.shape[:2]]
        padded = np.pad(np.clip(cut, 0, 1), [*padding, (0, 0)], mode="edge")
        seen = network_input(np.broadcast_to(padded, (*padded.shape[:2], 3)))
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        scan = torch.from_numpy(seen).to(self.network.leave.weight.device)
        probability, family = torch.zeros(()), torch.zeros(())
        for mirrored in _VIEWS:
            logits = self.network(scan.flip(mirrored)[None])[0].flip(mirrored)[:, inside[0], inside[1]].float()
            none = -torch.nn.functional.softplus(logits).sum(dim=0)
            probability, family = probability - torch.expm1(none) / len(_VIEWS), family + logits
        levels = torch.round(probability * 255).to(torch.uint8)
        return levels.cpu().numpy(), family.argmax(dim=0).to(torch.uint8).cpu().numpy()


def _with_infrared(probability: np.ndarray, picture: np.ndarray, infrared: np.ndarray) -> np.ndarray:
    """Probabilities, uint8 [H, W], with the infrared channel's evidence, where it has any."""
    seen = to_unit_float(picture)
    luma = (to_grey(seen) if seen.shape[2] == 3 else seen)[..., 0]
    evidence = infrared_evidence(infrared, np.ascontiguousarray(luma))
    if evidence is None:
        return probability
    return np.rint(combine(probability.astype(np.float32) / 255, evidence) * 255).astype(np.uint8)


def _as_picture(pixels: Any) -> np.ndarray:
    """The colour or grey channels [H, W, 1 or 3] of an image, as they are."""
    known = isinstance(pixels, np.ndarray) and (pixels.dtype in (np.uint8, np.uint16) or pixels.dtype.kind == "f")
    if known and pixels.ndim == 2:
        pixels = pixels[..., None]
    if not known or pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        what = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ValueError(f"the photograph is {what}: give uint8, uint16 or float [H, W] or [H, W, C], C from 1 to 4")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError("the photograph has pixels that are not finite: give floats from 0 to 1")
    return pixels[..., : 3 if pixels.shape[2] >= 3 else 1]


def _as_plane(infrared: Any, size: tuple[int, int]) -> np.ndarray:
    """An infrared channel as float32 [H, W] in 0 to 1."""
    plane = _as_picture(infrared)
    if plane.shape != (*size, 1):
        raise ValueError(
            f"the infrared channel is {plane.shape[1]}x{plane.shape[0]} pixels with {plane.shape[2]} channels, the photograph "
            f"{size[1]}x{size[0]}: give one channel of the photograph's size"
        )
    return np.clip(to_unit_float(plane[..., 0]), 0, 1)
