"""A small archive of old photographs to try the pipeline on, made from free photographs without any network.

The originals ship inside scikit-image, whose notes call each of them free: a portrait of Eileen Collins (NASA, public
domain), a launch (SpaceX, public domain), coins from Pompeii (Brooklyn Museum, no known copyright restrictions), galaxies
(NASA, public domain), and pictures by Lav Varshney, Stefan van der Walt and Rachel Michetti (CC0). The letter is our own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faithdiff_model.degradation.archive.emulsion import grain
from faithdiff_model.degradation.archive.surface import crease, dust, scratches
from faithdiff_model.degradation.archive.tone import colour_cast, fade, grey, sepia
from faithdiff_model.degradation.blur import soften
from faithdiff_model.degradation.codec import jpeg
from jobs.samples import print_effects
from pipelines.media.photo.decode import DecodeLimits, decode
from pipelines.media.photo.encode import encode

__all__ = ["LONG_SIDE", "make_demo_archive", "original"]

LONG_SIDE = 320
_ORIENTATION_TAG = 274
_SCRATCH = (25, 150)  # pixels: these scans are small


def original(name: str) -> np.ndarray:
    """One of scikit-image's own photographs: float32 HWC RGB, 0 to 1.

    Raises:
        FileNotFoundError: the installed scikit-image does not carry it.
    """
    data = (files("skimage") / "data" / name).read_bytes()
    pixels = decode(data, name, DecodeLimits()).pixels
    return np.repeat(pixels, 3 // pixels.shape[2], axis=2).astype(np.float32) / 255


def make_demo_archive(folder: Path, *, seed: int = 0) -> list[Path]:
    """Write seven aged scans, one of each kind that archives hold, and a good one, into subfolders.

    Args:
        folder: made when missing; files of the same names are replaced.
        seed: of scratches, dust, grain and tears. The same seed gives the same bytes.

    Returns:
        The files, in the order of their names.
    """
    written = []
    for number, (name, make) in enumerate(sorted(_SCANS.items())):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(np.random.default_rng([seed, number])))
        written.append(path)
    return written


def _cat_at_the_dacha(rng: np.random.Generator) -> bytes:
    """A sepia print, photographed lying on its side: JPEG with an EXIF orientation."""
    image = print_effects.shrink(original("chelsea.png"), LONG_SIDE)
    image = print_effects.vignette(soften(sepia(image), 0.8), 0.35)
    image = fade(grain(image, rng, 0.035), 0.12, 0.90)
    image = dust(scratches(crease(image, rng), rng, 12, _SCRATCH), rng, 108)
    # Stored turned a quarter to the left; orientation 6 tells readers to turn it back.
    turned = np.rot90(print_effects.to_levels(jpeg(image, 40), np.uint8), 1)
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = 6
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(turned)).save(file, "JPEG", quality=70, exif=exif, dpi=(96, 96))
    return file.getvalue()


def _portrait(rng: np.random.Generator) -> bytes:
    """A faded studio portrait in grey, scanned with 16 bits: TIFF."""
    image = grey(print_effects.shrink(original("astronaut.png")[:400, 60:380], LONG_SIDE))
    image = fade(print_effects.vignette(soften(image, 0.7), 0.3), 0.22, 0.82)
    image = dust(scratches(grain(image, rng, 0.028), rng, 16, _SCRATCH), rng, 120)
    return encode(print_effects.to_levels(image[..., :1], np.uint16), format="TIFF", dpi=(600, 600))


def _torn_launch(rng: np.random.Generator) -> bytes:
    """A torn print cut out of its background: PNG with alpha."""
    image = print_effects.shrink(original("rocket.jpg"), LONG_SIDE)
    image = fade(colour_cast(soften(image, 0.6), 0.35), 0.08, 0.94)
    image = scratches(crease(grain(image, rng, 0.03), rng), rng, 14, _SCRATCH)
    alpha = print_effects.torn_edge(image.shape[:2], rng)
    return encode(
        print_effects.to_levels(np.concatenate([image, alpha], axis=2), np.uint8), format="PNG", dpi=(300, 300)
    )


def _coins(rng: np.random.Generator) -> bytes:
    """A plate of a museum catalogue that someone once made small for a web page: WebP."""
    small = print_effects.shrink(original("coins.png"), LONG_SIDE * 3 // 4)
    image = fade(sepia(soften(small, 0.5)), 0.10, 0.98)
    image = jpeg(dust(grain(image, rng, 0.03), rng, 90), 25)
    file = io.BytesIO()
    Image.fromarray(print_effects.to_levels(image, np.uint8)).save(file, "WEBP", quality=60)
    return file.getvalue()


def _photographer(rng: np.random.Generator) -> bytes:
    """A scratched press negative: grey JPEG 2000, as libraries keep it."""
    image = print_effects.shrink(original("camera.png"), LONG_SIDE)
    image = grain(print_effects.vignette(soften(image, 0.9), 0.2), rng, 0.045, size=0.9)
    image = dust(scratches(fade(image, 0.06, 0.92), rng, 24, _SCRATCH), rng, 120)
    file = io.BytesIO()
    levels = print_effects.to_levels(image[..., 0], np.uint8)
    Image.fromarray(levels).save(file, "JPEG2000", quality_mode="dB", quality_layers=[38])
    return file.getvalue()


def _morning_coffee(rng: np.random.Generator) -> bytes:
    """A colour slide that has gone red, scanned with 16 bits: RGB TIFF."""
    image = print_effects.shrink(original("coffee.png"), LONG_SIDE)
    image = fade(colour_cast(soften(image, 0.6), 0.45), 0.05, 0.95)
    image = dust(print_effects.vignette(grain(image, rng, 0.03), 0.25), rng, 120)
    return encode(print_effects.to_levels(image, np.uint16), format="TIFF", dpi=(2400, 2400))


def _letter(rng: np.random.Generator) -> bytes:
    """A typed letter that was folded, on paper that has yellowed: JPEG."""
    scale = 4
    page = Image.new("RGB", (LONG_SIDE * scale * 3 // 4, LONG_SIDE * scale), (244, 238, 222))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=15 * scale)
    for number, line in enumerate(_LINES):
        draw.text((16 * scale, (22 + 25 * number) * scale), line, font=font, fill=(46, 42, 52))
    image = print_effects.shrink(np.asarray(page, np.float32) / 255, LONG_SIDE)
    image = fade(colour_cast(grain(soften(image, 0.5), rng, 0.03), 0.2), 0.10, 0.93)
    image = dust(scratches(crease(image, rng), rng, 10, _SCRATCH), rng, 100)
    file = io.BytesIO()
    Image.fromarray(print_effects.to_levels(image, np.uint8)).save(file, "JPEG", quality=60, dpi=(150, 150))
    return file.getvalue()


def _deep_field(_rng: np.random.Generator) -> bytes:
    """A good scan, to be left as good as it is: stars are no dust. PNG."""
    image = original("hubble_deep_field.jpg")[200:840, 150:790]
    return encode(
        print_effects.to_levels(print_effects.shrink(image, LONG_SIDE), np.uint8), format="PNG", dpi=(300, 300)
    )


_LINES = (
    "Lindqvist & Daughters",
    "14 March 1947",
    "",
    "Dear Madam,",
    "we return herewith the",
    "forty-two glass plates.",
    "Three were cracked when",
    "they came to us; please",
    "keep them from the light.",
    "",
    "Yours, E. Lindqvist",
)

# Names as archives have them: spaces, several scripts, years as folders.
_SCANS: dict[str, Callable[[np.random.Generator], bytes]] = {
    "1912 музей/монеты Помпей.webp": _coins,
    "1924 семья/на даче.jpg": _cat_at_the_dacha,
    "1938 studio/portrait 017.tif": _portrait,
    "1947 letters/Lindqvist, glass plates.jpg": _letter,
    "1956 press/photographer.jp2": _photographer,
    "1958 喫茶店/朝のコーヒー.tif": _morning_coffee,
    "1969 launch/torn print.png": _torn_launch,
    "1995 observatory/deep field.png": _deep_field,
}
