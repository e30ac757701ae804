"""What Ray's workers do otherwise in `engine.py`: a replica is a wait that is noted in a file a process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


class Waiting:
    """Stands for a restorer: gives back what it is given, after a while.

    Args:
        log: folder for the times of this process.
        seconds: a photograph.
    """

    trained, digest, parts = True, "", None
    options = SimpleNamespace(window_batch=1)
    config = SimpleNamespace(pixels_per_latent=4)

    def __init__(self, log: Path, seconds: float) -> None:
        self.log, self.seconds = log / f"{os.getpid()}-{time.time():.3f}", seconds
        self.log.touch()

    def restore(self, images: Sequence[np.ndarray], *_: Any, **__: Any) -> list[np.ndarray]:
        """The images in [0, 1]."""
        began = time.time()
        time.sleep(self.seconds * len(images))
        with self.log.open("a") as file:
            file.write(f"{began} {time.time()}\n")
        return [np.ascontiguousarray(image, np.float32) / np.iinfo(image.dtype).max for image in images]


def install() -> None:
    """Run by Ray in each new worker process."""
    wanted = json.loads(os.environ["ENGINE_HOOK"])
    from pipelines.stages import replica, restore

    def load(*_: Any) -> Any:
        return replica.Replica(Waiting(Path(wanted["log"]), wanted["seconds"]), "cpu", "cpu", 1)  # type: ignore[arg-type]

    replica.load_replica = load
    if hasattr(restore, "load_replica"):  # before replicas were shared by stages
        restore.load_replica = load
