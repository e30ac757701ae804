"""A LLaVA of a few thousand random parameters, saved as a real one is, so that the real loading code runs."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

WORDS = ["the", "image", "features", "a", "barn", "two", "people", "near", "bridge", ".", "sepia", "old", "with", "sky"]
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]


def save_tiny_llava(folder: Path, seed: int = 0, *, scale: float = 1.0) -> Path:
    """Make and save one. `scale` multiplies its output layer: larger is surer of its words."""
    vocabulary = {word: number for number, word in enumerate(SPECIAL + list(dict.fromkeys(WORDS)))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )
    image_token = vocabulary["<image>"]
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            bos_token_id=vocabulary["<s>"],
            eos_token_id=vocabulary["</s>"],
            pad_token_id=vocabulary["<pad>"],
        ),
        image_token_index=image_token,
        vision_feature_layer=-1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
        with torch.no_grad():
            # Untrained layers hardly tell pictures apart: make what the picture says loud.
            for parameter in model.parameters():
                parameter.mul_(4.0)
            model.lm_head.weight.mul_(scale)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    model.generation_config.pad_token_id = vocabulary["<pad>"]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
