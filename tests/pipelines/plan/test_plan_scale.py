"""Planning large archives: seconds, memory that does not grow with the archive, and no request an item."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from synthetic_archive import SyntheticFileSystem, synthetic_archive

from pipelines.plan.plan import make_plan

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "planning.py"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's peak from /proc")
# What a plan may take beyond the program itself: its own batches, and the database's limit with some slack.
_LIMIT_MB = 256
_SLACK_MB = 250


def test_all_done_takes_seconds_and_no_request_an_item(tmp_path: Path) -> None:
    settings = synthetic_archive(tmp_path, 20_000, done=20_000)
    SyntheticFileSystem.read = SyntheticFileSystem.listed = 0
    began = time.monotonic()
    plan = make_plan(settings)
    assert time.monotonic() - began < 30  # 1 s on 2 idle cores
    assert (plan.done, len(plan.pending), len(plan.final_rows)) == (20_000, 0, 0)
    assert SyntheticFileSystem.read == 11  # manifest files of 2000 rows, and whose store this is
    assert SyntheticFileSystem.listed <= 2 * 20 + 16  # folders of 1000 in both stores, and those that are ours


def test_new_and_done_among_each_other(tmp_path: Path) -> None:
    plan = make_plan(synthetic_archive(tmp_path, 12_345, done=3_000))
    assert (plan.done, plan.counts()) == (3_000, {"new": 9_345})
    assert plan.pending[0]["source_path"] == "box 000003/IMG_00003000.jpg"
    assert plan.pending[-1]["output_path"] == "box 000012/IMG_00012344.png"
    assert len({row["item_id"] for row in plan.pending}) == 9_345


def test_settings_changes_read_no_sidecars_either(tmp_path: Path) -> None:
    """The synthetic store refuses to read them; the run that wrote its manifest has come to its end."""
    settings = synthetic_archive(tmp_path, 5_000, done=5_000, seed=1)
    changed = settings.model_copy(update={"seed": 2})
    assert make_plan(changed).counts() == {"seed changed": 5_000}


def measured(case: str, files: int) -> dict[str, Any]:
    """What the benchmark measures of one plan, in a process of its own; it asserts that the plan is right."""
    command = [
        sys.executable,
        str(_BENCHMARK),
        "--one",
        "--cases",
        case,
        "--files",
        str(files),
        "--memory",
        f"{_LIMIT_MB}MB",
    ]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3000)
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


@linux
@pytest.mark.parametrize("case", ["new", "done"])
def test_memory_is_bounded(case: str) -> None:
    """50,000 rows of 17 KB, as they were held once, would be 850 MB."""
    assert measured(case, 50_000)["peak_over_start_mb"] < _LIMIT_MB + _SLACK_MB


@linux
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_is_bounded_for_ten_million() -> None:
    """What is pending lies on disk, 1.5 GB of it, and is mapped."""
    assert measured("new", 10_000_000)["peak_over_start_mb"] < _LIMIT_MB + _SLACK_MB
