"""The published network: SDXL's UNet and VAE. Widths as in stabilityai/stable-diffusion-xl-base-1.0's configuration files."""

from __future__ import annotations

from faithdiff_model.network.config import NetworkConfig

# Where the weights are looked for unless a setting says otherwise: at a commit, where one is known to be whole.
DEFAULT_BASE = "SG161222/RealVisXL_V4.0"
FIXED_VAE = "madebyollin/sdxl-vae-fp16-fix"  # SDXL's, trained on so that it does not overflow in float16
DEFAULT_VAE = f"{FIXED_VAE}@207b116dae70ace3637169f1ddd2434b91b3a8cd"
DEFAULT_FAITHDIFF = "jychen9811/FaithDiff@36161f73a33efabe8fee5c22115ab1be69b48d11"
FAITHDIFF_FILES = ("FaithDiff.safetensors", "FaithDiff.bin")

SDXL = NetworkConfig(
    name="sdxl",
    unet={
        "sample_size": 128,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 2,
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    vae={
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "scaling_factor": 0.13025,
        "sample_size": 1024,
        "force_upcast": False,
    },
    noise_schedule={
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    },
    host_memory_gib=20.0,  # 3.5 G float32 parameters with text encoders and VAE, and a window's activations
)
