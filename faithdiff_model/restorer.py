"""`Restorer`: LQ photographs in, restored photographs out. The only door that the pipeline uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.image.colour import adain, wavelet, with_colour
from faithdiff_model.image.colour_statistics import Colour, ColourStatistics
from faithdiff_model.image.grain import with_grain
from faithdiff_model.image.resize import from_unit_float, to_grey, to_unit_float
from faithdiff_model.image.windows import Rect, TilePlacement, WindowGrid, plan_tiles
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.text import PromptEncoder, TextEmbedding
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.sampling.denoise import Canvas, Observer, denoise, make_scheduler, start_latent
from faithdiff_model.sampling.latents import decode_latent, embed_windows, encode_latent, to_model_range
from faithdiff_model.sampling.noise import position_noise


class Restorer:
    """One FaithDiff replica: batches of photographs through one network on one device.

    Args:
        config: what the network is.
        unet, vae, prompt_encoder: its parts, on `device`, in evaluation mode; no prompt encoder where it takes no text.
        options: how to sample.
        digest: identifies the weights; equal digests mean equal weights.
        trained: False for random weights, which only prove the plumbing.
    """

    def __init__(
        self,
        *,
        config: NetworkConfig,
        unet: FaithDiffUNet,
        vae: Any,
        prompt_encoder: PromptEncoder | None,
        options: RestoreOptions,
        device: torch.device,
        digest: str,
        trained: bool,
    ) -> None:
        if options.start not in config.starts:
            raise ValueError(
                f"start is {options.start!r}: preset {config.name} was trained to start from {' or '.join(config.starts)}"
            )
        self.config = config
        self.unet = unet
        self.vae = vae
        self.prompt_encoder = prompt_encoder
        self.options = options
        self.device = device
        self.digest = digest
        self.trained = trained

    def with_options(self, **changes: Any) -> Restorer:
        """The same network with other sampling options."""
        other = object.__new__(Restorer)
        other.__dict__.update(self.__dict__, options=replace(self.options, **changes))
        return other

    def grid(self, height: int, width: int) -> WindowGrid:
        """The windows of an image of `height` x `width` pixels."""
        return self.config.grid(height, width, self.options.overlap)

    @torch.inference_mode()
    def restore(
        self,
        images: Sequence[np.ndarray],
        prompts: Sequence[str],
        seeds: Sequence[int],
        places: Sequence[TilePlacement | None] | None = None,
        *,
        noises: Sequence[np.ndarray | None] | None = None,
        colours: Sequence[Colour | None] | None = None,
        masks: Sequence[np.ndarray | None] | None = None,
        observe: Observer | None = None,
    ) -> list[np.ndarray]:
        """Restore photographs at their own size (enlarge them first, see `resize.enlarge`).

        Args:
            images: LQ images [H, W], [H, W, 1], [H, W, 2] (grey, alpha), [H, W, 3] or [H, W, 4] (RGB, alpha); uint8, uint16 or
                float in [0, 1]; sides of `config.min_side` pixels or more (16, of nano 1). Alpha is passed on as it is.
            prompts: a description of each, or "".
            seeds: of each, 0 to 2**64 - 1.
            places: where an image is a tile of a larger one: its place; `images` then holds the tile's region.
            noises: of each its own initial noise [latent channels, h, w], standard normal, where h and w are those of
                `latent_shape`; None is that of its seed.
            colours: of each what its scan is brought to where the result takes its colour from it (colour fix, scan share);
                None is the scan's own colour.
            masks: of each where damage is known to be, [H, W] like the image, bool or 0 to 1; None knows of none. A network
                that takes no mask (`config.takes_mask`) does not look at it.
            observe: follows which windows each UNet call holds (`sampling.denoise`).

        Returns:
            For a whole image, the restored one in the same layout and dtype. For a tile, its core before any whole-image
            colour fix (AdaIN): float32 [h, w, 3 or 4].

        Raises:
            ValueError: an image or a mask of a wrong shape, an image below `config.min_side` pixels a side; lists of different
                lengths.
        """
        places = places or [None] * len(images)
        if not len(images) == len(prompts) == len(seeds) == len(places):
            raise ValueError(f"{len(images)} images, {len(prompts)} prompts, {len(seeds)} seeds, {len(places)} places")
        jobs = [
            _Job(self.config, image, place, self.options.overlap, mask)
            for image, place, mask in zip(images, places, masks or [None] * len(images), strict=True)
        ]
        scheduler = make_scheduler(self.options.sampler, self.config.noise_schedule, self.options.steps)
        canvases = [
            self._canvas(job, prompt, seed, noise, scheduler)
            for job, prompt, seed, noise in zip(jobs, prompts, seeds, noises or [None] * len(jobs), strict=True)
        ]
        denoise(
            self.unet,
            canvases,
            guidance_scale=self.options.guidance_scale,
            window_batch=self.options.window_batch,
            observe=observe,
        )
        wanted = colours or [None] * len(jobs)
        return [self._finish(*each) for each in zip(jobs, canvases, wanted, strict=True)]

    @property
    def latent_channels(self) -> int:
        """Channels of a latent, and so of its noise."""
        return self.config.latent_channels

    def latent_shape(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the latent of an image of `height` x `width` pixels."""
        grid = self.grid(height, width)
        return grid.height, grid.width

    def _canvas(self, job: _Job, prompt: str, seed: int, given: np.ndarray | None, scheduler: Any) -> Canvas:
        dtype = next(self.unet.parameters()).dtype
        drawn = position_noise(seed, job.tile.region, self.latent_channels) if given is None else given
        shape = (self.latent_channels, job.tile.region.height, job.tile.region.width)
        if drawn.shape != shape:
            raise ValueError(f"noise of shape {drawn.shape}: this image takes {shape}")
        noise = torch.from_numpy(np.ascontiguousarray(drawn, np.float32))
        image = to_model_range(job.padded.to(self.device))
        pieces: dict[str, Any] = {"whole": job.in_one_piece, "pixels_per_latent": self.config.pixels_per_latent}
        seen = image if job.mask is None else torch.cat([image, job.mask.to(self.device)])
        embeddings = embed_windows(self.unet, seen.to(dtype), job.windows, **pieces)
        encoded = None
        if self.options.start == "lr":
            encoded = encode_latent(
                self.vae, image.to(self.vae.dtype), job.windows, scaling_factor=self.config.scaling_factor, **pieces
            )
        texts = self._texts(prompt)
        return Canvas(
            latent=start_latent(encoded, noise.to(self.device), scheduler),
            windows=job.windows,
            lq_embeddings=embeddings,
            text=torch.stack([t.text for t in texts]) if texts else None,
            pooled=torch.stack([t.pooled for t in texts]) if texts else None,
            time_ids=torch.tensor(job.time_ids, dtype=dtype, device=self.device),
            scheduler=scheduler,
        )

    def _texts(self, prompt: str) -> list[TextEmbedding]:
        """The prompt's embedding, behind the negative one with guidance; none for a network without text input."""
        if self.prompt_encoder is None:
            return []
        texts = [self.prompt_encoder.encode(prompt)]
        if self.options.guided:
            texts.insert(0, self.prompt_encoder.encode_negative(self.options.negative_prompt))
        return texts

    def _finish(self, job: _Job, canvas: Canvas, colour: Colour | None = None) -> np.ndarray:
        restored = decode_latent(
            self.vae,
            canvas.latent,
            job.windows,
            whole=job.in_one_piece,
            pixels_per_latent=self.config.pixels_per_latent,
            scaling_factor=self.config.scaling_factor,
            head=self.unet.head,
        )
        by_wavelet, scan_share = self.options.colour_fix == "wavelet", self.options.scan_share
        padded = job.padded if colour is None else with_colour(job.padded, colour)
        if by_wavelet or scan_share:
            scan = padded.to(self.device).permute(2, 0, 1)
            if by_wavelet:
                # Clamped before a grey source's channels are mixed, since a tile's core is stored in [0, 1] before that, too.
                restored = wavelet(restored, scan).clamp(0, 1)
            if scan_share:
                restored = restored + scan_share * (scan - restored)
        if self.options.grain == "keep":
            restored = with_grain(restored, padded)  # of the whole padded tile, whose halo its edges need
        restored = restored[:, job.core_pixels.slices[0], job.core_pixels.slices[1]]
        if job.place is not None:
            return job.with_alpha(restored.permute(1, 2, 0).cpu().numpy())
        if self.options.colour_fix == "adain":
            lq = padded[job.core_pixels.slices].permute(2, 0, 1)
            restored = adain(restored, ColourStatistics.of(restored.cpu().numpy()), ColourStatistics.of(lq.numpy()))
        return job.like_source(restored.permute(1, 2, 0).cpu().numpy())


def _padded_mask(mask: np.ndarray, height: int, width: int, scale: int) -> Tensor:
    """A mask [H, W] of an image as [1, H, W], padded as the image is. Raises ValueError for one of another size."""
    if mask.shape != (height, width):
        raise ValueError(f"a mask of shape {mask.shape} for an image of {height}x{width}: give one of its size")
    known = torch.from_numpy(mask.astype(np.float32))[..., None]
    return _pad(known, -height % scale, -width % scale).permute(2, 0, 1)


class _Job:
    """One input, brought to padded RGB, and what is needed to bring the result back."""

    def __init__(
        self,
        config: NetworkConfig,
        image: np.ndarray,
        place: TilePlacement | None,
        overlap: float,
        mask: np.ndarray | None = None,
    ) -> None:
        self.source = image
        self.place = place
        pixels = to_unit_float(image[..., None] if image.ndim == 2 else image)
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
            raise ValueError(f"an image of shape {image.shape}: give [H, W] or [H, W, 1 to 4]")
        height, width, channels = pixels.shape
        if min(height, width) < config.min_side and place is None:
            raise ValueError(f"an image of {width}x{height} pixels: the model takes sides of {config.min_side} or more")
        self.alpha = pixels[..., -1:] if channels in (2, 4) else None
        self.grey = channels < 3
        colour = pixels[..., :1] if self.grey else pixels[..., :3]
        rgb = torch.from_numpy(np.broadcast_to(colour, (height, width, 3)).copy())
        scale = config.pixels_per_latent
        self.padded = _pad(rgb, -height % scale, -width % scale)
        self.mask = _padded_mask(mask, height, width, scale) if config.takes_mask and mask is not None else None
        if place is None:
            grid = config.grid(height, width, overlap)
            place_ = TilePlacement(
                height=grid.height,
                width=grid.width,
                original_height=height,
                original_width=width,
                tile=plan_tiles(grid, tile=max(grid.height, grid.width), halo=0)[0],
            )
        else:
            place_ = place
        self.tile = place_.tile
        expected = (self.tile.region.height * scale, self.tile.region.width * scale)
        if tuple(self.padded.shape[:2]) != expected:
            raise ValueError(f"a tile of {tuple(self.padded.shape[:2])} pixels at a place of {expected}")
        self.windows = [window.within(self.tile.region) for window in self.tile.windows]
        # By the size of the whole image, so that every tile of one image takes the same way.
        self.in_one_piece = max(place_.height, place_.width) <= config.codec_window
        self.time_ids = [
            (
                place_.original_height,
                place_.original_width,
                window.top,
                window.left,
                config.window * scale,
                config.window * scale,
            )
            for window in self.tile.windows
        ]
        core = self.tile.core.scaled(scale)
        bottom, right = min(core.bottom, place_.original_height), min(core.right, place_.original_width)
        inside = Rect(core.top, core.left, bottom - core.top, right - core.left)
        self.core_pixels = inside.within(self.tile.region.scaled(scale))

    def with_alpha(self, rgb_HWC: np.ndarray) -> np.ndarray:
        """Join the core's own alpha channel, if there is one."""
        if self.alpha is None:
            return rgb_HWC
        return np.concatenate([rgb_HWC, self.alpha[self.core_pixels.slices]], axis=2)

    def like_source(self, rgb_HWC: np.ndarray) -> np.ndarray:
        """Restored RGB in the layout and dtype of the source."""
        colour = to_grey(rgb_HWC) if self.grey else rgb_HWC
        result = from_unit_float(self.with_alpha(colour), self.source.dtype)
        return result[..., 0] if self.source.ndim == 2 else result


def _pad(image_HWC: Tensor, below: int, right: int) -> Tensor:
    """Repeat the last row and column (golden README, fact 7)."""
    if not below and not right:
        return image_HWC
    channels_first = image_HWC.permute(2, 0, 1)[None]
    return torch.nn.functional.pad(channels_first, (0, right, 0, below), mode="replicate")[0].permute(1, 2, 0)
