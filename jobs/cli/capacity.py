"""`faitharchive capacity`: what an archive of a given size would take, from what was measured, and from what is given."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.table import Table

from jobs.console.terminal import OUT, print_line, printable
from pipelines.capacity.estimate import Estimate, estimate
from pipelines.capacity.inputs import DRIVER_ROWS, GIVEN, MEASURED, Archive, Basis, Known, Pool, Prices
from pipelines.capacity.throughput import Measurement, measure
from pipelines.settings import Settings
from pipelines.store.stores import open_store

__all__ = ["capacity"]

_FEW = 30  # photographs, below which a mean is said to be of few
_UNITS = {
    "restore": "s of a replica a megapixel of result", "caption": "s of a captioner a photograph",
    "decode": "CPU s a megapixel of source", "write": "CPU s a megapixel of result",
    "source_bytes": "bytes a megapixel of source", "result_bytes": "bytes a megapixel of result",
    "sidecar_bytes": "bytes a sidecar", "manifest_bytes": "bytes a manifest row",
}  # fmt: skip
_WORK, _HAVE, _PRICES = "The archive", "What there is to do it", "Prices (any currency; none is known here)"


def _option(text: str, panel: str, *, min: float | None = None, max: float | None = None) -> object:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, min=min, max=max)


def capacity(
    items: Annotated[int, _option("Photographs.", _WORK, min=1)],
    gpus: Annotated[int, _option("Replicas, a device each.", _HAVE, min=1)],
    hours_a_night: Annotated[float, _option("Hours of work a night.", _HAVE, min=0.01, max=24)],
    output: Annotated[str, typer.Argument(help="Results that were measured; without, speeds are given.")] = "",
    megapixels: Annotated[float, _option("Of a source; as measured by default.", _WORK, min=0)] = 0,
    upscale: Annotated[int, _option("Enlargement; as measured by default.", _WORK, min=0, max=8)] = 0,
    source_mb: Annotated[float, _option("10^6 bytes of a source; as measured by default.", _WORK, min=0)] = 0,
    result_mb: Annotated[float, _option("10^6 bytes of a result; as measured by default.", _WORK, min=0)] = 0,
    preset: Annotated[str, _option("Network whose measurements count, if there are several.", _HAVE)] = "",
    device: Annotated[str, _option("Device whose measurements count, if there are several.", _HAVE)] = "",
    seconds_a_megapixel: Annotated[float, _option("Of a replica and a megapixel of result.", _HAVE, min=0)] = 0,
    captioners: Annotated[int, _option("Captioners, a device each; 0 is no captions.", _HAVE, min=0)] = 0,
    seconds_a_caption: Annotated[float, _option("Of a captioner; as measured by default.", _HAVE, min=0)] = 0,
    cpus: Annotated[int, _option("For reading and writing; 0 is as many as it takes.", _HAVE, min=0)] = 0,
    drivers: Annotated[int, _option("Runs side by side, an output store each.", _HAVE, min=1)] = 1,
    driver_rows: Annotated[float, _option("Rows a second through a driver; 30 by default.", _HAVE, min=0)] = 0,
    compacted: Annotated[bool, _option("The manifest is compacted after each night.", _HAVE)] = False,
    store_prefixes: Annotated[int, _option("Prefixes that take 3,500 writes and 5,500 reads/s.", _HAVE, min=1)] = 1,
    gpu_price: Annotated[float | None, _option("Of a device for an hour.", _PRICES, min=0)] = None,
    cpu_price: Annotated[float | None, _option("Of a CPU for an hour.", _PRICES, min=0)] = None,
    storage_price: Annotated[float | None, _option("Of 10^9 bytes for a month.", _PRICES, min=0)] = None,
    write_price: Annotated[float | None, _option("Of 1,000 PUT, POST and LIST requests.", _PRICES, min=0)] = None,
    read_price: Annotated[float | None, _option("Of 1,000 GET and HEAD requests.", _PRICES, min=0)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
) -> None:
    """Say what an archive would take: device hours, nights, storage, requests, money, and what holds it up.

    Speeds are those of OUTPUT's manifest, of the device that did the work, or are given. None is assumed: restore a few dozen
    typical photographs on the device in question first. Each figure says whether it was measured, given, counted from the code,
    documented by the store's maker, or is arithmetic.
    """
    speeds = measure(open_store(output), device=device, preset=preset) if output else None
    if speeds is None:
        _check_speeds(output, seconds_a_megapixel, megapixels)
    elif gpu_price is not None and not (seconds_a_megapixel or device):
        _check_device(speeds)
    archive = _archive(items, megapixels, upscale, preset, speeds)
    measured = speeds.basis if speeds else Basis(device=device)
    basis = replace(
        measured,
        restore=_given(seconds_a_megapixel) or measured.restore,
        caption=_given(seconds_a_caption) or measured.caption,
        source_bytes=_given(source_mb * 1e6 / archive.megapixels) or measured.source_bytes,
        result_bytes=_given(result_mb * 1e6 / (archive.megapixels * archive.enlargement)) or measured.result_bytes,
    )
    pool = Pool(
        gpus=gpus, hours=hours_a_night, captioners=captioners, cpus=cpus, drivers=drivers,
        driver_rows=_given(driver_rows) or DRIVER_ROWS, compacted=compacted, prefixes=store_prefixes,
    )  # fmt: skip
    prices = Prices(
        gpu_hour=gpu_price, cpu_hour=cpu_price, gb_month=storage_price, thousand_writes=write_price,
        thousand_reads=read_price,
    )  # fmt: skip
    result = estimate(basis, archive, pool, prices)
    if as_json:
        sys.stdout.write(json.dumps(_plain(basis, archive, pool, prices, speeds, result), indent=1) + "\n")
    else:
        _show(basis, archive, pool, speeds, result, {"megapixels": megapixels, "upscale": upscale})


def _check_speeds(output: str, seconds_a_megapixel: float, megapixels: float) -> None:
    """Refuse to work out anything where nothing was measured and too little is given."""
    if not seconds_a_megapixel:
        where = (
            f"output {printable(open_store(output).uri(''))}: has no restored photograph to measure" if output else ""
        )
        raise ValueError(
            f"{where or 'no speed is known'}; restore some photographs on the device first, or give --seconds-a-megapixel"
        )
    if not megapixels:
        raise ValueError("how large a photograph is was neither measured nor given; give --megapixels")


def _check_device(speeds: Measurement) -> None:
    """Refuse to price GPUs by what a CPU took."""
    if speeds.device.startswith("cpu"):
        raise ValueError(
            f"what was measured is a CPU's speed ({speeds.device}), and --gpu-price would make it a GPU's price; give "
            "the GPU's --seconds-a-megapixel, or --device cpu if devices at that price are as slow"
        )


def _given(value: float) -> Known | None:
    return Known(value, GIVEN) if value else None


def _archive(items: int, megapixels: float, upscale: int, preset: str, speeds: Measurement | None) -> Archive:
    """Tiles are those of a square photograph with the default tile size."""
    from pipelines.stages.tiling import tile_places

    size = megapixels or (speeds.megapixels if speeds else 0.0)
    enlargement = float(upscale**2) or (speeds.enlargement if speeds else float(Settings().upscale ** 2))
    settings = Settings(
        preset=preset or (speeds.preset if speeds else "sdxl"), upscale=max(1, round(math.sqrt(enlargement)))
    )
    side = max(1, round(math.sqrt(size * 1e6)))
    return Archive(items=items, megapixels=size, enlargement=enlargement, tiles=len(tile_places(side, side, settings)))


def _plain(
    basis: Basis, archive: Archive, pool: Pool, prices: Prices, speeds: Measurement | None, result: Estimate
) -> dict[str, object]:
    measured = {name: value for name, value in asdict(speeds).items() if name != "basis"} if speeds else None
    known = {
        name: getattr(basis, name)._asdict() | {"unit": unit} for name, unit in _UNITS.items() if getattr(basis, name)
    }
    return {
        "archive": asdict(archive),
        "pool": {name: value._asdict() if isinstance(value, Known) else value for name, value in vars(pool).items()},
        "prices": asdict(prices),
        "measured": measured,
        "known": known,
        "figures": {name: figure._asdict() for name, figure in result.figures.items()},
        "rates": {name: rate.value for name, rate in result.rates.items()},
        "bottleneck": result.bottleneck,
        "unknown": result.unknown,
    }


def _show(
    basis: Basis, archive: Archive, pool: Pool, speeds: Measurement | None, result: Estimate, flags: dict[str, float]
) -> None:
    table = Table(title="What is known")
    for heading in ("", "value", "unit", "how"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, how in (("megapixels", ""), ("enlargement", "upscale")):
        known = GIVEN if flags[how or name] else MEASURED if speeds else "default"
        table.add_row(name, _number(getattr(archive, name)), "a source" if not how else "of area", known)
    for name, unit in _UNITS.items():
        value: Known | None = getattr(basis, name)
        if value is not None:
            table.add_row(name.replace("_", " "), _number(value.value), unit, value.how)
    for name, limit, unit in (
        ("driver", pool.driver_rows, "rows a second, one driver"),
        ("store writes", pool.writes, "a second and prefix"),
        ("store reads", pool.reads, "a second and prefix"),
    ):
        table.add_row(name, _number(limit.value), unit, limit.how)
    OUT.print(table)
    table = Table(title=f"What {archive.items:,} photographs take")
    for heading in ("", "value", "unit", "how"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for figure in result.figures.values():
        table.add_row(figure.name.replace("_", " "), _number(figure.value), figure.unit, figure.how)
    OUT.print(table)
    rates = ", ".join(
        f"{name} {_number(rate.value)}" for name, rate in sorted(result.rates.items(), key=lambda r: r[1].value)
    )
    print_line(f"Held up by: {result.bottleneck}. Photographs a second that each would let through: {rates}")
    if result.unknown:
        print_line(f"Not said, so not in it: {'; '.join(result.unknown)}")
    print_line("Left out: start-up of each night, failures and what is done again, egress, idle time between nights.")
    if speeds:
        print_line(
            _about(speeds), style="yellow" if not speeds.trained or speeds.settings > 1 or speeds.items < _FEW else ""
        )


def _about(speeds: Measurement) -> str:
    low, half, high = (_number(value) for value in speeds.spread)
    text = (
        f"Measured on {speeds.items} photographs, {speeds.preset} on {speeds.device}: {low} to {high} s a megapixel "
        f"(10 to 90 %), half at {half}."
    )
    if speeds.items < _FEW:
        text += f" Fewer than {_FEW}: measure more."
    if speeds.settings > 1:
        text += f" They had {speeds.settings} different settings, whose speeds may differ."
    if not speeds.trained:
        text += " The network is untrained: a speed, but no restorations."
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
