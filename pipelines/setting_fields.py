"""The fields of `Settings` on archives and results: what can be chosen, its default, its limits and what it means."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from faithdiff_model.presets import PRESETS
from pipelines.setting_types import (
    DeinterlaceFor,
    DeviceName,
    FilmCopies,
    FrameRate,
    PresetName,
    SourceType,
    TileSide,
    film_result,
    setting,
)

__all__ = ["GIB", "SettingFields"]

GIB = 1 << 30


class SettingFields(BaseModel):
    """What is restored, and how, section by section, in the order of the help and of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = setting("", "Archive", "Folder or URL of the scans. Never written to.")
    output: str = setting("", "Archive", "Folder or URL for restored files, sidecars and the manifest.")
    only: str = setting("", "Archive", "Only sources whose path matches this glob, such as '1924/*.tif'.")
    redo: bool = setting(False, "Archive", "Restore again what is already done, and clear quarantine.")
    max_attempts: int = setting(3, "Archive", "Failed runs after which a source is quarantined.", ge=1, le=100)
    budget_hours: float = setting(
        0.0, "Archive", "Hours after which a run drains and leaves the rest to the next; 0 is no limit.", ge=0, le=8760
    )
    into_existing: bool = setting(False, "Archive", "Take an output among other files, or a source that is an output.")
    steal_lease: bool = setting(False, "Archive", "Take the output over from another run, which then stops.")

    upscale: int = setting(2, "Result", "Enlargement, 1 to 8.", ge=1, le=8, result=True)
    format: Literal["auto", "png", "tiff", "jpeg", "webp", "jp2"] = setting(
        "auto", "Result", "File format; auto is lossless: TIFF for TIFF, PNG for the rest.", result=True, of="photo"
    )
    tiff_compression: Literal["deflate", "none", "lzw", "zstd"] = setting(
        "deflate", "Result", "Compression of TIFF results; all are lossless.", result=True, of="photo"
    )
    name: Literal["auto", "same"] = setting("auto", "Result", "Base names: same keeps the source's, or fails the item.")
    jpeg_quality: int = setting(95, "Result", "Quality of JPEG results.", ge=1, le=100, result=True, of="photo")
    repair_damage: Literal["fill", "mark", "off"] = setting(
        "off",
        "Result",
        "Dust, scratches, creases: fill or mark them, or off; wide areas are only marked.",
        result=True,
        of="photo",
    )
    pages: Literal["all", "first", "split"] = setting(
        "all", "Result", "Pages of a TIFF: all in one TIFF, the first alone, or split into a file each.", of="photo"
    )
    damaged: Literal["fail", "restore"] = setting(
        "fail",
        "Result",
        "Damaged JPEG and fax pictures: fail them, or restore what is left, with a warning.",
        of="photo",
    )
    seed: int = setting(0, "Result", "Seed of the noise.", ge=0, lt=2**63)
    detail: float = setting(
        -1.0, "Result", "From faithful (0) to crisp (1), of nano; -1 is the preset's.", ge=-1, le=1, result=True
    )
    grain: Literal["reduce", "keep"] = setting(
        "reduce", "Result", "Film grain: reduced by the network, or kept as it was scanned.", result=True
    )
    tone: Literal["keep", "restore"] = setting(
        "keep",
        "Result",
        "Tone: kept as scanned, or fading and casts taken out of photographs; films always keep it.",
        result=True,
        of="photo",
    )
    disclosure: bool = setting(
        True, "Result", "Say in each result, in XMP, that a machine restored it, which, and from what.", result=True
    )
    undisclosed_because: str = setting(
        "", "Result", "Why results may say nothing of their making; without it disclosure cannot be switched off."
    )
    source_type: SourceType = setting(
        "auto", "Result", "IPTC Digital Source Type of results; auto chooses by what was done.", result=True
    )
    metadata: Literal["carry", "none"] = setting(
        "carry", "Result", "EXIF, IPTC, XMP, comments: carried into results, or left out.", result=True, of="photo"
    )

    preset: PresetName = setting(
        "nano", "Model", f"Network: {', '.join(PRESETS)}. nano is ours and small; tiny is untrained.", result=True
    )
    base: str = setting(
        "", "Model", "SDXL base model: folder, URL or hub id (owner/name@revision); empty is the preset's own."
    )
    vae: str = setting("", "Model", "VAE: folder, URL or hub id, as base; empty is the preset's own.")
    faithdiff: str = setting(
        "", "Model", "FaithDiff weights: file, folder, URL or hub id, as base; empty is the preset's own."
    )
    attention: Literal["preset", "guidance_pair", "spatial"] = setting(
        "preset", "Model", "Alignment attention; preset is what the weights were trained with.", result=True
    )
    device: DeviceName = setting("auto", "Model", "auto, cpu, cuda.")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = setting(
        "auto", "Model", "Arithmetic; auto is float16 on a GPU, float32 elsewhere.", result=True
    )
    compile: bool = setting(False, "Model", "Compile the network: minutes at start, faster after.", result=True)
    memory: Literal["auto", "8", "12", "16", "24", "80"] = setting(
        "auto", "Model", "GiB of the GPU, for where the network's parts lie; auto is what is free."
    )
    float8_storage: bool = setting(
        False, "Model", "Store the UNet's weights of sdxl in float8: half the memory, other results.", result=True
    )
    float8_arithmetic: bool = setting(
        False, "Model", "Multiply in float8 in sdxl's transformers: faster on newer GPUs, other results.", result=True
    )

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
    guidance_start: float = setting(
        0.0, "Sampling", "Part of the steps before which nothing is guided: half the work.", ge=0, lt=1, result=True
    )
    guidance_end: float = setting(
        1.0, "Sampling", "Part of the steps after which nothing is guided: half the work.", gt=0, le=1, result=True
    )
    feature_reuse: int = setting(
        1, "Sampling", "Steps of which the first computes deep features for all; 1 is none.", ge=1, le=100, result=True
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
    empty_negative: Literal["encoded", "zeros"] = setting(
        "encoded",
        "Sampling",
        "An empty negative prompt: the encoded empty text, as in the reference, or zeros.",
        result=True,
    )
    window_overlap: float = setting(
        0.5, "Sampling", "Step between windows as a part of their side.", gt=0, le=1, result=True
    )
    codec_overlap: float = setting(
        -1.0,
        "Sampling",
        "Part of a side that windows of the codec share; 0 takes those of denoising; -1 is the preset's: 0.25 of sdxl.",
        ge=-1,
        le=0.5,
        result=True,
    )
    window_batch: int = setting(
        0, "Sampling", "Windows in one UNet call; 0 is 4 on a GPU and 1 elsewhere.", ge=0, le=256, result=True
    )
    tile: TileSide = setting(
        0,
        "Sampling",
        "Largest side of a tile in result pixels; 0 is the preset's: 8192 of sdxl, 4096 of nano.",
        ge=0,
        le=65536,
        result=True,
        of="photo",
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
    deinterlace_for: DeinterlaceFor = setting(
        "", "Film", "Other choices for some films: GLOB=CHOICE, joined by commas."
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
    captioner: str = setting(
        "llava-hf/llava-1.5-13b-hf",
        "Captions",
        "LLaVA 1.5: folder or hub id, as base; llava-hf/llava-1.5-7b-hf takes half the memory.",
    )
    caption_cleaned: bool = setting(
        False, "Captions", "LLaVA sees what nano makes of the scan, and not the scan.", result=True
    )
    catalogue: str = setting("", "Captions", "CSV or Parquet with descriptions by source path.")
    catalogue_path: str = setting("path", "Captions", "The catalogue's column of source paths.")
    catalogue_text: str = setting("caption", "Captions", "The catalogue's column of descriptions.")

    trust: Literal["map", "figure", "off"] = setting(
        "map",
        "Trust",
        "How far a photograph's result may be off: a map beside it and a figure, the figure, or neither.",
    )
    trust_seeds: int = setting(
        0,
        "Trust",
        "Further seeds whose disagreement says what is made up, of presets with noise; 0 is none.",
        ge=0,
        le=16,
    )
    trust_share: float = setting(0.25, "Trust", "Share of the windows that they restore.", gt=0, le=1)
    sensitive: Literal["find", "off"] = setting(
        "off", "Trust", "Find faces and text in photographs, and say how far they can be trusted."
    )
    review_below: float = setting(0.4, "Trust", "Flag results whose trust is below this; 0 flags none.", ge=0, le=1)
    review_worst_db: float = setting(
        25.0,
        "Trust",
        "Flag results whose worst region is less like the scan than this, in dB; 0 flags none.",
        ge=0,
        le=100,
    )

    max_pixels: int = setting(400_000_000, "Limits", "Largest source that is read as a whole, in pixels.", ge=1)
    giant_pixels: int = setting(
        100_000_000, "Limits", "TIFF of more pixels is read and restored region by region, in bounded memory.", ge=1
    )
    max_giant_pixels: int = setting(
        4_000_000_000, "Limits", "Largest TIFF that is read by region, in pixels; eight times as many bytes.", ge=1
    )
    max_bytes: int = setting(2 * GIB, "Limits", "Largest source, in bytes.", ge=1)
    max_frames: int = setting(10_000, "Limits", "Most images in one source file.", ge=1)
    max_film_bytes: int = setting(1 << 40, "Limits", "Largest film, in bytes; of a sequence all frames.", ge=1)
    max_film_frames: int = setting(1_000_000, "Limits", "Most frames of a film.", ge=1)
    max_seconds: float = setting(300.0, "Limits", "Longest time to decode one source, in seconds.", gt=0, le=86400)
