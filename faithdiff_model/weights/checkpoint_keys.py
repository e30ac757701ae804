"""The published checkpoint's names and ours, in one reversible table.

The published file holds every tensor of the fine-tuned network under flat names; ours live in three modules. The table maps
prefixes; a name without its own entry belongs to the UNet core. Saving writes the published names.
"""

from __future__ import annotations

__all__ = ["to_ours", "to_published"]

# published -> ours. The misspelt name is the published key; it stands here and nowhere else.
PREFIXES: tuple[tuple[str, str], ...] = (
    ("denoise_encoder.", "lq_encoder."),
    ("condition_embedding.", "alignment.lq_embedding."),
    ("conv_in.", "alignment.conv_in."),
    ("spatial_ch_projs.", "alignment.proj_out."),
    ("information_transformer_layes.", "alignment.blocks."),
    ("output_head.", "head."),  # ours alone
    ("", "core."),
)

# Inside a transformer block: published -> ours.
BLOCK_PARTS: tuple[tuple[str, str], ...] = (
    (".attn.in_proj_weight", ".qkv.weight"),
    (".attn.in_proj_bias", ".qkv.bias"),
    (".attn.out_proj.", ".attention_out."),
    (".ln_1.", ".norm_attention."),
    (".ln_2.", ".norm_mlp."),
    (".mlp.c_fc.", ".mlp_in."),
    (".mlp.c_proj.", ".mlp_out."),
)

_BLOCKS = "alignment.blocks."


def to_ours(published: str) -> str:
    """A published tensor name -> the name in `FaithDiffUNet.state_dict()`."""
    prefix, replacement = next(pair for pair in PREFIXES if published.startswith(pair[0]))
    name = replacement + published[len(prefix) :]
    if name.startswith(_BLOCKS):
        for theirs, ours in BLOCK_PARTS:
            name = name.replace(theirs, ours)
    return name


def to_published(ours: str) -> str:
    """A name in `FaithDiffUNet.state_dict()` -> the published tensor name."""
    prefix, replacement = next(pair for pair in PREFIXES if ours.startswith(pair[1]))
    name = prefix + ours[len(replacement) :]
    if ours.startswith(_BLOCKS):
        for theirs, part in BLOCK_PARTS:
            name = name.replace(part, theirs)
    return name
