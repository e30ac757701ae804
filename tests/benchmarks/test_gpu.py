"""The script for the first minutes with a GPU: photographs packed, the training run from end to end on the CPU, the clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import gpu
import numpy as np
import pytest
import torch
from archive_steps import picture, save_photo
from bare_pytorch import bare_environment, run_script
from gpu_network import LIMIT, WIDTHS, load_restorer, network_of, save_half, saved_network
from gpu_pack import pack
from safetensors.torch import load_file, save_file
from ship_nano import check_network

from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.presets import ORIGINS
from faithdiff_model.presets.nano import NANO
from faithdiff_model.weights.checkpoint import save_published


def photographs(folder: Path) -> Path:
    for number in range(3):
        save_photo(folder / f"{number}.png", picture(128, 144, seed=number))
    (folder.parent / "held-out.txt").write_text("1.png\n")
    return folder


def packed(tmp_path: Path, megabytes: float = 1.0) -> Path:
    pack(photographs(tmp_path / "photos"), tmp_path / "pack", megabytes, tmp_path / "held-out.txt")
    return tmp_path / "pack"


@pytest.mark.timeout(600)
def test_it_trains_beside_a_bare_pytorch(tmp_path: Path) -> None:
    """The training's whole run, with everything but the GPU."""
    photos, out = packed(tmp_path), tmp_path / "out"
    small = "--width tiny --batch 4 --crop 64 --pool 16 --workers 1 --write-minutes 0.001 --only train"
    environment = {**bare_environment(tmp_path), "OUT": str(out)}
    done = run_script(f"--photos {photos} --train-minutes 0.1 --minutes 8 {small}", environment)
    told = (out / gpu.OUTPUT).read_text()
    assert done.returncode == 0, done.stderr + told
    rows = [json.loads(line) for line in (out / gpu.RESULTS).read_text().splitlines()]
    assert [row["what"] for row in rows] == ["training begins", "train", "measure", "step"], told
    check_rows(rows, told)
    weights = out / "joint" / "FaithDiff.safetensors"
    assert rows[1]["steps"] == json.loads((out / "joint" / "log.jsonl").read_text().splitlines()[-1])["step"]
    assert saved_network(weights) == network_of(WIDTHS["tiny"])
    assert {tensor.dtype for tensor in load_file(weights).values()} == {torch.float16}
    restored = load_restorer(weights).restore([picture(40, 56)], [""], [0])[0]
    assert restored.shape == (40, 56, 3)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) <= 8  # as many come back from a lent machine
    assert max(path.stat().st_size for path in files) <= LIMIT


def check_rows(rows: list[dict[str, Any]], told: str) -> None:
    begins, trained, measured, *steps = rows
    assert begins["parameters"] == sum(p.numel() for p in assemble_unet(network_of(WIDTHS["tiny"])).parameters())
    assert trained["steps"] >= 1
    assert trained["crops"] >= 16  # what a pool of 16 holds
    assert trained["steps"] < trained["samples"] <= 4 * trained["steps"] + 5
    assert measured["photographs"] == 1
    assert set(measured["means"]) == {
        f"{d} {m}" for d in ("level-II", "archive") for m in ("bicubic", "shipped", "new")
    }
    assert all(5 < row["PSNR-Y"] < 60 for row in measured["means"].values())
    for row in (begins, trained, measured):
        assert {"command", "gpu", "torch", "diffusers", "cores"} <= set(row["machine"])
        assert "--train-minutes 0.1" in row["machine"]["command"]
    assert [(step["name"], step["exit"]) for step in steps] == [("train and measure", 0)], told


def test_a_pack_fits_and_keeps_what_is_measured_whole(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos")
    full = sum(path.stat().st_size for path in packed(tmp_path).rglob("*.*g"))
    facts = json.loads((tmp_path / "pack" / "pack.json").read_text())
    assert (facts["train"], facts["held_out"], facts["scale"], facts["bytes"]) == (2, 1, 1.0, full)
    assert sorted(path.name for path in (tmp_path / "pack" / "train").iterdir()) == ["0.jpg", "2.jpg"]
    whole = cv2.imread(str(folder / "1.png"))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "pack" / "held-out" / "1.png")), whole)
    half = pack(folder, tmp_path / "half", 0.8 * full / 1e6, tmp_path / "held-out.txt")
    assert half["scale"] < 1
    assert 0.5 * full < half["bytes"] <= 0.8 * full
    with pytest.raises(ValueError, match="holds a pack"):
        pack(folder, tmp_path / "half", 1, None)
    with pytest.raises(ValueError, match="do not fit into"):
        pack(folder, tmp_path / "none", 1e-3, None)
    (tmp_path / "held-out.txt").write_text("9.png\n")
    with pytest.raises(ValueError, match=r"9\.png is no photograph of"):
        pack(folder, tmp_path / "unknown", 1, tmp_path / "held-out.txt")


def run_of(tmp_path: Path, minutes: float, *steps: gpu.Step) -> tuple[list[dict[str, Any]], float]:
    run = gpu.Run(tmp_path, minutes, steps)
    run.run()
    return [json.loads(line) for line in (tmp_path / gpu.RESULTS).read_text().splitlines()], run.left


def test_a_step_that_hangs_is_ended_with_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_LEAST_SECONDS", 1)
    pids = tmp_path / "pids"
    hangs = (
        "import os, subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}'); time.sleep(99)"
    )
    rows, left = run_of(tmp_path, 0.5 + 4 / 60, gpu.Step("hangs", ("-c", hangs)), gpu.Step("late", ("-c", "")))
    assert [row.get("exit", "left out") for row in rows] == ["out of time", "left out"]
    assert left > -1  # nearly half a minute before the minutes are over
    for pid in pids.read_text().split():
        status = Path(f"/proc/{pid}/status")
        assert not status.exists() or "Z (zombie)" in status.read_text()


def test_a_step_that_fails_does_not_keep_the_next_from_running(tmp_path: Path) -> None:
    steps = [gpu.Step("fails", ("-c", "raise SystemExit(3)")), gpu.Step("next", ("-c", "print('well')"))]
    rows, _ = run_of(tmp_path, 5, *steps)
    assert [row["exit"] for row in rows] == [3, 0]
    assert "well" in (tmp_path / gpu.OUTPUT).read_text()


def test_the_others_leave_the_training_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_LEAST_TRAINING", 1)
    steps = [gpu.Step("speed", ("-c", "raise SystemExit(1)")), gpu.Step("train and measure", ("-c", ""))]
    run = gpu.Run(tmp_path, 1.0, steps, reserve=20)
    run.run()
    assert [row.get("exit", row.get("left_out")) for row in gpu.rows(tmp_path)] == ["10 s left", 0]
    assert run.failed == []


def test_a_measured_run_is_not_measured_again(tmp_path: Path) -> None:
    gpu.add(tmp_path, {"what": "measure"})
    rows, _ = run_of(tmp_path, 5, gpu.Step("measure again", ("-c", "raise SystemExit(1)")))
    assert [row["what"] for row in rows] == ["measure"]


def test_the_training_leaves_time_to_measure() -> None:
    given = ["--photos", "pack", "--out", "out", "--train-minutes", "6", "--ends-in"]
    assert gpu.training_minutes(gpu.parse([*given, "500"])) == 6
    assert gpu.training_minutes(gpu.parse([*given, "240"])) == pytest.approx(3, abs=0.05)
    assert gpu.training_minutes(gpu.parse([*given, "20"])) > 0


def test_a_file_says_which_network_it_is_of(tmp_path: Path) -> None:
    assert saved_network(Path(ORIGINS["nano"].faithdiff)) == NANO
    large = network_of(WIDTHS["large"])
    unet = assemble_unet(large)
    assert 7.5e6 < sum(p.numel() for p in unet.parameters()) < 8e6
    save_published(unet, tmp_path / "full.safetensors")
    assert save_half(tmp_path / "full.safetensors", large, tmp_path / "half.safetensors") <= LIMIT
    assert saved_network(tmp_path / "half.safetensors") == large
    check_network(Path(ORIGINS["nano"].faithdiff))
    with pytest.raises(SystemExit, match=r"widths=\(128, 160, 192\), blocks=\(5, 2, 2\)"):
        check_network(tmp_path / "half.safetensors")


def test_a_file_that_is_too_large_is_not_kept(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(9 << 20)}, tmp_path / "full.safetensors")
    with pytest.raises(ValueError, match="choose a smaller width"):
        save_half(tmp_path / "full.safetensors", replace(NANO), tmp_path / "half.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["full.safetensors"]
