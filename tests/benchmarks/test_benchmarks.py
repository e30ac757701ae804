"""The benchmarks run, and both ways of working give the same images."""

from __future__ import annotations

import json
from pathlib import Path

import nano_cpu
import numpy as np
import pytest
import replica
import torch
from archive import make_archive
from facts import text_table
from memory_modes import count_activations, peak_numbers
from networks import NETWORKS, count_cost

from faithdiff_model.memory import RESERVE, needed
from faithdiff_model.network.prompt_attention import MOST_ROWS
from faithdiff_model.options import RestoreOptions


def test_replica_gives_the_reference_s_images_and_keeps_its_figures(tmp_path: Path) -> None:
    arguments = ["--size", "192", "--steps", "2", "--batches", "1,2", "--window-batches", "1,0", "--repeats", "1"]
    kept = replica.main([*arguments, "--out", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["rows"] == kept["rows"]
    assert kept["cost"]["windows"] == 4
    found = [(row["way"], row["batch"], row["windows_a_call"]) for row in kept["rows"]]
    assert found == [("reference", 1, 1), ("eager", 1, 1), ("eager", 1, 4), ("eager", 2, 1), ("eager", 2, 8)]
    for row in kept["rows"]:
        assert row["finite"]
        assert row["s_an_image"] > 0
        assert row["tflop_s_done"] > 0
    assert kept["largest_difference"] <= replica.LIMIT
    machine = json.loads(file.read_text())["machine"]
    assert {"date", "command", "commit", "cpu", "cores", "memory_gib", "gpu", "python", "torch", "ray"} <= set(machine)


@pytest.mark.parametrize("guidance", ["1", "5"])
@pytest.mark.parametrize("seed", [0, 3])
def test_one_window_with_and_without_guidance(tmp_path: Path, guidance: str, seed: int) -> None:
    size = str(64 + 64 * (seed > 0))
    options = ["--size", size, "--steps", "3", "--guidance", guidance, "--batches", "1", "--repeats", "1"]
    assert replica.main([*options, "--out", str(tmp_path)])["largest_difference"] <= replica.LIMIT


def test_published_size_is_what_the_figures_assume() -> None:
    cost = count_cost(NETWORKS["sdxl"], 1024, RestoreOptions())
    assert cost.windows == 1
    assert round(cost.image(20, 2, reference=True)) == 305  # TFLOP an image at 1024x1024, 20 steps, guidance
    assert round(cost.parameters / 1e6, 1) == 2695.9  # UNet, LQ encoder, alignment and VAE


def test_memory_is_what_placements_are_chosen_by() -> None:
    unet, codec, weights = count_activations(NETWORKS["sdxl"])
    window = needed("resident", weights, NETWORKS["sdxl"], windows=100, width=2) - RESERVE - weights.core - weights.rest
    assert window == 2 * (100 * unet + MOST_ROWS * 12_812_800)  # keys and values, counted in test_prompt_attention.py
    alone = needed("group_offload", weights, NETWORKS["sdxl"], windows=1, width=2) - RESERVE - weights.rest
    assert alone == 2 * codec


def test_live_numbers_are_counted_at_their_highest() -> None:
    layer = torch.nn.Linear(8, 16, device="meta")
    # The first is gone when the last is made.
    assert peak_numbers(lambda x: layer(layer(x)[:, :8].contiguous()), torch.empty(4, 8, device="meta")) == 64 + 32
    assert peak_numbers(lambda x: layer(x).sum(), torch.empty(4, 8, device="meta")) == 64 + 1


def test_sdxl_asks_for_random_weights() -> None:
    with pytest.raises(SystemExit):
        replica.main(["--preset", "sdxl", "--dry-run"])


def test_archive_depends_on_its_seed_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_archive(tmp_path / name, 8)
    files = [sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("a", "b")]
    assert len(files[0]) == 8
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_table() -> None:
    table = text_table([{"a": 1, "b": 0.123456}, {"a": 2, "b": np.pi * 1000}], ["a", "b", "c"])
    assert table.splitlines()[0] == "| a | b      | c |"
    assert table.splitlines()[2:] == ["| 1 | 0.1235 | - |", "| 2 | 3142   | - |"]


def test_a_cpu_computes_nano_alike_in_every_way() -> None:
    rows = nano_cpu.main(["--size", "48", "--ways", "float32,channels-last", "--repeats", "1"])
    assert [row["way"] for row in rows] == ["float32", "channels-last"]
    assert all(row["same_bits"] and row["cpu_s"] > 0 for row in rows)
    assert rows[0]["difference"] == 0 <= rows[1]["difference"] < 1e-4
    with pytest.raises(ValueError, match="choose one of float32, channels-last, bfloat16, compiled"):
        nano_cpu.prepared("int8")


@pytest.mark.ray
@pytest.mark.slow
def test_the_engine_without_a_model_is_measured(tmp_path: Path) -> None:
    import engine

    found = engine.main(["--share", "0.16", "--only", "five turns, 2 replicas", "--out", str(tmp_path)])
    (row,) = found["rows"]
    assert (row["items"], row["model_loads"], row["code"]) == (8, 2, "now")
    assert row["rows_a_second"] > 0 < row["first_s"]
    assert len(list(tmp_path.glob("engine-cpu-*.json"))) == 1
