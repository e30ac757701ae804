"""The codec loses nothing, is orthonormal before whitening, and is asked like diffusers' VAE."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from faithdiff_model.network.dct_codec import DCTCodec, block_basis, cosine_matrix
from faithdiff_model.network.vae import build_vae
from faithdiff_model.presets.nano import NANO

PLAIN = DCTCodec(4, (1.0,) * 48)


@pytest.mark.parametrize("side", [2, 4, 8])
def test_the_basis_is_orthonormal(side: int) -> None:
    for rows in (cosine_matrix(side), block_basis(side)):
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows), dtype=torch.float64))


def test_a_blocks_coefficients_are_opencvs() -> None:
    block = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    image = torch.from_numpy(np.stack([block, 2 * block, -block]))[None]
    latent = PLAIN.encode(image).latent_dist.mode()[0, :, 0, 0].reshape(3, 4, 4).numpy()
    for channel, factor in enumerate((1, 2, -1)):
        np.testing.assert_allclose(latent[channel], factor * cv2.dct(block), atol=1e-5)


def test_decoding_gives_the_image_back() -> None:
    codec = build_vae(NANO)
    image = torch.rand(2, 3, 36, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latent = codec.encode(image).latent_dist.mode()
    assert latent.shape == (2, 48, 9, 16)
    assert latent.shape[1] == codec.config.latent_channels
    torch.testing.assert_close(codec.decode(latent, return_dict=False)[0], image, rtol=0, atol=2e-6)


def test_energy_is_kept_before_whitening() -> None:
    image = torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(PLAIN.encode(image).mode().square().sum(), image.square().sum())


def test_whitening_divides_each_coefficient() -> None:
    deviations = tuple(float(number) for number in range(1, 49))
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    whitened = DCTCodec(4, deviations).encode(image).mode()
    expected = PLAIN.encode(image).mode() / torch.tensor(deviations).view(1, 48, 1, 1)
    torch.testing.assert_close(whitened, expected)


def test_it_has_no_weights_and_is_real_where_networks_are_not() -> None:
    with torch.device("meta"):
        codec = build_vae(NANO)
    assert not list(codec.parameters())
    assert not codec.state_dict()
    assert codec.encode(torch.zeros(1, 3, 4, 4)).mode().device.type == "cpu"


@pytest.mark.parametrize("deviations", [(1.0,) * 47, (1.0,) * 47 + (0.0,)])
def test_deviations_are_checked(deviations: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="give 48 above 0"):
        DCTCodec(4, deviations)
