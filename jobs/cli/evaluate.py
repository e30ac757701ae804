"""`faitharchive evaluate`: how near results come to their references, several methods side by side, in tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from jobs.console.photos import read_photo
from jobs.console.tables import printable
from jobs.settings.load import load_settings
from pipelines.settings import Settings

_out, _err = Console(), Console(stderr=True)
_What, _How, _Sampling = "What is measured", "By what", "Sampling"


def evaluate(
    hq: Annotated[Path, typer.Option(help="Folder of references.", show_default=False, rich_help_panel=_What)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the tables.", show_default=False, rich_help_panel=_What)
    ],
    lq: Annotated[
        Path | None, typer.Option(help="Folder of LQ images: same paths and stems.", rich_help_panel=_What)
    ] = None,
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of --lq: make them, as level-I, level-II, level-III or archive; repeat for more.",
            rich_help_panel=_What,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Only the first so many images; 0 is all.", min=0, rich_help_panel=_What)
    ] = 0,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Network to measure, {Settings.model_fields['preset'].default} by default; repeat for more; none for none.",
            show_default=False,
            rich_help_panel=_How,
        ),
    ] = None,
    results: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR", help="Finished results of another method; repeat for more.", rich_help_panel=_How
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also measure another program: realesrgan (x4plus, extra peers) or nlmeans; repeat for both.",
            rich_help_panel=_How,
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="psnr_y, psnr_rgb, ssim_y, ssim_rgb, ms_ssim_y, gmsd, fsim (these by default); lpips, dists, musiq, "
            "clipiqa+, niqe, fid with the extra metrics; repeat for more.",
            rich_help_panel=_How,
        ),
    ] = None,
    ocr: Annotated[
        bool,
        typer.Option(
            "--ocr", help="Also read the text: NAME.txt beside the reference is the truth.", rich_help_panel=_How
        ),
    ] = False,
    ocr_program: Annotated[
        str, typer.Option(help="What reads the text: rapidocr (PP-OCR) or tesseract.", rich_help_panel=_How)
    ] = "rapidocr",
    ocr_language: Annotated[
        str, typer.Option(help="Tesseract's languages, as eng or deu+frk.", rich_help_panel=_How)
    ] = "eng",
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps.", show_default=False, rich_help_panel=_Sampling)
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="euler, ddim, dpmpp_2m or unipc.", show_default=False, rich_help_panel=_Sampling),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of degradations and noise.", show_default=False, rich_help_panel=_Sampling),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda.", show_default=False, rich_help_panel=_Sampling)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="YAML file of settings for the networks: weights, colour fix, dtype, ...",
            show_default=False,
            rich_help_panel=_Sampling,
        ),
    ] = None,
    save_images: Annotated[
        bool, typer.Option("--save-images", help="Keep LQ images, references and results beside the tables.")
    ] = False,
) -> None:
    """Measure methods against references: bicubic, Lanczos, networks, and other programs' results.

    Writes OUTPUT/summary.md (means, run times, circumstances), summary.json and per-image.parquet. An image that cannot be
    read is a failed row, and the rest goes on.
    """
    degradations, names = degradation or [], metrics or []
    folders = _result_folders(results or [])
    save_to = output / "images" if save_images else None
    _check_folders(hq, lq, output, degradations, folders, save_to)
    flags = {"steps": steps, "sampler": sampler, "seed": seed, "device": device}
    networks = _network_settings(preset, flags, config)
    common = networks[0] if networks else load_settings(flags, config=config)

    from faithdiff_model.evaluation.data import degraded_folder, paired_folders
    from faithdiff_model.evaluation.metrics import prepare_metrics
    from faithdiff_model.evaluation.ocr import text_reader
    from faithdiff_model.evaluation.peers import peer_method
    from faithdiff_model.evaluation.report import write_report
    from faithdiff_model.evaluation.run import FAILED, Plan
    from faithdiff_model.evaluation.run import evaluate as measure

    # Everything that can be wrong with the command is said before minutes of work: pairs, folders, programs, weights.
    suffixes, read = _suffixes(), partial(read_photo, settings=common)
    pairs = (
        paired_folders(hq, lq, suffixes, common.seed)
        if lq
        else degraded_folder(hq, degradations, suffixes, common.seed)
    )
    wanted = set(list(dict.fromkeys(pair.name for pair in pairs))[: limit or None])
    pairs = [pair for pair in pairs if pair.name in wanted]
    read_text, reader = text_reader(ocr_program, ocr_language) if ocr else (None, {})
    peers = [peer_method(name, common.cpu_threads) for name in dict.fromkeys(peer or ())]
    torch_device = str(common.model_spec().torch_device())
    image_metrics, set_metrics = prepare_metrics(names, torch_device)
    plan = Plan(
        pairs=pairs,
        methods=[
            *_methods(networks, folders, list(dict.fromkeys(pair.degradation for pair in pairs)), suffixes, read),
            *peers,
        ],
        metrics=image_metrics,
        set_metrics=set_metrics,
        read=read,
        read_text=read_text,
        save_to=save_to,
    )
    output.mkdir(parents=True, exist_ok=True)
    for method in plan.methods:
        if not method.trained:
            _err.print(
                Text(f"{printable(method.name)} is untrained: its results are not restorations."), soft_wrap=True
            )
    asked = {"hq": str(hq), "lq": str(lq) if lq else "made", "limit": limit, "seed": common.seed, **reader}
    with Progress(console=_err, transient=True) as progress:
        task = progress.add_task("measuring", total=len(plan.pairs) * len(plan.methods))
        done = measure(plan, on_row=lambda _row: progress.advance(task))
    summary = write_report(output, plan, done, asked)
    failed = sum(row["status"] == FAILED for row in done.rows)
    _out.print(Text(_tables(summary)), soft_wrap=True)
    _out.print(
        Text(f"{len(done.rows) - failed} rows measured, {failed} failed. Open {printable(str(summary))}"),
        soft_wrap=True,
    )
    raise typer.Exit(1 if failed or done.notes else 0)


def _result_folders(given: Sequence[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for text in given:
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


def _network_settings(presets: Sequence[str] | None, flags: dict[str, Any], config: Path | None) -> list[Settings]:
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
    degradations: Sequence[str],
    suffixes: Sequence[str],
    read: Callable[[Path], Any],
) -> list[Any]:
    from faithdiff_model.build import build_restorer
    from faithdiff_model.evaluation.methods import check_names, folder_method, network_method, plain_methods

    methods = plain_methods()
    check_names([*(method.name for method in methods), *folders, *(settings.preset for settings in networks)])
    methods += [folder_method(name, folder, degradations, suffixes, read) for name, folder in folders.items()]
    for settings in networks:
        restorer = build_restorer(settings.model_spec(), settings.restore_options(window_batch=1))
        methods.append(network_method(settings.preset, restorer))
    return methods


def _suffixes() -> tuple[str, ...]:
    from pipelines.media.kinds import PHOTO_SUFFIXES

    return tuple(PHOTO_SUFFIXES)


def _tables(summary: Path) -> str:
    """The part of the summary that has the results, for the terminal."""
    text = summary.read_text(encoding="utf-8")
    return text.partition("\n## How it was measured")[0].partition("\n\n")[2]
