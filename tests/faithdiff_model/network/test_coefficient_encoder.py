"""The LQ encoder on coefficients: what it sees of the scan and of the damage mask."""

from __future__ import annotations

import pytest
import torch

from faithdiff_model.network.coefficient_encoder import CoefficientEncoder
from faithdiff_model.network.dct_codec import DCTCodec


@pytest.fixture(scope="module")
def encoder() -> CoefficientEncoder:
    torch.manual_seed(0)
    return CoefficientEncoder(DCTCodec(4, (1.0,) * 48), channels=8, blocks=1).eval()


@torch.no_grad()
def test_no_mask_is_a_mask_of_zeros(encoder: CoefficientEncoder) -> None:
    image = torch.rand(2, 3, 16, 24)
    without, zeros = encoder(image), encoder(torch.cat([image, torch.zeros(2, 1, 16, 24)], dim=1))
    assert without.shape == (2, 8, 4, 6)
    assert torch.equal(without, zeros)


@torch.no_grad()
def test_every_pixel_of_the_mask_is_seen(encoder: CoefficientEncoder) -> None:
    image = torch.rand(1, 4, 4, 4)
    image[:, 3] = 0
    before = encoder(image)
    for row in range(4):
        for column in range(4):
            other = image.clone()
            other[0, 3, row, column] = 1
            assert not torch.allclose(encoder(other), before)


@torch.no_grad()
def test_activations_may_be_computed_again(encoder: CoefficientEncoder) -> None:
    image, called = torch.rand(1, 3, 8, 8), []
    plain = encoder(image)
    encoder.checkpoint = lambda block, features: called.append(block) or block(features)
    try:
        assert torch.equal(encoder(image), plain)
    finally:
        encoder.checkpoint = None
    assert called == list(encoder.blocks)
