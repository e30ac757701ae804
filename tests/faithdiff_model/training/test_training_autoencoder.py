"""A small VAE from nothing: what is written, and that it learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from latent_network import LATENT
from safetensors.torch import load_file
from training_runs import moved, small_data, snapshot

from faithdiff_model.network.config import LQEncoderConfig
from faithdiff_model.network.vae import build_vae, load_vae
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training.autoencoder import AutoencoderConfig, _orthogonal_start, train_autoencoder
from faithdiff_model.weights.download import WeightsError

SMALL = replace(
    LATENT,
    vae={**LATENT.vae, "block_out_channels": (8, 16), "latent_channels": 4},
    lq_encoder=LQEncoderConfig(block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=0, mid_attention=False),
)
QUICK = AutoencoderConfig(steps=30, batch=2, warmup_steps=3, log_every=15, ema_decay=0.8)


@pytest.fixture(scope="module")
def trained(hq: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, list[dict[str, Any]]]:
    output = tmp_path_factory.mktemp("vae")
    rows: list[dict[str, Any]] = []
    vae = train_autoencoder(SMALL, small_data(hq, degradations={}), QUICK, output, on_log=rows.append)
    return output, vae, rows


def test_it_learns_and_says_so(trained: tuple[Path, Any, list[dict[str, Any]]]) -> None:
    output, _, rows = trained
    assert [row["step"] for row in rows] == [15, 30]
    assert rows[1]["l1"] < rows[0]["l1"]
    assert rows[1]["psnr"] > rows[0]["psnr"] > 0
    lines = [json.loads(line) for line in (output / "vae-log.jsonl").read_text().splitlines()]
    assert lines[:2] == rows
    assert lines[2]["scaling_factor"] == pytest.approx(1 / rows[1]["latent_std"], rel=0.5)


def test_what_is_written_is_what_was_trained(trained: tuple[Path, Any, list[dict[str, Any]]]) -> None:
    """`vae.safetensors` is exact, to go on from; `vae/` is as a preset loads it."""
    output, vae, _ = trained
    assert moved(snapshot(vae), load_file(output / "vae.safetensors")) == set()
    loaded = load_vae(output / "vae", SMALL, torch.float32)
    for name, tensor in snapshot(vae).items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert not vae.training


def test_training_is_a_function_of_the_seed_and_goes_on_from_weights(
    hq: Path, tmp_path: Path, trained: tuple[Path, Any, list[dict[str, Any]]]
) -> None:
    data, short = small_data(hq, degradations={}), replace(QUICK, steps=2)
    first, again, other = (
        snapshot(train_autoencoder(SMALL, data, replace(short, seed=seed), tmp_path / f"{number}"))
        for number, seed in enumerate((0, 0, 1))
    )
    assert moved(first, again) == set()
    assert moved(first, other)
    rows: list[dict[str, Any]] = []
    train_autoencoder(SMALL, data, short, tmp_path / "on", init=trained[0] / "vae.safetensors", on_log=rows.append)
    assert rows[0]["psnr"] > trained[2][0]["psnr"]


@torch.no_grad()
def test_the_start_passes_a_picture_on() -> None:
    """PyTorch's own start shrinks it to nothing on the way to the latent."""
    torch.manual_seed(0)
    vae = build_vae(LATENT)
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1

    def contrast() -> float:
        first, second = vae.encode(pictures).latent_dist.mode()
        return (first - second).std().item()

    before = contrast()
    _orthogonal_start(vae)
    assert contrast() > 20 * before


def test_weights_to_go_on_from_must_be_this_vaes(
    hq: Path, tmp_path: Path, trained: tuple[Path, Any, list[dict[str, Any]]]
) -> None:
    for network, init, words in (
        (TINY, trained[0] / "vae.safetensors", "belong to another VAE"),
        (SMALL, tmp_path / "none.safetensors", "no such file"),
    ):
        with pytest.raises(WeightsError, match=words) as caught:
            train_autoencoder(network, small_data(hq, degradations={}), QUICK, tmp_path / "x", init=init)
        assert "\n" not in str(caught.value)
