"""`faitharchive attribute`: a picture of where the network looked for words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

from jobs.console.photos import read_photo
from jobs.console.terminal import ERR, print_line, printable
from jobs.settings.flags import sections_of, with_settings
from pipelines.settings import Settings

__all__ = ["CELL", "COLUMNS", "GAP", "LABEL", "attribute", "draw_sheet"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
CELL, GAP, LABEL, COLUMNS = 512, 12, 24, 4  # pixels of the picture; cells in a row of it
_PAPER, _INK = (250, 248, 244), (40, 40, 40)

# Settings that have a say in one photograph's restoration in one piece; the others are not flags of this command.
_SECTIONS = ("Model", "Sampling", "Limits")
_USED = {"upscale", "seed"}
_UNUSED = {"compile", "tile", "tile_halo", "window_batch"}  # watched uncompiled, in one piece, window after window


_LEFT_OUT = {
    name
    for name, section in sections_of(Settings).items()
    if name not in _USED and (section not in _SECTIONS or name in _UNUSED)
}


@partial(with_settings, left_out=_LEFT_OUT)
def attribute(
    settings: Settings,
    image: Annotated[Path, typer.Argument(help="The scan. Never written to.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="Description of the scan, which steers the model.", show_default=False)],
    word: Annotated[list[str], typer.Option(help="A word of the prompt to map; repeat for more.", show_default=False)],
    picture: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.", show_default=False)],
) -> None:
    """Restore one scan and draw which parts of it the words of its prompt reached.

    The picture shows the scan, its restoration and, over it, a heat map a word: its cross-attention over all layers and
    steps (DAAM). Presets without text input have no such maps.
    """
    _check_output(image, picture)
    photo = read_photo(image, settings, called="image ", remedy="check the path")
    lq = _enlarged(photo, settings.upscale)

    from faithdiff_model.attribution import attribute as attribute_words
    from faithdiff_model.attribution import overlay
    from faithdiff_model.build import build_restorer
    from faithdiff_model.prompts import description_to_prompt

    restorer = build_restorer(settings.model_spec(), settings.restore_options(window_batch=1))
    note = "" if restorer.trained else " (untrained)"
    attribution = attribute_words(restorer, lq, description_to_prompt(prompt), word, settings.seed)
    if note:
        ERR.print(
            f"[yellow]preset {settings.preset} is untrained:[/] the maps are its real attention, which means nothing.",
            soft_wrap=True,
        )
    restored = _rgb(attribution.restored)
    cells = [(_size("scan", photo), _rgb(lq)), (_size(f"restored{note}", attribution.restored), restored)]
    for name, heat in attribution.maps.items():
        low, high = attribution.ranges[name]
        cells.append((f"{name}{note}: {low:.2%} to {high:.2%} of the attention", overlay(restored, heat)))
    draw_sheet(cells).save(picture)
    print_line(f"Open {picture}: {len(cells)} pictures, with maps of {', '.join(attribution.maps)}")


def draw_sheet(cells: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Pictures in rows of up to `COLUMNS`, each with its label below.

    Args:
        cells: labels and pictures, RGB uint8 [H, W, 3], all of one size; drawn with `CELL` pixels on the longer side.
    """
    height, width = cells[0][1].shape[:2]
    scale = CELL / max(height, width)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    columns, rows = min(COLUMNS, len(cells)), -(-len(cells) // COLUMNS)
    size = (GAP + columns * (width + GAP), GAP + rows * (height + LABEL + GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (label, pixels) in enumerate(cells):
        left = GAP + number % COLUMNS * (width + GAP)
        top = GAP + number // COLUMNS * (height + LABEL + GAP)
        sheet.paste(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC), (left, top))
        text = printable(label)
        while draw.textlength(text, font) > width and len(text) > 1:
            text = text[:-2] + "…"
        draw.text((left, top + height + 4), text, fill=_INK, font=font)
    return sheet


def _check_output(image: Path, picture: Path) -> None:
    """Before minutes of work: can the picture be written, and not over the scan?"""
    if picture.suffix.lower() not in SUFFIXES:
        raise ValueError(f"output {picture}: not a picture's name; end it in one of {', '.join(SUFFIXES)}")
    if not picture.parent.is_dir():
        raise ValueError(f"output {picture}: there is no folder {picture.parent}; make it first")
    if picture.exists() and image.exists() and picture.samefile(image):
        raise ValueError(f"output {picture} is the scan itself, which is never written to; choose another name")


def _enlarged(photo: np.ndarray, upscale: int) -> np.ndarray:
    """As the pipeline's tile stage does it."""
    from faithdiff_model.image.resize import enlarge, from_unit_float

    height, width = photo.shape[:2]
    return from_unit_float(enlarge(photo, height * upscale, width * upscale), photo.dtype)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """Any photograph as RGB uint8 [H, W, 3], on white where it is transparent."""
    from faithdiff_model.image.resize import from_unit_float, to_unit_float

    values = to_unit_float(pixels)
    if values.shape[2] in (2, 4):
        values = values[..., :-1] * values[..., -1:] + (1 - values[..., -1:])
    return from_unit_float(np.broadcast_to(values, (*values.shape[:2], 3)), np.dtype(np.uint8))


def _size(name: str, pixels: np.ndarray) -> str:
    return f"{name}, {pixels.shape[1]}x{pixels.shape[0]}"
