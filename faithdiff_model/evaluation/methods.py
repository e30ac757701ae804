"""Methods: what makes a result of an LQ image. Two plain enlargements, a network, or a folder of finished results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faithdiff_model.evaluation.data import PAIRED, Pair, Reader, as_rgb, find_photographs
from faithdiff_model.evaluation.facts import cpu_name, device_name
from faithdiff_model.image.resize import enlarge, from_unit_float, to_unit_float
from faithdiff_model.restorer import Restorer

# (LQ image uint8 [h, w, 1 or 3], height and width of the result, the pair it is of) -> uint8 RGB [height, width, 3].
Run = Callable[[np.ndarray, int, int, Pair], np.ndarray]

_BYTE = np.dtype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Something that turns LQ images into results.

    Attributes:
        name: in the tables.
        run: makes one result.
        timed: False where results were made elsewhere, so that seconds mean nothing.
        steps: denoising steps; None without any.
        parameters: of all networks that run; None where unknown.
        device: what it runs on, in words; "" where unknown.
        made_by: all else that a result depends on, plain values.
        trained: False for random weights.
    """

    name: str
    run: Run
    timed: bool = True
    steps: int | None = None
    parameters: int | None = None
    device: str = ""
    made_by: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = True


def plain_methods() -> list[Method]:
    """Bicubic and Lanczos enlargement by Pillow, in float32: what every method must beat."""

    def bicubic(lq: np.ndarray, height: int, width: int, _pair: Pair) -> np.ndarray:
        planes = [Image.fromarray(plane) for plane in np.moveaxis(to_unit_float(lq), 2, 0)]
        enlarged = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
        return as_rgb(np.stack(enlarged, axis=2))

    def lanczos(lq: np.ndarray, height: int, width: int, _pair: Pair) -> np.ndarray:
        return as_rgb(enlarge(lq, height, width))

    device = f"{cpu_name()}, 1 thread"  # Pillow has no more
    return [
        Method(name="bicubic", run=bicubic, parameters=0, device=device, made_by={"kind": "Pillow, a = -0.5"}),
        Method(name="lanczos", run=lanczos, parameters=0, device=device, made_by={"kind": "Pillow, 3 lobes"}),
    ]


def network_method(name: str, restorer: Restorer) -> Method:
    """A network as the pipeline uses it: enlarged by Lanczos, restored without a description.

    Args:
        name: in the tables.
        restorer: with its options.
    """

    def restore(lq: np.ndarray, height: int, width: int, pair: Pair) -> np.ndarray:
        enlarged = from_unit_float(enlarge(lq, height, width), _BYTE)
        return as_rgb(restorer.restore([enlarged], [""], [pair.seed])[0])

    options = asdict(restorer.options)
    if not restorer.config.text_input:  # without a prompt nothing is guided
        for setting in ("guidance_scale", "negative_prompt", "empty_negative"):
            del options[setting]
    if not restorer.config.text_input or (options["guidance_start"], options["guidance_end"]) == (0.0, 1.0):
        del options["guidance_start"], options["guidance_end"]  # as before there was a choice
    if options["feature_reuse"] == 1:
        del options["feature_reuse"]  # likewise
    return Method(
        name=name,
        run=restore,
        steps=restorer.options.steps,
        parameters=parameters_of(restorer),
        device=device_name(str(restorer.device)),
        trained=restorer.trained,
        made_by={
            "kind": "network",
            "preset": restorer.config.name,
            "model_digest": restorer.digest,
            "dtype": str(next(restorer.unet.parameters()).dtype).removeprefix("torch."),
            **options,
        },
    )


def folder_method(
    name: str, folder: Path, degradations: Collection[str], suffixes: Collection[str], read: Reader
) -> Method:
    """Results that another program has made: files of the pairs' paths and stems, of the references' sizes.

    With one degradation they lie in the folder or in a folder of the degradation's name in it, with more in the latter.

    Args:
        name: in the tables.
        folder: of the results.
        degradations: that are measured.
        suffixes: lower-case extensions of photographs.
        read: reads a photograph.

    Raises:
        ValueError: no such folder, no photograph in it, or none for a degradation.
    """
    found: dict[str, dict[str, Path]] = {}
    for degradation in degradations:
        inside = folder / degradation
        if inside.is_dir() or len(degradations) > 1:
            if not inside.is_dir():
                raise ValueError(
                    f"{folder}: has no folder {degradation}; put the results of each degradation into one of its name"
                )
            found[degradation] = find_photographs(inside, suffixes)
        else:
            found[degradation] = find_photographs(folder, suffixes)

    def look_up(_lq: np.ndarray, _height: int, _width: int, pair: Pair) -> np.ndarray:
        path = found[pair.degradation].get(pair.name)
        if path is None:
            raise ValueError(f"{folder}: has no result {pair.name} of {pair.degradation}; put it there under this name")
        return as_rgb(read(path))

    return Method(name=name, run=look_up, timed=False, made_by={"kind": "folder", "folder": str(folder)})


def parameters_of(restorer: Restorer) -> int:
    """Parameters of all that runs: UNet with LQ encoder and alignment, VAE, text encoders."""
    networks = [restorer.unet, restorer.vae]
    if restorer.prompt_encoder is not None:
        networks += restorer.prompt_encoder.encoders
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def check_names(names: Sequence[str]) -> None:
    """Refuse names of methods that tables or folders of images could not tell apart.

    Raises:
        ValueError: two of one name, a name that is not a file's, or one that saved images need ("hq", "lq").
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two methods are called {name}: give each its own name")
        if name in ("hq", "lq", PAIRED) or not name.strip() or set(name) & set('/\\:*?"<>|\n') or name.startswith("."):
            raise ValueError(f"a method cannot be called {name!r}: choose a plain name other than hq, lq and {PAIRED}")
