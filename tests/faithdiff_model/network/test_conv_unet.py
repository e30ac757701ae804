"""The UNet of plain convolutions: any size, one scale after another, the timestep, and a head that sees across blocks."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor

from faithdiff_model.network.conv_unet import ConvBlock, ConvUNet, OutputHead, timestep_sines


@pytest.fixture(scope="module")
def unet() -> ConvUNet:
    torch.manual_seed(0)
    return ConvUNet(latent_channels=12, widths=(8, 12, 16), blocks=(2, 1, 1)).eval()


def features(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(1, 8, height, width, generator=torch.Generator().manual_seed(seed))


def test_a_timestep_has_the_sines_that_diffusers_gives_it() -> None:
    timesteps = torch.tensor([0, 1, 499.5, 999])
    assert torch.equal(timestep_sines(timesteps, 64), get_timestep_embedding(timesteps, 64))


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 7), (3, 16)])
def test_it_takes_any_size(unet: ConvUNet, size: tuple[int, int]) -> None:
    result = unet(features(*size), 999)[0]
    assert result.shape == (1, 12, *size)
    assert torch.isfinite(result).all()


@torch.no_grad()
def test_a_size_that_does_not_halve_is_continued_by_its_last_rows(unet: ConvUNet) -> None:
    given = features(5, 8)
    longer = torch.cat([given, *[given[:, :, -1:]] * 3], dim=2)
    torch.testing.assert_close(unet(given, 999)[0], unet(longer, 999)[0][:, :, :5])


@torch.no_grad()
def test_moved_features_give_moved_changes(unet: ConvUNet) -> None:
    """Away from borders, by what the smallest scale steps: 4."""
    given = features(64, 64)
    whole, part = unet(given, 999)[0], unet(given[:, :, 4:, 8:], 999)[0]
    inside = slice(24, 36)
    torch.testing.assert_close(whole[:, :, 28:40, 32:44], part[:, :, inside, inside], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_timestep_matters_and_rows_are_independent(unet: ConvUNet) -> None:
    one, two = features(4, 4, 1), features(4, 4, 2)
    both = unet(torch.cat([one, two]), torch.tensor(999))[0]
    torch.testing.assert_close(both[1:], unet(two, 999)[0])
    assert not torch.allclose(unet(one, 999)[0], unet(one, 0)[0])


def test_every_part_learns(unet: ConvUNet) -> None:
    unet.zero_grad()
    unet(features(8, 8), 999)[0].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in unet.parameters())


@torch.no_grad()
def test_a_block_adds_to_what_it_is_given() -> None:
    block = ConvBlock(4)
    block.conv_out.weight.zero_()
    block.conv_out.bias.zero_()  # type: ignore[union-attr]
    given = torch.randn(1, 4, 6, 6)
    assert torch.equal(block(given), given)


@torch.no_grad()
def test_the_head_reaches_three_pixels_over_a_border() -> None:
    torch.manual_seed(0)
    head = OutputHead(4)
    image = torch.zeros(1, 3, 16, 16)
    other = image.clone()
    other[..., 8] = 1  # a block begins here
    changed = (head(other) != head(image)).any(dim=1)[0].any(dim=0).nonzero().flatten().tolist()
    assert changed == list(range(5, 12))
