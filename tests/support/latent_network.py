"""A small FaithDiff in the latents of a VAE without normalisation, for the stages vae, prior, 1 and 2."""

from __future__ import annotations

from faithdiff_model.network.config import AlignmentConfig, LQEncoderConfig, NetworkConfig

LATENT = NetworkConfig(
    name="latent",
    unet={
        "sample_size": 64,
        "in_channels": 8,
        "out_channels": 8,
        "down_block_types": ("DownBlock2D", "DownBlock2D", "DownBlock2D"),
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ("UpBlock2D", "UpBlock2D", "UpBlock2D"),
        "block_out_channels": (64, 96, 128),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_head_dim": 32,
    },
    vae={
        "block_out_channels": (16, 32, 64),
        "layers_per_block": 1,
        "latent_channels": 8,
        "norm_num_groups": 0,
        "scaling_factor": 1.875,
        "mid_block_add_attention": False,
        "force_upcast": False,
    },
    noise_schedule={
        "num_train_timesteps": 1000,
        "beta_start": 0.0001,
        "beta_end": 0.0031,
        "beta_schedule": "linear",
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
    },
    lq_encoder=LQEncoderConfig(
        block_out_channels=(16, 32, 64), layers_per_block=1, norm_num_groups=0, mid_attention=False
    ),
    alignment=AlignmentConfig(heads=4),
    starts=("lr",),
)
