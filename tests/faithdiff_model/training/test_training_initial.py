"""What training starts from: the VAE's encoder, a base model's UNet, an earlier stage, or nothing."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from latent_network import LATENT
from training_runs import SPEC, moved, run_stage, short_stage, small_data, snapshot, tiny_parts

import faithdiff_model.presets
from faithdiff_model.build import random_parts
from faithdiff_model.network.config import AlignmentConfig
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.initial import training_parts
from faithdiff_model.training.loop import WEIGHTS
from faithdiff_model.weights.checkpoint import save_published
from faithdiff_model.weights.download import WeightsError

IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset that wants files, at a size that a test can make."""
    monkeypatch.setitem(faithdiff_model.presets.PRESETS, "small", dataclasses.replace(TINY, name="small"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model as SDXL's publishers lay it out, VAE included."""
    folder = tmp_path_factory.mktemp("base")
    _, vae, prompts = random_parts(TINY, 11)
    assert prompts is not None
    for number, name in enumerate(("", "_2")):
        prompts.tokenizers[number].save_pretrained(folder / f"tokenizer{name}")
        prompts.encoders[number].save_pretrained(folder / f"text_encoder{name}")
    vae.save_pretrained(folder / "vae")
    torch.manual_seed(12)
    UNet2DConditionModel(**TINY.unet).save_pretrained(folder / "unet")
    return folder


def small_spec(folder: Path) -> ModelSpec:
    return ModelSpec(preset="small", base=str(folder), vae=str(folder), device="cpu", dtype="float32")


def penultimate(vae: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """What diffusers' encoder has before its last normalisation and convolution."""
    seen: list[torch.Tensor] = []
    handle = vae.encoder.mid_block.register_forward_hook(lambda *given: seen.append(given[2]))
    vae.encode(image)
    handle.remove()
    return seen[0]


@torch.no_grad()
@pytest.mark.parametrize("preset", ["tiny", "latent"])
def test_the_lq_encoder_begins_as_the_vaes(preset: str) -> None:
    network = {"tiny": TINY, "latent": LATENT}[preset]
    parts = training_parts(ModelSpec(preset="tiny"), network, init=None, seed=0)
    assert torch.equal(parts.unet.lq_encoder(IMAGE), penultimate(parts.vae, IMAGE))


@torch.no_grad()
def test_a_base_model_becomes_core_and_first_convolution(base: Path) -> None:
    """Without an LQ image the network predicts what the base model does."""
    parts = training_parts(small_spec(base), TINY, init=None, seed=0)
    own = UNet2DConditionModel.from_pretrained(base / "unet")
    latent, text, pooled, ids = torch.randn(2, 4, 4, 4), torch.randn(2, 77, 48), torch.randn(2, 24), torch.rand(2, 6)
    expected = own(latent, 500, text, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample
    torch.testing.assert_close(parts.unet(latent, None, 500, text, pooled, ids), expected)
    assert torch.equal(parts.unet.lq_encoder(IMAGE), penultimate(parts.vae, IMAGE))
    assert parts.prompts is not None
    assert parts.prompts.encode("a barn").text.shape == (77, 48)


@torch.no_grad()
def test_a_base_model_in_half_precision_alone(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "b")
    UNet2DConditionModel.from_pretrained(base / "unet", torch_dtype=torch.float16).save_pretrained(
        tmp_path / "b" / "unet", variant="fp16"
    )
    (tmp_path / "b" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    found, whole = (training_parts(small_spec(at), TINY, init=None, seed=0).unet for at in (tmp_path / "b", base))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert {parameter.dtype for parameter in found.parameters()} == {torch.float32}


@pytest.mark.parametrize("width", [{"layers_per_block": 2}, {"in_channels": 9}, {"cross_attention_dim": 32}])
def test_a_base_model_of_another_shape_is_refused(base: Path, tmp_path: Path, width: dict) -> None:
    shutil.copytree(base, tmp_path / "b")
    UNet2DConditionModel(**{**TINY.unet, **width}).save_pretrained(tmp_path / "b" / "unet")
    with pytest.raises(WeightsError, match="its UNet is of another network; give the base model") as caught:
        training_parts(small_spec(tmp_path / "b"), TINY, init=None, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("remove", "words"),
    [
        ("unet", "has no unet/config.json"),
        ("unet/diffusion_pytorch_model.safetensors", "has no unet/diffusion_pytorch_model.safetensors"),
        ("text_encoder", "has no text_encoder"),
        ("vae/diffusion_pytorch_model.safetensors", "VAE .* has no vae/diffusion_pytorch_model.safetensors"),
    ],
)
def test_what_is_missing_from_a_base_model_is_named(base: Path, tmp_path: Path, remove: str, words: str) -> None:
    shutil.copytree(base, tmp_path / "b")
    gone = tmp_path / "b" / remove
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(WeightsError, match=words) as caught:
        training_parts(small_spec(tmp_path / "b"), TINY, init=None, seed=0)
    assert "\n" not in str(caught.value)


def test_what_starts_fresh_is_a_function_of_the_seed() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first, again, other = (snapshot(tiny_parts(seed=seed).unet) for seed in (3, 3, 4))
    assert moved(first, again) == set()
    assert moved(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's own draws go on as they were


def test_an_earlier_stage_goes_on_as_it_ended(hq: Path, tmp_path: Path) -> None:
    written = run_stage(short_stage(steps=2), small_data(hq), tmp_path)
    parts = training_parts(SPEC, TINY, init=tmp_path / WEIGHTS, seed=5)
    assert moved(snapshot(parts.unet), written) == set()


def test_an_earlier_stage_goes_before_the_base_model(base: Path, tmp_path: Path) -> None:
    unet = random_parts(TINY, 21)[0]
    save_published(unet, tmp_path / "first.safetensors")
    parts = training_parts(small_spec(base), TINY, init=tmp_path / "first.safetensors", seed=0)
    assert moved(snapshot(parts.unet), snapshot(unet)) == set()


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    save_published(random_parts(TINY, 21)[0].half(), tmp_path / "half.safetensors")
    parts = training_parts(SPEC, TINY, init=tmp_path / "half.safetensors", seed=0)
    assert {parameter.dtype for parameter in parts.unet.parameters()} == {torch.float32}


def test_what_a_changed_network_adds_starts_fresh(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_published(random_parts(TINY, 21)[0], tmp_path / "two.safetensors")
    network = dataclasses.replace(TINY, alignment=AlignmentConfig(heads=4, layers=3))
    parts = training_parts(SPEC, network, init=tmp_path / "two.safetensors", seed=0)
    fresh = snapshot(tiny_parts(network).unet)
    kept = moved(fresh, snapshot(parts.unet))
    assert not any(name.startswith("alignment.blocks.2") for name in kept)
    assert any(name.startswith("alignment.blocks.1") for name in kept)
    assert "no fitting weights for 12 tensors (alignment.blocks.2" in caplog.text


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_published(random_parts(LATENT, 0)[0], tmp_path / "latent.safetensors")
    with pytest.raises(WeightsError, match="their UNet is of another network"):
        training_parts(SPEC, TINY, init=tmp_path / "latent.safetensors", seed=0)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors: no such file"):
        training_parts(SPEC, TINY, init=tmp_path / "none.safetensors", seed=0)
