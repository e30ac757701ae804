"""The LQ encoder (paper section 3.2): the VAE's encoder, stopped before it squeezes its features into 4 channels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from faithdiff_model.network.config import LQEncoderConfig
from faithdiff_model.network.norms import remove_norms


class LQEncoder(nn.Module):
    """LQ image [B, 3, H, W] in [-1, 1] -> LQ features [B, 512, H/8, W/8].

    The last layer's features keep the detail that the VAE's own latents lose (paper table 6), and unlike the VAE this
    encoder is trained.
    """

    def __init__(self, config: LQEncoderConfig) -> None:
        from diffusers.models.autoencoders.vae import Encoder  # takes seconds to import, and nano has another encoder

        super().__init__()
        encoder = Encoder(
            in_channels=3,
            down_block_types=("DownEncoderBlock2D",) * len(config.block_out_channels),
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            norm_num_groups=config.norm_num_groups or 1,
            mid_block_add_attention=config.mid_attention,
            out_channels=config.last_channels or 3,
            double_z=not config.last_channels,
        )
        if not config.norm_num_groups:
            remove_norms(encoder)
        self.conv_in = encoder.conv_in
        self.down_blocks = encoder.down_blocks
        self.mid_block = encoder.mid_block
        # Set for training: calls a block so that its activations are computed again instead of kept.
        self.checkpoint: Callable[..., Tensor] | None = None
        self.last: nn.Module | None = None
        if config.last_channels:
            self.last = nn.Sequential(encoder.conv_norm_out, encoder.conv_act, encoder.conv_out)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        features = self.conv_in(image_BCHW)
        for block in self.down_blocks:
            features = block(features) if self.checkpoint is None else self.checkpoint(block, features)
        features = self.mid_block(features)
        return features if self.last is None else self.last(features)
