"""What an archive of a given size would take: hours, nights, storage, requests, money. Arithmetic on figures that are known.

A figure is *measured* (in the manifest of an output store, on the device that its rows name: `throughput.py` beside this),
*given* by the user, *counted* (from this code: `store_requests.py`), *documented* (by a store's maker) or *arithmetic* on
such. Nothing is assumed about a device's speed, and no price is known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.capacity.inputs import ARITHMETIC, COUNTED, Archive, Basis, Known, Pool, Prices
from pipelines.capacity.store_requests import Requests, fence_requests, item_requests, manifest_files, plan_requests

__all__ = ["Estimate", "Figure", "estimate"]

# A node, whose processes ask together after the lease: of so many GPUs, or of so many CPUs where there are none.
_NODE_GPUS, _NODE_CPUS = 8, 32
_PART_BYTES = 6  # a pixel of a durable tile: RGB in 16 bits, before its compression (pipelines/stages/tile_parts.py)


class Figure(NamedTuple):
    """A line of an estimate."""

    name: str
    value: float
    unit: str
    how: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What it takes.

    Attributes:
        figures: by name, in the order to be shown.
        rates: photographs a second that each resource alone would let through.
        bottleneck: the least of them.
        unknown: what could not be computed, and what to say so that it can be.
    """

    figures: Mapping[str, Figure]
    rates: Mapping[str, Known]
    bottleneck: str
    unknown: list[str] = field(default_factory=list)


def estimate(basis: Basis, archive: Archive, pool: Pool, prices: Prices) -> Estimate:
    """Put it together.

    Raises:
        ValueError: the speed of the device is unknown.
    """
    if basis.restore is None:
        raise ValueError(
            "nothing says how fast the device is: restore some photographs first, or give --seconds-a-megapixel"
        )
    if pool.captioners and basis.caption is None:
        raise ValueError(
            "nothing says how fast a captioner is: restore some with --captions llava, or give --seconds-a-caption"
        )
    return _Sum(basis, archive, pool, prices).estimate()


class _Sum:
    """An estimate on its way."""

    def __init__(self, basis: Basis, archive: Archive, pool: Pool, prices: Prices) -> None:
        self.basis, self.archive, self.pool, self.prices = basis, archive, pool, prices
        self.figures: dict[str, Figure] = {}
        self.unknown: list[str] = []
        self.result_mp = archive.megapixels * archive.enlargement

    def estimate(self) -> Estimate:
        basis, archive, pool = self.basis, self.archive, self.pool
        assert basis.restore is not None
        restore = basis.restore.value * self.result_mp
        cpu = self._cpu_seconds()
        source = basis.source_bytes.value * archive.megapixels if basis.source_bytes else None
        result = basis.result_bytes.value * self.result_mp if basis.result_bytes else None
        each = item_requests(archive.tiles, source or 0, result or 0)
        rates = self._rates(restore, cpu, each)
        bottleneck = min(rates, key=lambda name: rates[name].value)
        rate = rates[bottleneck].value
        hours = archive.items / rate / 3600
        nights = math.ceil(hours / pool.hours)

        self._add("result_megapixels", self.result_mp, "megapixels a photograph", ARITHMETIC)
        self._add("tiles", archive.tiles, "a photograph", COUNTED)
        self._add("restore_seconds", restore, f"s a photograph of {basis.device or 'a device'}", ARITHMETIC)
        self._add("items_a_second", rate, "photographs a second", ARITHMETIC)
        self._add("hours", hours, "hours of the whole pool", ARITHMETIC)
        self._add("nights", nights, f"nights of {pool.hours:g} hours", ARITHMETIC)
        self._add("gpu_hours_at_work", archive.items * restore / 3600, "device hours", ARITHMETIC)
        self._add("gpu_hours_held", (pool.gpus + pool.captioners) * hours, "device hours, idle ones too", ARITHMETIC)
        self._add("gpu_share_at_work", rate / rates["GPUs"].value, "of the replicas' time", ARITHMETIC)
        if pool.captioners and basis.caption:
            self._add(
                "caption_gpu_hours_at_work", archive.items * basis.caption.value / 3600, "device hours", ARITHMETIC
            )
        if cpu is not None:
            self._add("cpu_hours_at_work", archive.items * cpu / 3600, "CPU hours", ARITHMETIC)
            self._add("cpus_busy", cpu * rate, "CPUs at this rate", ARITHMETIC)
        else:
            self.unknown.append("CPU hours (restore some photographs first)")
        self._storage(source, result, rate)
        self._requests(each, rate, hours, nights, cpu)
        self._money()
        return Estimate(figures=self.figures, rates=rates, bottleneck=bottleneck, unknown=self.unknown)

    def _cpu_seconds(self) -> float | None:
        if self.basis.decode is None or self.basis.write is None:
            return None
        return self.basis.decode.value * self.archive.megapixels + self.basis.write.value * self.result_mp

    def _rates(self, restore: float, cpu: float | None, each: Requests) -> dict[str, Known]:
        pool, tiles = self.pool, self.archive.tiles
        rates = {"GPUs": Known(pool.gpus / restore, ARITHMETIC)}
        if pool.captioners and self.basis.caption:
            rates["captioners"] = Known(pool.captioners / self.basis.caption.value, ARITHMETIC)
        if pool.cpus and cpu:
            rates["CPUs"] = Known(pool.cpus / cpu, ARITHMETIC)
        rows = tiles + (tiles > 1)  # each tile is a row, and the whole is one once more where it is joined
        rates["driver"] = Known(pool.drivers * pool.driver_rows.value / rows, ARITHMETIC)
        rates["store writes"] = Known(pool.prefixes * pool.writes.value / (each.write + each.delete), ARITHMETIC)
        rates["store reads"] = Known(pool.prefixes * pool.reads.value / (each.get + each.head + each.list), ARITHMETIC)
        return rates

    def _storage(self, source: float | None, result: float | None, rate: float) -> None:
        items = self.archive.items
        for name, size, say in (
            ("sources", source, "--source-mb"),
            ("results", result, "--result-mb"),
            ("sidecars", self.basis.sidecar_bytes and self.basis.sidecar_bytes.value, ""),
            ("manifest", self.basis.manifest_bytes and self.basis.manifest_bytes.value, ""),
        ):
            if size is None:
                self.unknown.append(f"bytes of {name} ({say or 'restore some photographs first'})")
            else:
                self._add(f"{name}_gb", items * size / 1e9, "GB (10^9 bytes)", ARITHMETIC)
        cut = self.archive.tiles > 1
        reads = (
            source * (1 + cut) if source is not None else None
        )  # of a photograph in tiles once more, when it is joined
        for name, size in (("read", reads), ("written", result)):
            if size is not None:
                self._add(
                    f"gbit_a_second_{name}", size * rate * 8 / 1e9, "Gbit/s at this rate, parts apart", ARITHMETIC
                )
        if cut:
            raw = self.result_mp * 1e6 * _PART_BYTES
            self._add("parts_gb", items * raw / 1e9, "GB written, read and removed, uncompressed", COUNTED)
            self._add("gbit_a_second_parts", 2 * raw * rate * 8 / 1e9, "Gbit/s there and back, uncompressed", COUNTED)

    def _requests(self, each: Requests, rate: float, hours: float, nights: int, cpu: float | None) -> None:
        files = manifest_files(self.archive.items / nights, min(hours, self.pool.hours))
        nodes = max(math.ceil((self.pool.gpus + self.pool.captioners) / _NODE_GPUS), (cpu or 0) * rate / _NODE_CPUS)
        parts = {
            "items": each.times(self.archive.items),
            "plans": plan_requests(self.archive.items, nights, files, compacted=self.pool.compacted),
            "leases": fence_requests(nodes, hours),
            "manifest": Requests(write=files * nights),
        }
        total = Requests()
        for name, requests in parts.items():
            total += requests
            self._add(f"requests_{name}", sum(vars(requests).values()), "requests", COUNTED)
        for kind, number in vars(total).items():
            name = "PUT and POST" if kind == "write" else kind.upper()
            self._add(f"requests_{kind}", number, f"{name} of all requests", COUNTED)
        self._add("manifest_files", files * nights, "files that runs write", COUNTED)
        self._add("requests_a_second", sum(vars(each).values()) * rate, "requests a second, of items", COUNTED)

    def _money(self) -> None:
        prices, value = self.prices, {name: figure.value for name, figure in self.figures.items()}
        stored = [value.get(f"{name}_gb") for name in ("results", "sidecars", "manifest")]
        total = 0.0
        for name, price, amount, say in (
            ("gpus", prices.gpu_hour, value["gpu_hours_held"], "--gpu-price"),
            ("cpus", prices.cpu_hour, value.get("cpu_hours_at_work"), "--cpu-price"),
            (
                "writes",
                prices.thousand_writes,
                (value["requests_write"] + value["requests_list"]) / 1000,
                "--write-price",
            ),
            ("reads", prices.thousand_reads, (value["requests_get"] + value["requests_head"]) / 1000, "--read-price"),
        ):
            if price is None or amount is None:
                self.unknown.append(f"money for {name} ({say})")
            else:
                total += self._add(f"money_{name}", price * amount, "in the currency of the prices", ARITHMETIC)
        if total:
            self._add("money", total, "in the currency of the prices, of what has a price", ARITHMETIC)
            self._add("money_a_thousand", total / self.archive.items * 1000, "a thousand photographs", ARITHMETIC)
        if prices.gb_month is None or stored[0] is None:
            self.unknown.append("money for storage (--storage-price)")
        else:
            stored_gb = sum(size or 0.0 for size in stored)
            self._add("money_storage", prices.gb_month * stored_gb, "a month, for all that is written", ARITHMETIC)

    def _add(self, name: str, value: float, unit: str, how: str) -> float:
        self.figures[name] = Figure(name, value, unit, how)
        return value
