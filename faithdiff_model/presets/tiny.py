"""A FaithDiff of a quarter of a million parameters with random weights, for tests: every code path, no file."""

from __future__ import annotations

from faithdiff_model.network.config import AlignmentConfig, LQEncoderConfig, NetworkConfig
from faithdiff_model.presets.sdxl import SDXL

SEED = 20250611  # the weights are a function of this and torch's generator

TINY = NetworkConfig(
    name="tiny",
    unet={
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "attention_head_dim": (2, 4),
        "cross_attention_dim": 48,
        "transformer_layers_per_block": (1, 1),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 72,  # 24 pooled + 6 time ids of 8
        "norm_num_groups": 8,
    },
    vae={
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "scaling_factor": 0.13025,
        "force_upcast": False,
    },
    noise_schedule=SDXL.noise_schedule,
    lq_encoder=LQEncoderConfig(block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=4),
    alignment=AlignmentConfig(heads=4),
    window=16,
    codec_window=16,
    text_encoders=(
        {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2},
        {
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 24,
        },
    ),
)
