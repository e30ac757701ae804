"""`faitharchive evaluate`: how near results come to their references, several methods side by side, in tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.progress import Progress
from rich.text import Text

from jobs.console.photos import read_photo
from jobs.console.terminal import ERR, OUT, print_line
from jobs.settings.load import load_settings
from pipelines.settings import Settings

if TYPE_CHECKING:
    from faithdiff_model.evaluation.data import Pair
    from faithdiff_model.evaluation.methods import Method
    from faithdiff_model.evaluation.run import Evaluation, Plan

__all__ = ["evaluate"]

_What, _How, _Sampling = "What is measured", "By what", "Sampling"

# The flags, in the order of the command.
_Hq = Annotated[Path, typer.Option(help="Folder of references.", show_default=False, rich_help_panel=_What)]
_Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the tables.", show_default=False, rich_help_panel=_What)
]
_Lq = Annotated[Path | None, typer.Option(help="Folder of LQ images: same paths and stems.", rich_help_panel=_What)]
_Degradation = Annotated[
    list[str] | None,
    typer.Option(
        help="Instead of --lq: make them, as level-I, level-II, level-III or archive; repeat for more.",
        rich_help_panel=_What,
    ),
]
_Limit = Annotated[int, typer.Option(help="Only the first so many images; 0 is all.", min=0, rich_help_panel=_What)]
_Preset = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Network to measure, {Settings.model_fields['preset'].default} by default; repeat for more; none for none.",
        show_default=False,
        rich_help_panel=_How,
    ),
]
_Results = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=DIR", help="Finished results of another method; repeat for more.", rich_help_panel=_How),
]
_Peer = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Also measure another program: realesrgan (x4plus, extra peers), nlmeans, or inpaint, which is told where damage "
        "is; repeat for more.",
        rich_help_panel=_How,
    ),
]
_Metrics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="psnr_y, psnr_rgb, ssim_y, ssim_rgb, ms_ssim_y, gmsd, fsim (these by default); lpips, dists, musiq, "
        "clipiqa+, niqe, fid with the extra metrics; repeat for more.",
        rich_help_panel=_How,
    ),
]
_Ocr = Annotated[
    bool,
    typer.Option("--ocr", help="Also read the text: NAME.txt beside the reference is the truth.", rich_help_panel=_How),
]
_OcrProgram = Annotated[
    str, typer.Option(help="What reads the text: rapidocr (PP-OCR) or tesseract.", rich_help_panel=_How)
]
_OcrLanguage = Annotated[str, typer.Option(help="Tesseract's languages, as eng or deu+frk.", rich_help_panel=_How)]
_Steps = Annotated[int | None, typer.Option(help="Denoising steps.", show_default=False, rich_help_panel=_Sampling)]
_Sampler = Annotated[
    str | None,
    typer.Option(help="euler, ddim, dpmpp_2m or unipc.", show_default=False, rich_help_panel=_Sampling),
]
_Detail = Annotated[
    float | None,
    typer.Option(help="From faithful (0) to crisp (1), of nano.", show_default=False, rich_help_panel=_Sampling),
]
_Seed = Annotated[
    int | None,
    typer.Option(help="Of degradations and noise.", show_default=False, rich_help_panel=_Sampling),
]
_Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda.", show_default=False, rich_help_panel=_Sampling)]
_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML file of settings for the networks: weights, colour fix, dtype, ...",
        show_default=False,
        rich_help_panel=_Sampling,
    ),
]
_SaveImages = Annotated[
    bool, typer.Option("--save-images", help="Keep LQ images, references and results beside the tables.")
]


def evaluate(
    hq: _Hq,
    output: _Output,
    lq: _Lq = None,
    degradation: _Degradation = None,
    limit: _Limit = 0,
    preset: _Preset = None,
    results: _Results = None,
    peer: _Peer = None,
    metrics: _Metrics = None,
    ocr: _Ocr = False,
    ocr_program: _OcrProgram = "rapidocr",
    ocr_language: _OcrLanguage = "eng",
    steps: _Steps = None,
    sampler: _Sampler = None,
    detail: _Detail = None,
    seed: _Seed = None,
    device: _Device = None,
    config: _Config = None,
    save_images: _SaveImages = False,
) -> None:
    """Measure methods against references: bicubic, Lanczos, networks, and other programs' results.

    Writes OUTPUT/summary.md (means, run times, circumstances), summary.json and per-image.parquet. An image that cannot be
    read is a failed row, and the rest goes on.
    """
    degradations, folders = degradation or [], _result_folders(results or [])
    save_to = output / "images" if save_images else None
    _check_folders(hq, lq, output, degradations, folders, save_to)
    flags = {"steps": steps, "sampler": sampler, "detail": detail, "seed": seed, "device": device}
    networks = _network_settings(preset, flags, config)
    common = networks[0] if networks else load_settings(flags, config=config)

    from faithdiff_model.evaluation.metrics import prepare_metrics
    from faithdiff_model.evaluation.ocr import text_reader
    from faithdiff_model.evaluation.report import write_report
    from faithdiff_model.evaluation.run import FAILED, Plan

    # Everything that can be wrong with the command is said before minutes of work: pairs, folders, programs, weights.
    suffixes, read = _suffixes(), partial(read_photo, settings=common)
    pairs = _first(_pairs(hq, lq, degradations, suffixes, common.seed), limit)
    read_text, reader = text_reader(ocr_program, ocr_language) if ocr else (None, {})
    image_metrics, set_metrics = prepare_metrics(metrics or [], str(common.model_spec().torch_device()))
    plan = Plan(
        pairs=pairs,
        methods=_methods(networks, folders, _peers(peer or (), common.cpu_threads, read, pairs), pairs, suffixes, read),
        metrics=image_metrics,
        set_metrics=set_metrics,
        read=read,
        read_text=read_text,
        save_to=save_to,
    )
    output.mkdir(parents=True, exist_ok=True)
    circumstances = {"hq": str(hq), "lq": str(lq) if lq else "made", "limit": limit, "seed": common.seed, **reader}
    done = _measured(plan)
    summary = write_report(output, plan, done, circumstances)
    failed = sum(row["status"] == FAILED for row in done.rows)
    OUT.print(Text(_tables(summary)), soft_wrap=True)
    print_line(f"{len(done.rows) - failed} rows measured, {failed} failed. Open {summary}")
    raise typer.Exit(1 if failed or done.notes else 0)


def _result_folders(texts: Sequence[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise ValueError(f"--results {text}: is not NAME=DIR; write it like --results other=results/other")
        if name in folders:
            raise ValueError(f"--results {name} is given twice: give each method its own name")
        folders[name] = Path(folder)
    return folders


def _check_folders(
    hq: Path,
    lq: Path | None,
    output: Path,
    degradations: Sequence[str],
    results: dict[str, Path],
    save_to: Path | None,
) -> None:
    """What can be said of folders without opening a file."""
    if (lq is None) == (not degradations):
        raise ValueError(
            "the LQ images are given neither by --lq nor by --degradation: give one of the two"
            if lq is None
            else "the LQ images are given by --lq and by --degradation: give one of the two"
        )
    read_from = {"--hq": hq, "--lq": lq, **{f"--results {name}": folder for name, folder in results.items()}}
    for flag, folder in read_from.items():
        if folder is None:
            continue
        if not folder.is_dir():
            raise ValueError(f"{flag} {folder}: is not a folder; check the path")
        if output.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"--output {output}: lies in {flag} {folder}, whose images are read; choose a folder elsewhere"
            )
        if save_to and folder.resolve().is_relative_to(save_to.resolve()):
            raise ValueError(
                f"{flag} {folder}: lies in {save_to}, where images are to be kept; choose another --output"
            )
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output {output}: is a file; choose a folder")


def _network_settings(
    presets: Sequence[str] | None, flags: Mapping[str, object], config: Path | None
) -> list[Settings]:
    """Settings of each network; `--preset none` stands for no network."""
    if not presets:
        return [load_settings(flags, config=config)]
    names = [name for name in presets if name != "none"]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--preset {name} is given twice: name it once")
    return [load_settings({**flags, "preset": name}, config=config) for name in names]


def _methods(
    networks: Sequence[Settings],
    folders: dict[str, Path],
    peers: Sequence[Method],
    pairs: Sequence[Pair],
    suffixes: Sequence[str],
    read: Callable[[Path], np.ndarray],
) -> list[Method]:
    from faithdiff_model.build import build_restorer
    from faithdiff_model.evaluation.methods import check_names, folder_method, network_method, plain_methods

    methods, degradations = plain_methods(), list(dict.fromkeys(pair.degradation for pair in pairs))
    check_names([*(method.name for method in methods), *folders, *(settings.preset for settings in networks)])
    methods += [folder_method(name, folder, degradations, suffixes, read) for name, folder in folders.items()]
    for settings in networks:
        restorer = build_restorer(settings.model_spec(), settings.restore_options(window_batch=1))
        methods.append(network_method(settings.preset, restorer))
    return [*methods, *peers]


def _peers(
    names: Sequence[str], threads: int, read: Callable[[Path], np.ndarray], pairs: Sequence[Pair]
) -> list[Method]:
    from faithdiff_model.evaluation.peers import peer_method

    if "inpaint" in names and any(pair.lq for pair in pairs):
        raise ValueError("--peer inpaint is told where damage is, which --lq does not say: give --degradation instead")
    return [peer_method(name, threads, read) for name in dict.fromkeys(names)]


def _pairs(hq: Path, lq: Path | None, degradations: Sequence[str], suffixes: Sequence[str], seed: int) -> list[Pair]:
    from faithdiff_model.evaluation.data import degraded_folder, paired_folders

    return paired_folders(hq, lq, suffixes, seed) if lq else degraded_folder(hq, degradations, suffixes, seed)


def _measured(plan: Plan) -> Evaluation:
    """The plan carried out, with progress on the terminal."""
    from faithdiff_model.evaluation.run import evaluate as measure

    for method in plan.methods:
        if not method.trained:
            print_line(f"{method.name} is untrained: its results are not restorations.", console=ERR)
    with Progress(console=ERR, transient=True) as progress:
        task = progress.add_task("measuring", total=len(plan.pairs) * len(plan.methods))
        return measure(plan, on_row=lambda _row: progress.advance(task))


def _first(pairs: Sequence[Pair], limit: int) -> list[Pair]:
    """The pairs of the first `limit` images; of all if it is 0."""
    names = set(list(dict.fromkeys(pair.name for pair in pairs))[: limit or None])
    return [pair for pair in pairs if pair.name in names]


def _suffixes() -> tuple[str, ...]:
    from pipelines.media.kinds import PHOTO_SUFFIXES

    return tuple(PHOTO_SUFFIXES)


def _tables(summary: Path) -> str:
    """The part of the summary that has the results, for the terminal."""
    text = summary.read_text(encoding="utf-8")
    return text.partition("\n## How it was measured")[0].partition("\n\n")[2]
