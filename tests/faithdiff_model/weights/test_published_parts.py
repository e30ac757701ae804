"""Text encoders and VAE from folders as their publishers lay them out: whole and fit for the arithmetic, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_model import TEXT, VAE, add_preset, change_config, change_tensors, publish, spec

from faithdiff_model.build import build_restorer, load_prompts
from faithdiff_model.network.vae import load_vae
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import check_vae_dtype, model_digest


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    add_preset(monkeypatch)
    return publish(tmp_path)


@pytest.mark.parametrize("declared", [True, None])
def test_a_vae_that_overflows_in_float16_is_refused_with_the_fix(published: Path, declared: bool | None) -> None:
    """SDXL's own has force_upcast true; without the key it counts as true, as in diffusers."""
    change_config(published / "vae/config.json", force_upcast=declared)
    for refused in (
        lambda: model_digest(spec(published, dtype="float16")),
        lambda: build_restorer(spec(published, dtype="float16"), RestoreOptions()),
        lambda: check_vae_dtype(spec(published), "float16"),
    ):
        with pytest.raises(WeightsError, match="overflows in float16") as caught:
            refused()
        text = str(caught.value)
        assert "madebyollin/sdxl-vae-fp16-fix, or choose dtype bfloat16 or float32" in text
        assert "\n" not in text
    for dtype in ("bfloat16", "float32"):
        assert build_restorer(spec(published, dtype=dtype), RestoreOptions()).vae.dtype is getattr(torch, dtype)


def test_the_published_fix_is_taken_in_float16(published: Path) -> None:
    change_config(published / "vae/config.json", force_upcast=False)
    check_vae_dtype(spec(published), "float16")
    assert build_restorer(spec(published, dtype="float16"), RestoreOptions()).vae.dtype is torch.float16


def test_a_vae_of_another_family_is_refused(published: Path) -> None:
    change_config(
        published / "vae/config.json", scaling_factor=0.18215
    )  # Stable Diffusion 1.5: equal shapes, other latents
    with pytest.raises(WeightsError, match=r"its scaling_factor is 0.18215 and the network's 0.13025"):
        build_restorer(spec(published), RestoreOptions())


@pytest.mark.parametrize("file", [VAE, TEXT])
def test_a_missing_tensor_stops_and_is_not_made_up(published: Path, file: str) -> None:
    gone: list[str] = []

    def drop(tensors: dict[str, torch.Tensor]) -> None:
        gone.append(sorted(tensors)[3])
        del tensors[gone[0]]

    change_tensors(published / file, drop)
    with pytest.raises(WeightsError, match=r"1 missing \(") as caught:
        build_restorer(spec(published), RestoreOptions())
    assert gone[0].removeprefix("text_model.") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misshapen_tensor_of_a_text_encoder_is_named(published: Path) -> None:
    change_tensors(published / TEXT, lambda tensors: tensors.update({sorted(tensors)[3]: torch.ones(2, 2)}))
    with pytest.raises(WeightsError, match=r"1 misshapen \(.* is \[2, 2\], expected \["):
        load_prompts(spec(published), torch.float32)


def test_position_ids_and_the_like_change_nothing(published: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = load_prompts(spec(published), torch.float32).encode("a barn").text
    change_tensors(published / TEXT, lambda tensors: tensors.update(logit_scale=torch.ones(1)))
    change_tensors(published / VAE, lambda tensors: tensors.update({"ema.decay": torch.ones(1)}))
    assert torch.equal(load_prompts(spec(published), torch.float32).encode("a barn").text, before)
    load_vae(published / "vae", TINY, torch.float32)
    assert "logit_scale" in caplog.text
    assert "ema.decay" in caplog.text
