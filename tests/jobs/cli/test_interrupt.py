"""The command line under signals, and when another run holds the output: exit codes, messages, and the way on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from cli_process import FAST, start
from PIL import Image

from pipelines.manifest.reader import current_rows
from pipelines.store.layout import RUNS
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store


def archive(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(count)
    (folder / "scans").mkdir()
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / "scans" / f"{number:04d}.png")
    return folder / "scans"


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.chaos
def test_control_c_drains_and_the_same_command_goes_on(tmp_path: Path) -> None:
    scans, out = archive(tmp_path, 50), tmp_path / "out"
    process = start("restore", scans, out, *FAST, "--steps", "8", "--drain-seconds", "120", "--lease-seconds", "3")
    end = time.monotonic() + 200
    while len(list(out.glob("*.restoration.json"))) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, said + complained
    assert "stopped before the end: interrupted by SIGINT" in said
    assert "left for the next run: the same command continues" in said
    assert "Traceback" not in complained
    rows = current_rows(Store(str(out)))
    assert 3 <= len(rows) < 50
    assert len(list(out.glob("*.restoration.json"))) == len(rows)
    assert len(list(Store(str(out)).list(RUNS))) == 1  # it came to its own end, and says so

    again = start("restore", scans, out, *FAST, "--steps", "8")
    said, complained = again.communicate(timeout=240)
    assert again.returncode == 0, said + complained
    assert f"{50 - len(rows)} restored, 0 failed, {len(rows)} already done" in said


def test_an_output_that_another_run_holds_is_refused_in_one_line(tmp_path: Path) -> None:
    scans, out = archive(tmp_path, 1), tmp_path / "out"
    with hold_lease(Store(str(out)), run_id="theirs", seconds=300):
        process = start("restore", scans, out, *FAST)
        said, complained = process.communicate(timeout=120)
    assert process.returncode == 2, said + complained
    (line,) = [line for line in complained.splitlines() if line.startswith("error:")]
    assert f"output {out}: run theirs on " in line
    assert "--steal-lease" in line
    assert "Traceback" not in complained
    assert not (out / "_faitharchive" / "manifest").exists()
