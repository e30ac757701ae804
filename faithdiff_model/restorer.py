"""`Restorer`: LQ photographs in, restored photographs out. The only door that the pipeline uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.image.colour import adain, wavelet, with_colour
from faithdiff_model.image.colour_statistics import Colour, ColourStatistics
from faithdiff_model.image.grain import with_grain
from faithdiff_model.image.prepared import PreparedImage
from faithdiff_model.image.windows import TilePlacement, WindowGrid
from faithdiff_model.memory import PlacedParts
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.text import PromptEncoder
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.sampling.denoise import Canvas, Observer, denoise, make_scheduler, start_latent
from faithdiff_model.sampling.latents import decode_latent, embed_windows, encode_latent, to_model_range
from faithdiff_model.sampling.noise import position_noise
from faithdiff_model.sampling.transfer import HostCopy, ahead, to_device

Texts = tuple[Tensor | None, Tensor | None]  # [copies, L, C] and pooled [copies, C], as `Canvas` holds them


class Restorer:
    """One FaithDiff replica: batches of photographs through one network on one device.

    Args:
        config: what the network is.
        unet, vae, prompt_encoder: its parts, on `device`, in evaluation mode; no prompt encoder where it takes no text.
        options: how to sample.
        digest: identifies the weights; equal digests mean equal weights.
        trained: False for random weights, which only prove the plumbing.
        parts: where its parts are; None where they stay on `device`.
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
        parts: PlacedParts | None = None,
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
        self.parts = parts

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
            ValueError: images or masks of a wrong shape, sides below `config.min_side` pixels; lists of different lengths.
        """
        places = places or [None] * len(images)
        if not len(images) == len(prompts) == len(seeds) == len(places):
            raise ValueError(f"{len(images)} images, {len(prompts)} prompts, {len(seeds)} seeds, {len(places)} places")
        options = self.options
        scheduler = make_scheduler(options.sampler, self.config.noise_schedule, options.steps)
        nothing = [None] * len(images)
        texts = {prompt: self._texts(prompt) for prompt in dict.fromkeys(prompts)}
        jobs, canvases = list[PreparedImage](), list[Canvas]()
        given = zip(images, places, masks or nothing, prompts, seeds, noises or nothing, strict=True)
        for image, place, mask, prompt, seed, noise in given:  # a GPU encodes one while the host prepares the next
            jobs.append(PreparedImage(self.config, image, place, options.overlap, mask, options.codec_overlap))
            canvases.append(self._canvas(jobs[-1], texts[prompt], seed, noise, scheduler))
        denoise(
            self.unet,
            canvases,
            guidance_scale=options.guidance_scale,
            guided_steps=options.guided_steps,
            window_batch=options.window_batch,
            keep_prompts=self.parts is None or self.parts.placement == "resident",
            feature_reuse=options.feature_reuse,
            observe=observe,
        )
        # Here, too: a GPU decodes the next image while the host finishes the one before.
        parts = zip(jobs, canvases, colours or nothing, strict=True)
        return [finish() for finish in ahead(self._decode(*each) for each in parts)]

    @property
    def latent_channels(self) -> int:
        """Channels of a latent, and so of its noise."""
        return self.config.latent_channels

    def latent_shape(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the latent of an image of `height` x `width` pixels."""
        grid = self.grid(height, width)
        return grid.height, grid.width

    def _canvas(self, job: PreparedImage, texts: Texts, seed: int, given: np.ndarray | None, scheduler: Any) -> Canvas:
        dtype = next(self.unet.parameters()).dtype
        shape = (self.latent_channels, job.tile.region.height, job.tile.region.width)
        if given is not None and given.shape != shape:
            raise ValueError(f"noise of shape {given.shape}: this image takes {shape}")
        image = to_model_range(to_device(job.padded, self.device))
        pieces = self._pieces(job)
        seen = image if job.mask is None else torch.cat([image, to_device(job.mask, self.device)])
        embeddings = embed_windows(self.unet, seen.to(dtype), job.windows, **pieces)
        encoded = None
        if self.options.start == "lr":
            encoded = encode_latent(
                self.vae, image.to(self.vae.dtype), job.windows, scaling_factor=self.config.scaling_factor, **pieces
            )
        # Drawn while a GPU encodes.
        drawn = position_noise(seed, job.tile.region, self.latent_channels) if given is None else given
        noise = torch.from_numpy(np.ascontiguousarray(drawn, np.float32))
        return Canvas(
            latent=start_latent(encoded, to_device(noise, self.device), scheduler),
            windows=job.windows,
            lq_embeddings=embeddings,
            text=texts[0],
            pooled=texts[1],
            time_ids=to_device(torch.tensor(job.time_ids, dtype=dtype), self.device),
            scheduler=scheduler,
            shares_calls=min(job.windows[0].height, job.windows[0].width) == self.config.window,
        )

    def _pieces(self, job: PreparedImage) -> dict[str, Any]:
        """How an image goes through VAE and LQ encoder: arguments of what is in `sampling.latents`."""
        sizes = {"whole": job.in_one_piece, "pixels_per_latent": self.config.pixels_per_latent}
        return {**sizes, "grid": job.codec_grid, "batch": self.options.window_batch}

    def _texts(self, prompt: str) -> Texts:
        """A row for the prompt, behind one for the negative prompt with guidance; Nones for a network without text input.

        Where both are the same, guidance changes nothing (u + s * (u - u) is u), and one copy is half the work.
        """
        if self.prompt_encoder is None:
            return None, None
        rows, options = [self.prompt_encoder.encode(prompt)], self.options
        if options.guided:
            unwanted = self.prompt_encoder.encode_negative(options.negative_prompt, options.empty_negative)
            if not rows[0].equals(unwanted):
                rows.insert(0, unwanted)
        return torch.stack([row.text for row in rows]), torch.stack([row.pooled for row in rows])

    def _decode(self, job: PreparedImage, canvas: Canvas, colour: Colour | None) -> Callable[[], np.ndarray]:
        """Queue what the device does after denoising; the result, when called, is the restored image."""
        if self.parts is not None:
            self.parts.denoised()
        restored = decode_latent(
            self.vae,
            canvas.latent,
            job.windows,
            scaling_factor=self.config.scaling_factor,
            head=self.unet.head,
            **self._pieces(job),
        )
        by_wavelet, scan_share = self.options.colour_fix == "wavelet", self.options.scan_share
        padded = job.padded if colour is None else with_colour(job.padded, colour)
        if by_wavelet or scan_share:
            scan = to_device(padded, self.device).permute(2, 0, 1)
            if by_wavelet:
                # Clamped before a grey source's channels are mixed, since a tile's core is stored in [0, 1] before that, too.
                restored = wavelet(restored, scan).clamp(0, 1)
            if scan_share:
                restored = restored + scan_share * (scan - restored)
        if self.options.grain == "keep":
            restored = with_grain(restored, padded)  # of the whole padded tile, whose halo its edges need
        restored = restored[:, job.core_pixels.slices[0], job.core_pixels.slices[1]]
        return partial(self._finish, job, HostCopy(restored), padded)

    def _finish(self, job: PreparedImage, decoded: HostCopy, padded: Tensor) -> np.ndarray:
        """Statistics, rounding and layout, on the host. `padded` is the scan in the colours that the result takes."""
        restored = decoded.wait()
        if job.place is not None:
            return job.with_alpha(restored.permute(1, 2, 0).numpy())
        if self.options.colour_fix == "adain":
            lq = padded[job.core_pixels.slices].permute(2, 0, 1)
            restored = adain(restored, ColourStatistics.of(restored.numpy()), ColourStatistics.of(lq.numpy()))
        return job.like_source(restored.permute(1, 2, 0).numpy())
