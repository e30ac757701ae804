"""Prompts are embedded as `diffusers.StableDiffusionXLPipeline` embeds them: prompt, empty prompt, negative, zeros."""

from __future__ import annotations

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

from faithdiff_model.network.text import PromptEncoder, TextEmbedding, random_prompt_encoder
from faithdiff_model.presets.tiny import TINY

LONG = "an old photograph of a mill by a river, " * 10  # beyond 77 tokens: both cut it


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return random_prompt_encoder(*TINY.text_encoders)


@pytest.fixture(scope="module")
def pipeline(encoder: PromptEncoder) -> StableDiffusionXLPipeline:
    """SDXL's own pipeline around the same encoders; what comes after them is not needed."""
    return StableDiffusionXLPipeline(
        vae=None,
        text_encoder=encoder.encoders[0],
        text_encoder_2=encoder.encoders[1],
        tokenizer=encoder.tokenizers[0],
        tokenizer_2=encoder.tokenizers[1],
        unet=None,
        scheduler=EulerDiscreteScheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def of_diffusers(pipeline: StableDiffusionXLPipeline, prompt: str, negative: str | None) -> list[TextEmbedding]:
    """Prompt and negative prompt, embedded by diffusers; None is a negative prompt that was not given."""
    with torch.inference_mode():
        text, negative_text, pooled, negative_pooled = pipeline.encode_prompt(
            prompt, device=torch.device("cpu"), do_classifier_free_guidance=True, negative_prompt=negative
        )
    return [TextEmbedding(text[0], pooled[0]), TextEmbedding(negative_text[0], negative_pooled[0])]


@pytest.mark.parametrize("prompt", ["a barn", "", LONG, "Élan 老照片"])
@pytest.mark.parametrize("negative", ["", "blurred, painted"])
def test_prompts_and_negatives_are_those_of_diffusers(
    encoder: PromptEncoder, pipeline: StableDiffusionXLPipeline, prompt: str, negative: str
) -> None:
    expected = of_diffusers(pipeline, prompt, negative)
    assert encoder.encode(prompt).equals(expected[0])
    assert encoder.encode_negative(negative).equals(expected[1])
    assert expected[0].text.abs().max() > 0
    assert expected[0].pooled.shape == (24,)


def test_zeros_are_what_diffusers_makes_of_none(encoder: PromptEncoder, pipeline: StableDiffusionXLPipeline) -> None:
    zeros = of_diffusers(pipeline, "a barn", None)[1]
    assert encoder.encode_negative("", "zeros").equals(zeros)
    assert zeros.text.abs().max() == zeros.pooled.abs().max() == 0
    assert not encoder.encode_negative("", "encoded").equals(zeros)
    assert encoder.encode_negative("blurred", "zeros").equals(encoder.encode("blurred"))


def test_embeddings_are_alike_only_where_both_parts_are() -> None:
    one, other = torch.ones(3, 4), torch.zeros(4)
    assert TextEmbedding(one, other).equals(TextEmbedding(one.clone(), other.clone()))
    assert not TextEmbedding(one, other).equals(TextEmbedding(one, other + 1))
    assert not TextEmbedding(one, other).equals(TextEmbedding(one + 1, other))
