"""VAE and LQ encoder by windows of their own: seams against those of denoising windows, batches, exactness where all fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import pytest
import torch
from skimage import data
from torch import Tensor

from faithdiff_model.build import random_parts
from faithdiff_model.image.codec_windows import CodecGrid, codec_grid
from faithdiff_model.image.windows import WindowGrid
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.sampling.blending import blend_windows
from faithdiff_model.sampling.latents import decode_latent, embed_windows, encode_latent

HEIGHT, WIDTH, WINDOW = 16, 320, 128  # latent pixels: a strip with windows of the real length
BEFORE = WindowGrid(height=HEIGHT, width=WIDTH, window=WINDOW, overlap=0.5).windows()
SIZES: dict[str, Any] = {"whole": False, "pixels_per_latent": 8}


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    """LQ encoder, alignment and VAE with random weights, small but as deep as SDXL's are long in their reach."""
    unet, vae, _ = random_parts(replace(TINY, window=WINDOW, codec_window=WINDOW), 1)
    return unet.eval(), vae.eval()


@pytest.fixture(scope="module")
def strip() -> Tensor:
    """A strip of a photograph [3, H, W] in [-1, 1]."""
    image = cv2.resize(data.astronaut()[100:126], (WIDTH * 8, HEIGHT * 8), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(image).float().permute(2, 0, 1) / 127.5 - 1


def grid(overlap: float = 0.25) -> CodecGrid:
    return codec_grid(HEIGHT, WIDTH, window=WINDOW, overlap=overlap)


def steps(image_CHW: Tensor) -> Tensor:
    """Largest change over a latent pixel of each column, away from the image's own ends."""
    return (image_CHW[:, :, 8:] - image_CHW[:, :, :-8]).abs()[:, :, 320:-320].amax(dim=(0, 1))


@torch.inference_mode()
def test_seams_of_decoding_are_no_larger_than_by_denoising_windows(parts: tuple[Any, Any], strip: Tensor) -> None:
    """A photograph: the worst step in the difference to decoding in one piece. One colour: any step is a seam."""
    vae = parts[1]
    latent = vae.encode(strip[None]).latent_dist.mode()[0]
    one_colour = torch.tensor([0.3, -0.3, 0.15, -0.15])[:, None, None].expand(-1, HEIGHT, WIDTH)
    whole = decode_latent(vae, latent, BEFORE, whole=True, pixels_per_latent=8, scaling_factor=1.0)
    found = {}
    for name, chosen in (("before", None), ("now", grid())):
        image, flat = (
            decode_latent(vae, each, BEFORE, **SIZES, scaling_factor=1.0, grid=chosen) for each in (latent, one_colour)
        )
        found[name] = [
            steps(image - whole).max().item(),
            (image - whole).pow(2).mean().sqrt().item(),
            steps(flat).max().item(),
        ]
    print({name: [f"{value:.6f}" for value in values] for name, values in found.items()})
    assert found["now"][0] <= 1.001 * found["before"][0]
    assert found["now"][1] <= 1.1 * found["before"][1]
    assert found["now"][2] < 1 / 510  # of white: half a level of 8 bits


@torch.inference_mode()
def test_batches_are_what_windows_by_themselves_are(parts: tuple[Any, Any], strip: Tensor) -> None:
    unet, vae = parts
    one, three = (
        [
            encode_latent(vae, strip, BEFORE, **SIZES, scaling_factor=0.5, grid=grid(), batch=batch),
            embed_windows(unet, strip, BEFORE, **SIZES, grid=grid(), batch=batch),
        ]
        for batch in (1, 3)
    )
    for a, b in zip(one, three, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert one[0].shape == (4, HEIGHT, WIDTH)
    assert one[1].shape[0] == len(BEFORE)


@torch.inference_mode()
def test_one_window_is_the_whole(parts: tuple[Any, Any], strip: Tensor) -> None:
    vae, image = parts[1], strip[:, :, : WINDOW * 8]
    alone = codec_grid(HEIGHT, WINDOW, window=WINDOW, overlap=0.25)
    windows = alone.windows()
    assert len(windows) == 1
    by_window = encode_latent(vae, image, windows, **SIZES, scaling_factor=0.5, grid=alone)
    whole = encode_latent(vae, image, windows, whole=True, pixels_per_latent=8, scaling_factor=0.5)
    torch.testing.assert_close(by_window, whole, atol=1e-6, rtol=0)


def test_what_changes_nothing_gives_the_image_back() -> None:
    image = torch.rand(3, HEIGHT * 8, WIDTH * 8)
    calls = []

    def seen(pixels_BCHW: Tensor) -> Tensor:
        calls.append(len(pixels_BCHW))
        return pixels_BCHW

    back = blend_windows(seen, image, grid(), batch=2, enters=8, leaves=8)
    torch.testing.assert_close(back, image, atol=1e-6, rtol=0)
    assert calls == [2, 1]
