"""CLIP tokenizers and text encoders made from nothing, for presets that carry no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from faithdiff_model.network.text import PromptEncoder

_BEGIN, _END = "<|startoftext|>", "<|endoftext|>"
_TOKENS = 77  # CLIP's context length


def byte_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer of single bytes without merges: any text has tokens."""
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), _BEGIN, _END]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=_TOKENS)


def random_prompt_encoder(first: Mapping[str, Any], second: Mapping[str, Any]) -> PromptEncoder:
    """Two random CLIP text encoders; `first` and `second` are keyword arguments of `CLIPTextConfig`."""
    tokenizers = (byte_tokenizer(), byte_tokenizer())
    shared = {
        "vocab_size": len(tokenizers[0]),
        "max_position_embeddings": _TOKENS,
        "bos_token_id": tokenizers[0].bos_token_id,
        "eos_token_id": tokenizers[0].eos_token_id,
        "pad_token_id": tokenizers[0].pad_token_id,
    }
    encoders = (
        CLIPTextModel(CLIPTextConfig(**shared, **first)).eval(),
        CLIPTextModelWithProjection(CLIPTextConfig(**shared, **second)).eval(),
    )
    return PromptEncoder(tokenizers, encoders)
