"""What a run leaves in its folder: its configuration, its log, and checkpoints, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.training.config import DataConfig, StageConfig

_PREFIX = "checkpoint-"
_PARTIAL = "partial-"
# A run may be given more time, or other weights of edges and features, when it goes on, and be written or computed otherwise.
_MAY_CHANGE = ("minutes", "gradient_weight", "feature_weight", "write_minutes", "compile")


def claim(output: Path, network: NetworkConfig, stage: StageConfig, data: DataConfig, processes: int) -> None:
    """Write down what runs here; refuse a folder that holds another configuration's run."""
    output.mkdir(parents=True, exist_ok=True)
    how = {name: value for name, value in asdict(stage).items() if name not in _MAY_CHANGE}
    what = {name: value for name, value in asdict(data).items() if name != "pool"}
    written = {"network": network.digest(), "stage": how, "data": what, "processes": processes}
    now = json.dumps(written, indent=2, default=dict)
    record = output / "stage.json"
    if record.exists() and record.read_text() != now:
        before = json.loads(record.read_text())
        different = [key for key, value in json.loads(now).items() if before.get(key) != value]
        raise ValueError(
            f"{output}: holds a run with another {' and '.join(different)}: choose another folder, or delete this one"
        )
    record.write_text(now)


def checkpoints(output: Path) -> list[tuple[int, Path]]:
    """Complete checkpoints as (step, folder), oldest first."""
    found = []
    for folder in output.glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX)
        if folder.is_dir() and number.isdigit():
            found.append((int(number), folder))
    return sorted(found)


def save_checkpoint(accelerator: Any, output: Path, step: int, keep: int) -> None:
    """Save what `accelerator` holds. All processes must call it; a reader never sees an unfinished folder."""
    partial = output / f"{_PARTIAL}{step:07d}"
    if accelerator.is_main_process:
        for left_by_a_crash in output.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left_by_a_crash)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        final = output / f"{_PREFIX}{step:07d}"
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        for _, old in checkpoints(output)[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def load_newest(accelerator: Any, output: Path) -> int:
    """Load the newest checkpoint, if there is one; return its step, or 0."""
    found = checkpoints(output)
    if not found:
        return 0
    step, folder = found[-1]
    accelerator.load_state(str(folder))
    return step


class TrainingLog:
    """`log.jsonl`: a line for each logged step. Opened at a step, it forgets what stood after that step."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [row for row in read_log(path) if row["step"] <= step] if path.exists() else []
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def add(self, row: dict[str, Any]) -> None:
        """Append one line."""
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a line cut off by a crash is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
