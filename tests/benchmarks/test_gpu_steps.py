"""The steps that measure on a GPU: a dry run of all on the CPU, what becomes of those that fail, and what is printed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import golden
import gpu
import gpu_golden
import pytest
import torch
from bare_pytorch import bare_environment, run_script
from gpu_measure import random_network, surviving
from gpu_report import line


@pytest.mark.slow  # a process of a step: the test below
def test_dry_run_of_every_measuring_step(tmp_path: Path) -> None:
    """In one process, which has neither Ray, Prefect nor pydantic: everything but the GPU and the compiler."""
    out = tmp_path / "out"
    steps = ",".join(gpu.MEASURING)
    done = run_script(f"--out {out} --step {steps} --ends-in 250", bare_environment(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = gpu.rows(out)
    # What a CPU cannot do is a row that says so.
    assert [(row["way"], row["failed"][:38]) for row in rows if "failed" in row] == [
        ("float8 arithmetic", "ValueError: float8 arithmetic: cpu doe")
    ]
    assert [row["name"] for row in rows if row["what"] == "begins"] == list(gpu.MEASURING)
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault(row["what"], []).append(row)
        assert line(row)
    (found,) = by_kind["golden"]
    assert found["within"] is True
    assert set(found["errors"]) >= {"lq_features", "aligned_features", "noise_pred_pair", "image"}
    assert [(row["way"], row["batch"]) for row in by_kind["speed"]] == [("reference", 1), ("eager", 1), ("eager", 2)]
    assert all(row["finite"] and row["difference"] < 1e-3 for row in by_kind["speed"])
    assert by_kind["matrix"][0]["tflop_s"] > 0
    (large,) = by_kind["large"]
    assert (large["windows"], large["size"]) == (4, 192)
    assert large["s_a_megapixel"] == pytest.approx(large["seconds"] / (192 * 192 / 1e6))
    (profiled,) = by_kind["profile"]
    assert sum(profiled["shares"].values()) == pytest.approx(1)
    assert min(profiled["shares"][part] for part in ("unet", "alignment", "codec")) > 0
    assert len(profiled["longest"]) == 10
    assert [kernel["ms"] for kernel in profiled["longest"]] == sorted(
        (kernel["ms"] for kernel in profiled["longest"]), reverse=True
    )
    modes = ["resident", "model_offload", "group_offload", "resident, float8 storage"]
    assert [row["mode"] for row in by_kind["memory"]] == modes
    assert by_kind["nano"][0]["s_a_megapixel"] > 0
    exact, *approximations, _ = by_kind["approximation"]
    assert exact["difference"] == 0
    # One step has none before it to take features from, and no middle half.
    assert [(row["way"][:8], row["difference"] == 0) for row in approximations] == [
        ("features", True), ("features", True), ("guidance", False),
    ]  # fmt: skip


def test_each_step_is_a_process_and_its_figures_are_printed(tmp_path: Path) -> None:
    done = run_script(f"--out {tmp_path} --only profile", bare_environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [row["what"] for row in gpu.rows(tmp_path)] == ["begins", "profile", "step"]
    assert "idle" in done.stdout
    assert "step profile: exit 0" in done.stdout


def options(*given: str) -> Any:
    return gpu.parse(["--out", "out", *given])


def test_steps_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert options("--only", "speed").only == ["speed"]
    assert options().only == list(gpu.STEPS)
    with pytest.raises(SystemExit):
        options("--only", "speeds")
    assert "no step speeds: choose of golden, speed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        options("--train-minutes", "2")
    assert "no photographs to train on" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="refused where there is no GPU")
def test_the_full_size_network_is_refused_without_a_gpu() -> None:
    with pytest.raises(SystemExit, match="give --network tiny"):
        random_network(options())


def test_a_case_that_fails_is_a_row_and_the_next_goes_on(tmp_path: Path) -> None:
    given = options()
    given.out = tmp_path
    cases = ({"what": "speed", "way": "eager", "batch": batch} for batch in (8, 4))
    for row in cases:
        with surviving(given, row):
            if row["batch"] == 8:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.\nand more")
            row["s_an_image"] = 1.0
    first, second = gpu.rows(tmp_path)
    assert first["failed"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 80.00 GiB."
    assert second == {"what": "speed", "way": "eager", "batch": 4, "s_an_image": 1.0}
    assert line(first).startswith("  speed way eager, batch 8: OutOfMemoryError")


def test_a_network_that_differs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = copy.deepcopy(golden.network())
    wrong.alignment.conv_in.bias += 0.01
    monkeypatch.setattr(golden, "network", lambda: wrong)
    given = options("--device", "cpu", "--network", "tiny")
    given.out = tmp_path
    gpu_golden.run(given)
    (row,) = gpu.rows(tmp_path)
    assert row["within"] is False
    assert row["errors"]["lq_features"] <= golden.SINGLE < row["errors"]["aligned_features"]
    assert "BEYOND tolerance" in line(row)


def test_goals_stand_beside_the_figures_that_they_are_of() -> None:
    row = {
        "what": "speed",
        "network": "sdxl",
        "way": "compiled",
        "batch": 4,
        "dtype": "bfloat16",
        "s_an_image": 0.5,
        "times_faster": 3.0,
        "tflop_s": 590.4,
        "first_call_s": 60.0,
        "peak_gib": 20.0,
        "finite": False,
    }
    told = line(row)
    assert "0.5 s an image (goal 0.60 exact, up to 0.85 is good for bfloat16 without float8)" in told
    assert "3 times the reference's way (goal 4)" in told
    assert told.endswith("peak 20.00 GiB, NOT FINITE")
    assert "goal" not in line({**row, "network": "tiny"})
    assert "798" in line({"what": "matrix", "network": "sdxl", "dtype": "bfloat16", "tflop_s": 1.0})
