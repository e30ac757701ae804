"""Find damage in a scan, and fill in what is narrow. Row with pixels in, row with mask and repaired pixels out (1:1).

A scanner's infrared channel, where there is one, is evidence: dust stops infrared light, and the dyes of colour film do not.
Works before captioning and enlarging, so that every network, whatever it was trained on, is given the repaired scan.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from faithdiff_model.damage.fill import fill
from faithdiff_model.damage.shipped import SHIPPED, detector_digest
from faithdiff_model.weights.download import WeightsError
from pipelines.media.photo.mask import write_mask
from pipelines.rows import Row, get_pixels, put_pixels
from pipelines.settings import Settings
from pipelines.stages.extra_channels import infrared_of

if TYPE_CHECKING:
    from faithdiff_model.damage.detect import DamageDetector

__all__ = ["RepairDamage"]


class RepairDamage:
    """The stage, with one detector on a CPU.

    Args:
        settings: whether marks are filled, or found alone.
        digest: of the detector that the run was planned with; empty is not compared.

    Raises:
        WeightsError: this node's detector is missing, or another: nothing must be repaired under the planned one's name.
    """

    name: ClassVar[str] = "repair_damage"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(self, settings: Settings, digest: str = "") -> None:
        found = detector_digest(SHIPPED)
        if digest and found != digest:
            raise WeightsError(
                f"damage detector on {socket.gethostname()}: is {found[:12]}, and the run was planned with {digest[:12]}; "
                "install the same version on all nodes and run again"
            )
        self.fills = settings.repair_damage == "fill"
        self.detector = _load(found)

    def core(self, row: Row) -> Iterator[Row]:
        """Fill in the columns of damage, and the pixels where marks are filled."""
        started = time.monotonic()
        pixels = get_pixels(row)
        with _one_thread():
            found = self.detector.detect(pixels, infrared=infrared_of(row))
        row["damage_share"], row["damage_marks"] = found.share, found.marks
        if found.marks:
            row["damage_mask"] = write_mask(found.mask)
            if self.fills and (filled := fill(pixels, found.mask)) is not pixels:
                put_pixels(row, filled)
        row["seconds_damage"] = time.monotonic() - started
        yield row


@lru_cache(maxsize=1)
def _load(_digest: str) -> DamageDetector:
    """The detector, loaded once a process."""
    # Here, as the driver imports this module too, and has no use for torch.
    from faithdiff_model.damage.detect import DamageDetector

    return DamageDetector.load(SHIPPED)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One CPU thread of torch: sums of several come out otherwise by a last bit, and a task has one CPU."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
