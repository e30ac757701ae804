"""Prompts through SDXL's two CLIP text encoders."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor

from faithdiff_model.options import EmptyNegative

if TYPE_CHECKING:  # takes seconds to import, and only a network that reads text needs it
    from transformers import CLIPTokenizer

_CACHE_SIZE = 256  # prompts; most of a night's photographs share the empty one


@dataclass(frozen=True)
class TextEmbedding:
    """text: [L, C] of both encoders joined on channels; pooled: [C] of the second."""

    text: Tensor
    pooled: Tensor

    def equals(self, other: TextEmbedding) -> bool:
        """Whether all values are the same. Waits for the device, unless both are one object."""
        return self is other or (torch.equal(self.text, other.text) and torch.equal(self.pooled, other.pooled))


class PromptEncoder:
    """Prompt -> embeddings, as SDXL makes them: the penultimate hidden states of both encoders, and the pooled projection.

    Args:
        tokenizers: of both encoders.
        encoders: `CLIPTextModel` and `CLIPTextModelWithProjection`.
    """

    def __init__(self, tokenizers: tuple[Any, Any], encoders: tuple[Any, Any]) -> None:
        self.tokenizers = tokenizers
        self.encoders = encoders
        self._cache: OrderedDict[str, TextEmbedding] = OrderedDict()

    def to(self, device: torch.device, dtype: torch.dtype) -> PromptEncoder:
        """Move both encoders."""
        for encoder in self.encoders:
            encoder.to(device=device, dtype=dtype)
        self._cache.clear()
        return self

    def encode(self, prompt: str) -> TextEmbedding:
        """A prompt's embeddings. Text beyond 77 tokens is cut, as the encoders take no more."""
        if prompt in self._cache:
            self._cache.move_to_end(prompt)
            return self._cache[prompt]
        embedding = self._encode(prompt)
        self._cache[prompt] = embedding
        if len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)
        return embedding

    def encode_negative(self, prompt: str, empty: EmptyNegative = "encoded") -> TextEmbedding:
        """A negative prompt's embeddings; for the empty one what `empty` says (`options.RestoreOptions.empty_negative`)."""
        embedding = self.encode(prompt)
        if prompt == "" and empty == "zeros":
            return TextEmbedding(torch.zeros_like(embedding.text), torch.zeros_like(embedding.pooled))
        return embedding

    @torch.inference_mode()
    def _encode(self, prompt: str) -> TextEmbedding:
        # One prompt at a time: its embedding must not depend on what else is encoded, and it is cheap beside the UNet.
        states: list[Tensor] = []
        pooled: Tensor | None = None
        for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True):
            tokens = tokenizer(
                prompt,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            output = encoder(tokens.input_ids.to(encoder.device), output_hidden_states=True)
            states.append(output.hidden_states[-2][0])
            pooled = output[0]
        assert pooled is not None
        assert pooled.ndim == 2, "the second encoder must have a projection"
        return TextEmbedding(torch.cat(states, dim=-1), pooled[0])


_BEGIN, _END = "<|startoftext|>", "<|endoftext|>"

_TOKENS = 77  # CLIP's context length


def byte_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer of single bytes without merges: any text has tokens."""
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), _BEGIN, _END]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=_TOKENS)


def random_prompt_encoder(first: Mapping[str, Any], second: Mapping[str, Any]) -> PromptEncoder:
    """Two random CLIP text encoders; `first` and `second` are keyword arguments of `CLIPTextConfig`."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

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
