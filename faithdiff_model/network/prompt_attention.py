"""Attention from pixels to the prompt, whose keys and values can be made once and used at every step.

Nothing that a step changes reaches a prompt's keys and values: they are products of its text with fixed weights. SDXL's UNet
makes them anew in 70 layers at each step. `PromptAttention` takes the text and does likewise, or takes `PromptKeys` in its
place, which diffusers hands on to every layer without looking at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:  # takes seconds to import, and nano has a UNet of its own
    from diffusers.models.attention_processor import Attention

__all__ = [
    "MOST_ROWS",
    "PromptAttention",
    "PromptKeys",
    "cross_attention_layers",
    "keys_and_values",
    "set_prompt_attention",
]

# Rows of UNet calls of which keys and values are kept at once: of sdxl 0.38 GiB in float16. A photograph's calls of 4, 2 and 1
# windows with their guidance copies are 14.
MOST_ROWS = 16


class PromptKeys(NamedTuple):
    """A prompt as the core's layers see it, in the text's place.

    Attributes:
        made: of each layer, in the core's order, keys and values [B, L, C].
    """

    made: tuple[tuple[Tensor, Tensor], ...]


class PromptAttention:
    """The processor of one cross-attention layer: diffusers' own arithmetic, for a text or for its keys and values.

    Args:
        number: of the layer, in the core's order.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | PromptKeys,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Pixels [B, N, C] and a prompt, [B, L, C] or its keys and values, -> [B, N, C]."""
        assert attention_mask is None, "the prompt's tokens are never masked"
        if isinstance(encoder_hidden_states, PromptKeys):
            key, value = encoder_hidden_states.made[self.number]
        else:
            key, value = _project(attn, encoder_hidden_states)
        heads = (
            part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in (attn.to_q(hidden_states), key, value)
        )
        attended = functional.scaled_dot_product_attention(*heads)
        return attn.to_out[0](attended.transpose(1, 2).flatten(2))


def cross_attention_layers(core: nn.Module) -> list[Attention]:
    """The core's attention from pixels to the prompt's tokens, in its order; none where a network takes no text."""
    return [
        layer
        for name, layer in core.named_modules()
        if name.endswith("attn2") and getattr(layer, "is_cross_attention", False)
    ]


def set_prompt_attention(core: nn.Module) -> None:
    """Let the core's cross-attention take keys and values that were made before, in place; nothing else changes."""
    for number, layer in enumerate(cross_attention_layers(core)):
        layer.set_processor(PromptAttention(number))


def keys_and_values(core: nn.Module, text_BLC: Tensor) -> PromptKeys:
    """A text's keys and values in each layer. The core is on the text's device.

    They have the bits that the layers would make, which depend on how many rows a product has: give the rows of a whole call.
    """
    return PromptKeys(tuple(_project(layer, text_BLC) for layer in cross_attention_layers(core)))


def _project(attn: Any, text_BLC: Tensor) -> tuple[Tensor, Tensor]:
    if attn.fused_projections:
        key, value = attn.to_kv(text_BLC).chunk(2, dim=-1)
        return key, value
    return attn.to_k(text_BLC), attn.to_v(text_BLC)
