"""Types of single settings, which check their value, and the function that describes a setting."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, cast

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.config import JsonDict

from faithdiff_model.presets import PRESETS

__all__ = [
    "AS_BEFORE",
    "DERIVED",
    "FILM_FORMATS",
    "DeinterlaceFor",
    "DeviceName",
    "FilmCopies",
    "Formats",
    "FrameRate",
    "NodeLabels",
    "PresetName",
    "SourceType",
    "TileSide",
    "absolute_if_there",
    "choices_by_glob",
    "film_result",
    "node_labels",
    "setting",
]

T = TypeVar("T")
# Words of IPTC's vocabulary Digital Source Type that a restoration can be; `auto` chooses by what was done.
SourceType = Literal[
    "auto",
    "algorithmicallyEnhanced",
    "compositeWithTrainedAlgorithmicMedia",
    "trainedAlgorithmicMedia",
]
FILM_FORMATS = ("ffv1", "prores", "h264")
DEINTERLACE = ("refuse", "frames", "keep")
# Result settings that came later, and the value at which results are as before: left out of the record and the digest there,
# so that what was restored before they came counts as done.
AS_BEFORE: dict[str, object] = {
    "caption_cleaned": False,
    "codec_overlap": 0.0,
    "detail": 0.0,
    "disclosure": True,  # results of before have none: what is in a file stands in the column `disclosure`
    "empty_negative": "zeros",
    "feature_reuse": 1,
    "float8_arithmetic": False,
    "float8_storage": False,
    "grain": "reduce",
    "guidance_end": 1.0,
    "guidance_start": 0.0,
    "metadata": "carry",  # as of `disclosure`: results of before hold none, and their column `metadata` is empty
    "repair_damage": "off",
    "source_type": "auto",
    "tiff_compression": "deflate",
    "tone": "keep",
}
# Settings of what is made beside a film's result, and not of the result: recorded and counted as if nothing were wanted, so
# that wanting more, or less, never restores a film again.
DERIVED: dict[str, object] = {"comparison": False, "film_copies": ""}
# As Ray and Kubernetes take them.
_LABEL = re.compile(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?")


class Formats(NamedTuple):
    """File formats of results, as the settings `format` and `film_format` name them."""

    photo: str = "auto"
    film: str = "auto"


def _known_preset(value: str) -> str:
    if value not in PRESETS:
        raise ValueError(f"{value!r} is not a preset: choose one of {', '.join(PRESETS)}")
    return value


def setting(default: T, section: str, text: str, *, result: bool = False, of: str = "", **limits: Any) -> T:
    """A field of `Settings`. `result` marks what changes the restored bytes and so belongs to an output's identity; `of` says
    whose, where it is `photo` or `film` alone."""
    extra: JsonDict = {"section": section, "result": result, "of": of}
    return cast(T, Field(default, description=text, json_schema_extra=extra, **limits))


def film_result(default: T, text: str, **limits: float) -> T:
    """A field of `Settings` that changes the restored bytes of films alone."""
    return setting(default, "Film", text, result=True, of="film", **limits)


def _known_device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise ValueError(f"{value!r} is not a device: choose auto, cpu, mps, cuda or cuda:N")
    return value


def _rate(value: str) -> str:
    try:
        rate = Fraction(value)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError(f"{value!r} is no frame rate: give frames a second, such as 24 or 24000/1001")
    return value


def _copies(value: str) -> str:
    kinds = [kind.strip() for kind in value.split(",") if kind.strip()]
    unknown = [kind for kind in kinds if kind not in FILM_FORMATS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no kind of film copy: choose {', '.join(FILM_FORMATS)}, joined by commas")
    return ",".join(dict.fromkeys(kinds))


def choices_by_glob(value: str) -> list[tuple[str, str]]:
    """`glob=choice` pairs, joined by commas, in their order.

    Raises:
        ValueError: a part is none, or its choice is not one of `deinterlace`.
    """
    pairs = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        glob, _, choice = part.rpartition("=")
        if not glob or choice not in DEINTERLACE:
            raise ValueError(
                f"{part!r} is no choice for films: give GLOB=CHOICE, such as 'reels/*.mov=keep', where CHOICE is "
                f"{', '.join(DEINTERLACE)}; several are joined by commas"
            )
        pairs.append((glob, choice))
    return pairs


def _deinterlace_for(value: str) -> str:
    return ",".join(f"{glob}={choice}" for glob, choice in choices_by_glob(value))


def absolute_if_there(location: str) -> str:
    """A path that exists, made absolute; URLs, hub ids and what is not there stay as they are."""
    return str(Path(location).resolve()) if location and Path(location).exists() else location


def node_labels(value: str) -> dict[str, str]:
    """`key=value` pairs, joined by commas, as a dict.

    Raises:
        ValueError: it is none.
    """
    pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
    for key, equals, label in pairs:
        if not equals or not _LABEL_KEY.fullmatch(key.strip()) or not _LABEL.fullmatch(label.strip()):
            raise ValueError(
                f"{value!r} is no node label: give key=value as the nodes were started with, such as "
                "ray.io/accelerator-type=H100; several are joined by commas"
            )
    return {key.strip(): label.strip() for key, _, label in pairs}


def _tile_side(value: int) -> int:
    if 0 < value < 64:
        raise ValueError(f"{value} is too small for a tile: choose 64 or more, or 0 for the preset's")
    return value


def _labels(value: str) -> str:
    return ",".join(f"{key}={label}" for key, label in node_labels(value).items())


PresetName = Annotated[str, AfterValidator(_known_preset), WithJsonSchema({"type": "string", "enum": [*PRESETS]})]
DeviceName = Annotated[str, AfterValidator(_known_device)]
FrameRate = Annotated[str, AfterValidator(_rate)]
DeinterlaceFor = Annotated[str, AfterValidator(_deinterlace_for)]
FilmCopies = Annotated[str, AfterValidator(_copies)]
NodeLabels = Annotated[str, AfterValidator(_labels)]
TileSide = Annotated[int, AfterValidator(_tile_side)]
