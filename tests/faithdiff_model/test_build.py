"""Loading a whole published model: the real code, on a small model that the test saves in the published layout."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_hub import running_hub

import faithdiff_model.presets
from faithdiff_model.build import build_restorer, load_restorer, random_parts
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.checkpoint import save_published
from faithdiff_model.weights.checkpoint_keys import to_published
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import model_digest

SEED = 5
OPTIONS = RestoreOptions(steps=2)
IMAGE = np.random.default_rng(0).random((40, 48, 3), np.float32)


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset that wants files, at a size that a test can make."""
    monkeypatch.setitem(faithdiff_model.presets.PRESETS, "small", dataclasses.replace(TINY, name="small"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/, vae/ and FaithDiff.bin as their publishers lay them out."""
    folder = tmp_path_factory.mktemp("published")
    unet, vae, prompts = random_parts(TINY, SEED)
    for number, name in enumerate(("", "_2")):
        prompts.tokenizers[number].save_pretrained(folder / "base" / f"tokenizer{name}")
        prompts.encoders[number].save_pretrained(folder / "base" / f"text_encoder{name}")
    vae.save_pretrained(folder / "vae")
    torch.save({to_published(name): value for name, value in unet.state_dict().items()}, folder / "FaithDiff.bin")
    save_published(unet, folder / "FaithDiff.safetensors")
    return folder


def load(folder: Path, weights: str = "FaithDiff.bin", prefix: str = "") -> Restorer:
    return load_restorer(
        f"{prefix}{folder / 'base'}",
        f"{prefix}{folder / 'vae'}",
        f"{prefix}{folder / weights}",
        preset="small",
        options=OPTIONS,
        dtype="float32",  # as the files have them; auto would round
    )


def made() -> Restorer:
    unet, vae, prompts = random_parts(TINY, SEED)
    return Restorer(
        config=TINY,
        unet=unet.eval(),
        vae=vae.eval(),
        prompt_encoder=prompts,
        options=OPTIONS,
        device=torch.device("cpu"),
        digest="",
        trained=False,
    )


@pytest.mark.parametrize("prefix", ["", "file://"])
@pytest.mark.parametrize("weights", ["FaithDiff.bin", "FaithDiff.safetensors"])
def test_what_is_loaded_restores_as_what_was_saved(saved: Path, weights: str, prefix: str) -> None:
    expected = made().restore([IMAGE], ["a barn"], [3])[0]
    result = load(saved, weights, prefix).restore([IMAGE], ["a barn"], [3])[0]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_folder_of_weights_and_a_whole_sdxl_folder_as_vae(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "base", tmp_path / "base")
    shutil.copytree(saved / "vae", tmp_path / "base" / "vae")
    restorer = load_restorer(
        str(tmp_path / "base"),
        str(tmp_path / "base"),
        str(saved),
        preset="small",
        options=OPTIONS,
        dtype="float32",
    )
    np.testing.assert_allclose(
        restorer.restore([IMAGE], [""], [0])[0], made().restore([IMAGE], [""], [0])[0], atol=1e-5
    )


def test_half_precision_files_alone(saved: Path, tmp_path: Path) -> None:
    """Some SDXL repositories carry the text encoders as model.fp16.safetensors only."""
    shutil.copytree(saved, tmp_path / "m")
    for name in ("text_encoder", "text_encoder_2"):
        file = tmp_path / "m" / "base" / name / "model.safetensors"
        file.rename(file.with_name("model.fp16.safetensors"))
    assert load(tmp_path / "m").restore([IMAGE], [""], [0])[0].shape == IMAGE.shape


def test_a_hub_id_is_asked_of_the_hub_once(monkeypatch: pytest.MonkeyPatch, saved: Path, tmp_path: Path) -> None:
    with running_hub(tmp_path / "cache", monkeypatch) as hub:
        hub.commit("o/base", saved / "base")
        hub.commit("o/all", saved)
        restorer = load_restorer("o/base", "o/all", "o/all@main/FaithDiff.bin", preset="small", options=OPTIONS)
        assert restorer.restore([IMAGE], [""], [0])[0].shape == IMAGE.shape
        assert hub.asked["o/all/FaithDiff.bin"] == hub.asked["o/base/text_encoder_2/model.safetensors"] == 1
        assert hub.asked["o/all/FaithDiff.safetensors"] == 0
        assert hub.asked["o/base"] <= 2  # what we ask, and huggingface_hub again


def test_an_unreachable_hub_is_said_in_one_line() -> None:
    with pytest.raises(WeightsError, match="no-such-owner/x") as caught:
        load_restorer("no-such-owner/x", "a/b", "c/d", preset="small")
    assert "\n" not in str(caught.value)
    assert "download it" in str(caught.value)


@pytest.mark.parametrize(
    ("remove", "words"),
    [
        ("base/tokenizer_2", "has no tokenizer_2"),
        ("vae/config.json", "no config.json"),
        ("FaithDiff.bin", "no such folder"),
        ("base/text_encoder/config.json", "has no text_encoder/config.json"),
        ("base/text_encoder_2/model.safetensors", "has no text_encoder_2/model.safetensors"),
        ("vae/diffusion_pytorch_model.safetensors", "has no diffusion_pytorch_model.safetensors"),
    ],
)
def test_what_is_missing_is_named(saved: Path, tmp_path: Path, remove: str, words: str) -> None:
    shutil.copytree(saved, tmp_path / "m")
    gone = tmp_path / "m" / remove
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(WeightsError, match=words) as caught:
        load(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_the_digest_names_the_weights_and_what_they_are_loaded_into(saved: Path, tmp_path: Path) -> None:
    spec = ModelSpec(
        preset="small", base=str(saved / "base"), vae=str(saved / "vae"), faithdiff=str(saved / "FaithDiff.safetensors")
    )
    assert model_digest(spec) == model_digest(spec) == build_restorer(spec, OPTIONS).digest
    changed = tmp_path / "other.safetensors"
    changed.write_bytes((saved / "FaithDiff.safetensors").read_bytes()[:-1] + b"\1")
    others = [
        dataclasses.replace(spec, faithdiff=str(changed)),
        dataclasses.replace(spec, attention="spatial"),
        ModelSpec(preset="tiny"),
        ModelSpec(preset="tiny", attention="spatial"),
    ]
    assert len({model_digest(each) for each in [spec, *others]}) == 5


def test_a_copy_elsewhere_has_the_same_digest(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    specs = [
        ModelSpec(preset="small", base=str(at / "base"), vae=str(at / "vae"), faithdiff=str(at / "FaithDiff.bin"))
        for at in (saved, tmp_path / "copy")
    ]
    assert model_digest(specs[0]) == model_digest(specs[1])


def test_prompts_become_sdxl_embeddings(saved: Path) -> None:
    encoder = load(saved).prompt_encoder
    found = encoder.encode("a barn")
    assert found.text.shape == (77, TINY.unet["cross_attention_dim"])
    assert found.pooled.shape == (24,)
    tokens = [
        t("a barn", padding="max_length", max_length=77, return_tensors="pt").input_ids for t in encoder.tokenizers
    ]
    first = encoder.encoders[0](tokens[0], output_hidden_states=True).hidden_states[-2]
    second = encoder.encoders[1](tokens[1], output_hidden_states=True)
    assert torch.equal(found.text, torch.cat([first, second.hidden_states[-2]], dim=-1)[0])
    assert torch.equal(found.pooled, second.text_embeds[0])
    assert encoder.encode("a " * 500).text.shape == (77, 48)  # longer than the encoders take: cut
    assert not torch.equal(encoder.encode("a house").text, found.text)


@pytest.mark.parametrize("wrong", [{"preset": "big"}, {"dtype": "int8"}])
def test_specs_are_checked(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        ModelSpec(**wrong)


def test_a_gpu_that_is_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="no usable GPU"):
        ModelSpec(preset="tiny", device="cuda").torch_device()
