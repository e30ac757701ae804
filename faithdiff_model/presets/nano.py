"""Our own small FaithDiff: the same parts at widths that a laptop's CPU carries, trained by our recipe and shipped.

Where it differs from SDXL's configuration, it is for its size. A VAE of this size would lose more than it restores, so the
codec is a lossless transform. It restores in one step from the scan's own latents, without noise: it was trained at that one
timestep, and what it predicts is added to the scan. It has no normalisation, ReLU, and no text input, since its training
photographs have no captions. The model card beside the weights has the reasons in figures.
"""

from __future__ import annotations

from faithdiff_model.network.config import AlignmentConfig, CoefficientConfig, NetworkConfig

# Standard deviations of a 4x4 block's coefficients over the training photographs in [-1, 1], the mean of the three channels.
_DEVIATIONS = (
    *(2.12, 0.358, 0.189, 0.118),
    *(0.358, 0.189, 0.123, 0.0835),
    *(0.189, 0.123, 0.089, 0.0651),
    *(0.118, 0.0835, 0.0651, 0.05),
)

NANO = NetworkConfig(
    name="nano",
    noise_schedule={"num_train_timesteps": 1000, "prediction_type": "change"},
    alignment=AlignmentConfig(layers=1, heads=4),
    window=128,
    codec_window=128,
    host_memory_gib=1.0,
    starts=("lr",),
    coefficients=CoefficientConfig(deviations=3 * _DEVIATIONS),
)
