"""Our own small FaithDiff: the same design at widths that a laptop's CPU carries, trained by our recipe and shipped.

Where it differs from SDXL's configuration, it is for its size: 4 image pixels a latent pixel instead of 8 and 8 latent
channels, so that the VAE loses little; no text input, since its training photographs have no captions; and a noise
schedule that ends at a signal-to-noise ratio of a quarter instead of near nothing: a restoration starts from the noised
scan, so the network need not learn to make pictures out of pure noise. It predicts the velocity, which asks less exactness
of it than the noise does where there is much. The model card beside the weights has the reasons in figures.
"""

from __future__ import annotations

from faithdiff_model.network.config import AlignmentConfig, LQEncoderConfig, NetworkConfig

NANO = NetworkConfig(
    name="nano",
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
    window=128,
    codec_window=128,
    host_memory_gib=1.0,
    starts=("lr",),
)
