"""Every setting of a restoration, typed and validated. Flags, environment and YAML all fill this one object."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS, PRESETS
from faithdiff_model.spec import ModelSpec
from pipelines.setting_types import (
    DeviceName,
    FilmCopies,
    Formats,
    FrameRate,
    NodeLabels,
    PresetName,
    film_result,
    setting,
)

__all__ = ["GIB", "Settings"]

GIB = 1 << 30


class Settings(BaseModel):
    """All settings with their defaults. Each is a flag of `faitharchive restore`, a key of the YAML file, and an environment
    variable `FAITHARCHIVE_<NAME>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = setting("", "Archive", "Folder or URL of the scans. Never written to.")
    output: str = setting("", "Archive", "Folder or URL for restored files, sidecars and the manifest.")
    only: str = setting("", "Archive", "Only sources whose path matches this glob, such as '1924/*.tif'.")
    redo: bool = setting(False, "Archive", "Restore again what is already done, and clear quarantine.")
    max_attempts: int = setting(3, "Archive", "Failed runs after which a source is quarantined.", ge=1, le=100)
    budget_hours: float = setting(
        0.0, "Archive", "Hours after which a run drains and leaves the rest to the next; 0 is no limit.", ge=0, le=8760
    )
    steal_lease: bool = setting(False, "Archive", "Take the output over from another run, which then stops.")

    upscale: int = setting(2, "Result", "Enlargement, 1 to 8.", ge=1, le=8, result=True)
    format: Literal["auto", "png", "tiff", "jpeg", "webp"] = setting(
        "auto", "Result", "File format; auto is lossless: TIFF for TIFF, PNG for the rest.", result=True, of="photo"
    )
    jpeg_quality: int = setting(95, "Result", "Quality of JPEG results.", ge=1, le=100, result=True, of="photo")
    seed: int = setting(0, "Result", "Seed of the noise.", ge=0, lt=2**63)

    preset: PresetName = setting(
        "nano", "Model", f"Network: {', '.join(PRESETS)}. nano is ours and small; tiny is untrained.", result=True
    )
    base: str = setting("", "Model", "SDXL base model: folder, URL or hub id; empty is the preset's own.")
    vae: str = setting("", "Model", "VAE: folder, URL or hub id; empty is the preset's own.")
    faithdiff: str = setting("", "Model", "FaithDiff weights: file, folder, URL or hub id; empty is the preset's own.")
    attention: Literal["preset", "guidance_pair", "spatial"] = setting(
        "preset", "Model", "Alignment attention; preset is what the weights were trained with.", result=True
    )
    device: DeviceName = setting("auto", "Model", "auto, cpu, cuda.")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = setting(
        "auto", "Model", "Arithmetic; auto is float16 on a GPU, float32 elsewhere.", result=True
    )
    compile: bool = setting(False, "Model", "Compile the UNet: minutes at start, faster after.", result=True)

    steps: int = setting(
        0,
        "Sampling",
        "Denoising steps; 0 is the preset's: 20 of sdxl. nano takes 1, whatever is set.",
        ge=0,
        le=1000,
        result=True,
    )
    guidance_scale: float = setting(
        5.0, "Sampling", "Guidance by the prompt; 1 or less is off and halves the work.", ge=0, le=50, result=True
    )
    sampler: Literal["preset", "euler", "ddim", "dpmpp_2m", "unipc"] = setting(
        "preset", "Sampling", "Sampler; preset is what suits the network.", result=True
    )
    start: Literal["lr", "noise"] = setting("lr", "Sampling", "Start from the noised scan or from noise.", result=True)
    colour_fix: Literal["preset", "adain", "wavelet", "none"] = setting(
        "preset", "Sampling", "How the scan's colours are carried over: none of nano, adain of sdxl.", result=True
    )
    scan_share: float = setting(
        -1.0,
        "Sampling",
        "Share of the scan in the result; -1 is the preset's: 0 of nano and sdxl.",
        ge=-1,
        lt=1,
        result=True,
    )
    negative_prompt: str = setting("", "Sampling", "What guidance leads away from.", result=True)
    window_overlap: float = setting(
        0.5, "Sampling", "Step between windows as a part of their side.", gt=0, le=1, result=True
    )
    window_batch: int = setting(
        0, "Sampling", "Windows in one UNet call; 0 is 4 on a GPU and 1 elsewhere.", ge=0, le=256, result=True
    )
    tile: int = setting(
        4096, "Sampling", "Largest side of a tile in result pixels.", ge=64, le=65536, result=True, of="photo"
    )
    tile_halo: int = setting(
        512,
        "Sampling",
        "How far around a tile windows are computed with it, in pixels.",
        ge=0,
        le=8192,
        result=True,
        of="photo",
    )

    films: bool = setting(True, "Film", "Restore films and frame sequences, too.")
    sequences: str = setting(
        "",
        "Film",
        "Folders whose numbered TIFF and PNG files are frames, as a glob such as 'reels/*'; DPX and EXR always are.",
    )
    sequence_rate: FrameRate = film_result("24", "Frames a second of sequences that do not say it, such as 24000/1001.")
    film_format: Literal["auto", "ffv1", "prores", "h264"] = film_result(
        "auto", "ffv1 (MKV, preservation), prores (MOV), h264 (MP4); auto is ffv1, and frames for frame sequences."
    )
    film_copies: FilmCopies = film_result("", "Further copies beside it, such as prores,h264.")
    film_bits: Literal["auto", "10", "16"] = film_result(
        "auto", "Bits of FFV1; auto is 10 for sources of up to 10 bits, else 16."
    )
    comparison: bool = film_result(False, "Also make a clip of source and result side by side.")
    steady: Literal["none", "shared-noise", "flow"] = film_result(
        "flow",
        "What keeps a shot from flickering: none, one noise for all frames, or noise and frames joined along the motion.",
    )
    stabilise: bool = film_result(False, "Take out gate weave before restoring.")
    deflicker: bool = film_result(False, "Take out brightness pumping before restoring.")
    deinterlace: Literal["refuse", "frames", "keep"] = film_result(
        "refuse", "Interlaced film: refuse fails it, frames makes one whole frame of each, keep takes it as it is."
    )
    tolerate_gaps: int = film_result(0, "Missing or damaged frames of a film that are filled.", ge=0)
    gap_fill: Literal["repeat", "slate"] = film_result(
        "repeat", "What fills a gap: the frame before again, or a marked slate."
    )
    segment_frames: int = film_result(
        48, "Frames that one replica restores at a time: what a crash costs.", ge=8, le=100_000
    )
    segment_overlap: int = film_result(4, "Frames that segments of a shot share and cross-fade over.", ge=0, le=1000)

    captions: Literal["none", "llava", "catalogue"] = setting(
        "none", "Captions", "Where descriptions come from.", result=True
    )
    captioner: str = setting("llava-hf/llava-1.5-7b-hf", "Captions", "LLaVA: folder or hub id.")
    catalogue: str = setting("", "Captions", "CSV or Parquet with descriptions by source path.")
    catalogue_path: str = setting("path", "Captions", "The catalogue's column of source paths.")
    catalogue_text: str = setting("caption", "Captions", "The catalogue's column of descriptions.")

    max_pixels: int = setting(400_000_000, "Limits", "Largest source, in pixels.", ge=1)
    max_bytes: int = setting(2 * GIB, "Limits", "Largest source, in bytes.", ge=1)
    max_frames: int = setting(10_000, "Limits", "Most images in one source file.", ge=1)
    max_film_bytes: int = setting(1 << 40, "Limits", "Largest film, in bytes; of a sequence all frames.", ge=1)
    max_film_frames: int = setting(1_000_000, "Limits", "Most frames of a film.", ge=1)
    max_seconds: float = setting(300.0, "Limits", "Longest time to decode one source, in seconds.", gt=0, le=86400)

    retry_seconds: float = setting(
        60.0, "Faults", "How long a store's passing errors are tried again, in seconds.", ge=0, le=3600
    )
    lease_seconds: float = setting(
        60.0, "Faults", "How long a run that fell silent keeps its hold on the output, in seconds.", ge=3, le=3600
    )
    drain_seconds: float = setting(
        60.0, "Faults", "How long an interrupted run may finish what it has begun, in seconds.", ge=0, le=3600
    )

    ray_address: str = setting("local", "Cluster", "local starts Ray here; auto or ray://host:10001 joins a cluster.")
    cpus: int = setting(0, "Cluster", "CPUs for a local Ray; 0 takes all.", ge=0)
    replicas: int = setting(
        0, "Cluster", "Most model replicas; 0 is what GPUs, or cores and memory, carry, and grows with a cluster.", ge=0
    )
    min_replicas: int = setting(1, "Cluster", "Replicas that stay while there is little to do.", ge=1)
    cpu_threads: int = setting(
        2,
        "Cluster",
        "CPU threads of a replica without a GPU; part of what makes equal bytes.",
        ge=1,
        le=256,
        result=True,
    )
    caption_replicas: int = setting(1, "Cluster", "Most captioners; 0 grows with a cluster.", ge=0)
    gpus_per_replica: float = setting(
        -1.0, "Cluster", "GPUs of a replica, such as 0.5; 0 is CPUs alone, -1 one where there are GPUs.", ge=-1, le=64
    )
    gpus_per_captioner: float = setting(
        -1.0, "Cluster", "GPUs of a captioner; 0 is CPUs alone, -1 as of a replica.", ge=-1, le=64
    )
    replica_label: NodeLabels = setting(
        "", "Cluster", "Label of the nodes that hold replicas, such as ray.io/accelerator-type=H100; empty is any node."
    )
    caption_label: NodeLabels = setting("", "Cluster", "Label of the nodes that hold captioners.")
    rows_per_call: int = setting(
        0, "Cluster", "Photographs whose windows share UNet calls; 0 is 4 on a GPU and 1 elsewhere.", ge=0, le=256
    )
    object_store_mb: int = setting(0, "Cluster", "Memory for rows in flight of a local Ray, MB; 0 is chosen.", ge=0)

    log_format: Literal["text", "json"] = setting(
        "text", "Watch", "Logs on stderr, and in the files of Ray's workers: text, or a JSON object a line."
    )
    log_level: Literal["auto", "debug", "info", "warning", "error"] = setting(
        "auto", "Watch", "What is logged; auto is info, and of text on a terminal nothing beside the progress bar."
    )
    metrics_port: int = setting(
        0, "Watch", "Port of a local Ray's metrics for Prometheus; 0 is none. A cluster has its own.", ge=0, le=65535
    )

    @model_validator(mode="after")
    def _segments_advance(self) -> Settings:
        if 3 * self.segment_overlap > self.segment_frames:
            raise ValueError(
                f"segment_overlap is {self.segment_overlap} and segment_frames {self.segment_frames}: choose an overlap of at "
                "most a third of a segment"
            )
        return self

    @model_validator(mode="after")
    def _catalogue_named(self) -> Settings:
        if self.captions == "catalogue" and not self.catalogue:
            raise ValueError("captions is catalogue but no catalogue is given: set catalogue to a CSV or Parquet file")
        return self

    @model_validator(mode="after")
    def _fits_the_preset(self) -> Settings:
        network = PRESETS[self.preset]
        if self.captions != "none" and not network.text_input:
            raise ValueError(
                f"captions is {self.captions} but preset {self.preset} takes no text: choose preset sdxl, or captions none"
            )
        if self.start not in network.starts:
            raise ValueError(
                f"start is {self.start} but preset {self.preset} takes {' or '.join(network.starts)} alone"
            )
        return self

    @property
    def formats(self) -> Formats:
        """The formats that results are written in."""
        return Formats(self.format, self.film_format)

    def model_spec(self) -> ModelSpec:
        """Which network to build."""
        return ModelSpec(
            preset=self.preset,
            base=self.base,
            vae=self.vae,
            faithdiff=self.faithdiff,
            attention=None if self.attention == "preset" else self.attention,
            device=self.device,
            dtype=self.dtype,
            compile=self.compile,
        )

    def restore_options(self, window_batch: int) -> RestoreOptions:
        """How to sample: the preset's own where nothing is chosen, and the window batch that `window_batch` 0 stands for."""
        own = DEFAULTS[self.preset]
        return RestoreOptions(
            steps=own.steps if PRESETS[self.preset].one_step else self.steps or own.steps,
            guidance_scale=self.guidance_scale if PRESETS[self.preset].text_input else 1.0,
            sampler=own.sampler if self.sampler == "preset" else self.sampler,
            start=self.start,
            colour_fix=own.colour_fix if self.colour_fix == "preset" else self.colour_fix,
            negative_prompt=self.negative_prompt if PRESETS[self.preset].text_input else "",
            overlap=self.window_overlap,
            scan_share=own.scan_share if self.scan_share < 0 else self.scan_share,
            window_batch=self.window_batch or window_batch,
        )

    def result_settings(self, kind: str = "photo") -> dict[str, object]:
        """The settings that change restored bytes, by name: what the manifest and the sidecar record.

        Args:
            kind: of the item: `photo` or `film`.
        """
        chosen = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict)
            and field.json_schema_extra["result"]
            and field.json_schema_extra["of"] in ("", kind)
        }
        if self.captions == "llava":
            chosen["captioner"] = self.captioner
        options = self.restore_options(1)  # recorded as what is done, whoever chose it
        done = ("steps", "guidance_scale", "sampler", "colour_fix", "scan_share", "negative_prompt")
        return chosen | {name: getattr(options, name) for name in done}

    def result_digest(self, described_by: str | None = None, kind: str = "photo") -> str:
        """SHA-256 of `result_settings` and of what a description depends on beyond them.

        Args:
            described_by: an item's description from the catalogue, or the digest of the captioner's weights.
            kind: of the item: `photo` or `film`.
        """
        content = {**self.result_settings(kind), "described_by": described_by}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
