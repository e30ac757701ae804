"""`faitharchive capacity`: what an archive of a given size would take, from what was measured, and from what is given."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console.tables import printable
from pipelines.capacity.estimate import Estimate, estimate
from pipelines.capacity.inputs import DRIVER_ROWS, GIVEN, MEASURED, Archive, Basis, Known, Pool, Prices
from pipelines.capacity.throughput import Measurement, measure
from pipelines.settings import Settings
from pipelines.store.stores import open_store

_out = Console()
_FEW = 30  # photographs, below which a mean is said to be of few
_UNITS = {
    "restore": "s of a replica a megapixel of result", "caption": "s of a captioner a photograph",
    "decode": "CPU s a megapixel of source", "write": "CPU s a megapixel of result",
    "source_bytes": "bytes a megapixel of source", "result_bytes": "bytes a megapixel of result",
    "sidecar_bytes": "bytes a sidecar", "manifest_bytes": "bytes a manifest row",
}  # fmt: skip
_WORK, _HAVE, _PRICES = "The archive", "What there is to do it", "Prices (any currency; none is known here)"


def _option(text: str, panel: str, **named: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, **named)


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
    found = measure(open_store(output), device=device, preset=preset) if output else None
    if found is None and not seconds_a_megapixel:
        where = (
            f"output {printable(open_store(output).uri(''))}: has no restored photograph to measure" if output else ""
        )
        raise ValueError(
            f"{where or 'no speed is known'}; restore some photographs on the device first, or give --seconds-a-megapixel"
        )
    if found is None and not megapixels:
        raise ValueError("how large a photograph is was neither measured nor given; give --megapixels")
    archive = _archive(items, megapixels, upscale, preset, found)
    given: dict[str, float] = {
        "restore": seconds_a_megapixel, "caption": seconds_a_caption,
        "source_bytes": source_mb * 1e6 / archive.megapixels,
        "result_bytes": result_mb * 1e6 / (archive.megapixels * archive.enlargement),
    }  # fmt: skip
    said: dict[str, Any] = {name: Known(value, GIVEN) for name, value in given.items() if value}
    basis = replace(found.basis if found else Basis(device=device), **said)
    pool = Pool(
        gpus=gpus,
        hours=hours_a_night,
        captioners=captioners,
        cpus=cpus,
        drivers=drivers,
        driver_rows=Known(driver_rows, GIVEN) if driver_rows else DRIVER_ROWS,
        compacted=compacted,
        prefixes=store_prefixes,
    )
    prices = Prices(
        gpu_hour=gpu_price,
        cpu_hour=cpu_price,
        gb_month=storage_price,
        thousand_writes=write_price,
        thousand_reads=read_price,
    )
    result = estimate(basis, archive, pool, prices)
    if as_json:
        sys.stdout.write(json.dumps(_plain(basis, archive, pool, prices, found, result), indent=1) + "\n")
    else:
        _show(basis, archive, pool, found, result, {"megapixels": megapixels, "upscale": upscale})


def _archive(items: int, megapixels: float, upscale: int, preset: str, found: Measurement | None) -> Archive:
    """Tiles are those of a square photograph with the default tile size."""
    from pipelines.stages.tiling import tile_places

    size = megapixels or (found.megapixels if found else 0.0)
    enlargement = float(upscale**2) or (found.enlargement if found else float(Settings().upscale ** 2))
    settings = Settings(
        preset=preset or (found.preset if found else "sdxl"), upscale=max(1, round(math.sqrt(enlargement)))
    )
    side = max(1, round(math.sqrt(size * 1e6)))
    return Archive(items=items, megapixels=size, enlargement=enlargement, tiles=len(tile_places(side, side, settings)))


def _plain(
    basis: Basis, archive: Archive, pool: Pool, prices: Prices, found: Measurement | None, result: Estimate
) -> dict[str, Any]:
    measured = {name: value for name, value in asdict(found).items() if name != "basis"} if found else None
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
    basis: Basis, archive: Archive, pool: Pool, found: Measurement | None, result: Estimate, said: dict[str, float]
) -> None:
    table = Table(title="What is known")
    for heading in ("", "value", "unit", "how"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, how in (("megapixels", ""), ("enlargement", "upscale")):
        known = GIVEN if said[how or name] else MEASURED if found else "default"
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
    _out.print(table)
    table = Table(title=f"What {archive.items:,} photographs take")
    for heading in ("", "value", "unit", "how"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for figure in result.figures.values():
        table.add_row(figure.name.replace("_", " "), _number(figure.value), figure.unit, figure.how)
    _out.print(table)
    rates = ", ".join(
        f"{name} {_number(rate.value)}" for name, rate in sorted(result.rates.items(), key=lambda r: r[1].value)
    )
    _say(f"Held up by: {result.bottleneck}. Photographs a second that each would let through: {rates}")
    if result.unknown:
        _say(f"Not said, so not in it: {'; '.join(result.unknown)}")
    _say("Left out: start-up of each night, failures and what is done again, egress, idle time between nights.")
    if found:
        _say(_about(found), style="yellow" if not found.trained or found.settings > 1 or found.items < _FEW else "")


def _about(found: Measurement) -> str:
    low, half, high = (_number(value) for value in found.spread)
    text = (
        f"Measured on {found.items} photographs, {found.preset} on {found.device}: {low} to {high} s a megapixel (10 to 90 %), "
        f"half at {half}."
    )
    if found.items < _FEW:
        text += f" Fewer than {_FEW}: measure more."
    if found.settings > 1:
        text += f" They had {found.settings} different settings, whose speeds may differ."
    if not found.trained:
        text += " The network is untrained: a speed, but no restorations."
    return text


def _say(text: str, style: str = "") -> None:
    _out.print(Text(printable(text), style=style), soft_wrap=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
