"""Planning large archives: seconds, memory that does not grow with the archive, and no request an item."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_archive import SyntheticFileSystem, synthetic_archive

from pipelines.plan import make_plan

# What a plan may take beyond the program itself: its own batches, and the database's limit with some slack.
_LIMIT_MB = 64
_SLACK_MB = 250


def test_all_done_takes_seconds_and_no_request_an_item(tmp_path: Path) -> None:
    settings = synthetic_archive(tmp_path, 20_000, done=20_000)
    SyntheticFileSystem.read = SyntheticFileSystem.listed = 0
    began = time.monotonic()
    plan = make_plan(settings)
    assert time.monotonic() - began < 30  # 1 s on 2 idle cores
    assert (plan.done, len(plan.pending), len(plan.settled)) == (20_000, 0, 0)
    assert SyntheticFileSystem.read == 10  # manifest files of 2000 rows
    assert SyntheticFileSystem.listed <= 2 * 20 + 10  # folders of 1000, in both stores


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


_MEASURE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from synthetic_archive import synthetic_archive
from pipelines.plan import make_plan

def peak():
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

make_plan(synthetic_archive(Path({folder!r}) / "small", 10), memory="{limit}MB")
before = peak()
plan = make_plan(synthetic_archive(Path({folder!r}) / "large", {files}, done={done}), memory="{limit}MB")
print(plan.done, len(plan.pending), peak() - before)
"""


def measured(folder: Path, *, files: int, done: int) -> tuple[int, int, int]:
    """Done, pending, and MB that planning took, in a process of its own."""
    code = _MEASURE.format(
        tests=str(Path(__file__).parents[1]), folder=str(folder), limit=_LIMIT_MB, files=files, done=done
    )
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=1800)
    done, pending, megabytes = map(int, finished.stdout.split())
    return done, pending, megabytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's peak from /proc")
def test_memory_is_bounded(tmp_path: Path) -> None:
    """100,000 rows of 17 KB, as they were held once, would be 1.7 GB."""
    done, pending, megabytes = measured(tmp_path, files=100_000, done=20_000)
    assert (done, pending) == (20_000, 80_000)
    assert megabytes < _LIMIT_MB + _SLACK_MB


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's peak from /proc")
def test_memory_is_bounded_for_ten_million(tmp_path: Path) -> None:
    done, pending, megabytes = measured(tmp_path, files=10_000_000, done=0)
    assert (done, pending) == (0, 10_000_000)
    assert megabytes < 4096
