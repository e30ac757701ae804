"""What an output store's manifest really measured: seconds a megapixel by stage, on one device, and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from faithdiff_model.redaction import redact_url
from pipelines.capacity.inputs import MEASURED, Basis, Known
from pipelines.manifest.index import RowTable
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.scratch import scratch_database
from pipelines.manifest.sidecar import sidecar_bytes
from pipelines.rows import RESTORED
from pipelines.store.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Measurement", "measure"]

_COLUMNS = (
    "item_id", "run_id", "finished_at", "status", "media_kind", "device", "model_preset", "model_trained", "settings_digest",
    "width", "height", "output_width", "output_height", "source_size", "output_size", "seconds_read", "seconds_decode",
    "seconds_damage", "seconds_caption", "seconds_tile", "seconds_restore", "seconds_write",
)  # fmt: skip
_SIDECARS = 50  # whose bytes are looked at
# A file of fewer is mostly its own frame (tests/benchmarks/compaction.py), and tells nothing of a row's bytes.
_LEAST_ROWS = 500


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Figures of the restored photographs of one network on one device, by their current rows.

    Attributes:
        basis: for an estimate.
        items: photographs.
        preset, device: network and device.
        trained: false where the weights are random: a speed, but no restorations.
        settings: how many different settings they were restored with; their speeds may differ.
        megapixels: of a source, mean.
        enlargement: megapixels of result a megapixel of source.
        spread: seconds of the model a megapixel of result, at the 10th, 50th and 90th hundredth.
    """

    basis: Basis
    items: int
    preset: str
    device: str
    trained: bool
    settings: int
    megapixels: float
    enlargement: float
    spread: tuple[float, float, float]


def measure(output: Store, *, device: str = "", preset: str = "") -> Measurement | None:
    """Look at the manifest; memory stays bounded. None if it has no restored photograph that fits.

    Films are left out: their seconds are of frames.

    Args:
        output: the output store.
        device: only rows of this device.
        preset: only rows of this network.

    Raises:
        StoreError: there is no such store, or a manifest file cannot be read.
        ValueError: there are several devices or networks, and none was chosen.
    """
    output.check_exists("output")
    with scratch_database() as database:
        manifest_bytes, sidecars = _load(database, output)
        database.execute(
            "create table done as select * from newest "
            f"where status = '{RESTORED}' and media_kind is distinct from 'film' and seconds_restore > 0 "
            "and device is not null and ($device = '' or device = $device) and ($preset = '' or model_preset = $preset)",
            {"device": device, "preset": preset},
        )
        groups = database.execute(
            "select model_preset, device, count(*), bool_and(coalesce(model_trained, false)), count(distinct settings_digest) "
            "from done group by 1, 2 order by 3 desc, 1, 2"
        ).fetchall()
        if not groups:
            return None
        if len(groups) > 1:
            found = ", ".join(f"{name} on {where} ({count})" for name, where, count, _, _ in groups)
            raise ValueError(
                f"output {redact_url(output.url)}: was measured with {found}; choose one with --preset and --device"
            )
        ((name, where, count, trained, settings),) = groups
        return _measurement(database, manifest_bytes, sidecars, name or "", where, count, bool(trained), settings)


def _measurement(
    database: DuckDBPyConnection,
    manifest_bytes: float | None,
    sidecars: float | None,
    preset: str,
    device: str,
    items: int,
    trained: bool,
    settings: int,
) -> Measurement:
    ((source, result, restore, decode, write),) = database.execute(
        "select sum(width * height) / 1e6, sum(output_width * output_height) / 1e6, sum(seconds_restore), "
        "sum(coalesce(seconds_read, 0) + coalesce(seconds_decode, 0) + coalesce(seconds_damage, 0)), "
        "sum(coalesce(seconds_tile, 0) + coalesce(seconds_write, 0)) from done"
    ).fetchall()
    ((source_bytes, result_bytes, caption),) = database.execute(
        "select sum(source_size), sum(output_size), avg(seconds_caption) from done"
    ).fetchall()
    ((spread,),) = database.execute(
        "select quantile_cont(seconds_restore * 1e6 / (output_width * output_height), [0.1, 0.5, 0.9]) from done"
    ).fetchall()

    def known(value: float | None) -> Known | None:
        return Known(float(value), MEASURED) if value is not None else None

    basis = Basis(
        device=device,
        restore=known(restore / result),
        caption=known(caption),
        decode=known(decode / source),
        write=known(write / result),
        source_bytes=known(source_bytes / source),
        result_bytes=known(result_bytes / result),
        sidecar_bytes=known(sidecars),
        manifest_bytes=known(manifest_bytes),
    )
    low, half, high = (float(value) for value in spread)
    return Measurement(
        basis=basis,
        items=items,
        preset=preset,
        device=device,
        trained=trained,
        settings=settings,
        megapixels=source / items,
        enlargement=result / source,
        spread=(low, half, high),
    )


def _load(database: DuckDBPyConnection, output: Store) -> tuple[float | None, float | None]:
    """Make `newest`. Bytes of a manifest row, where files are large enough to tell, and of a sidecar, of the first rows."""
    rows = RowTable(database, _COLUMNS)
    size = count = 0
    sidecars: list[int] = []
    for entry in manifest_files(output):
        table = read_manifest_file(output, entry.path)
        rows.add(table)
        if table.num_rows >= _LEAST_ROWS:
            size, count = size + entry.size, count + table.num_rows
        if len(sidecars) < _SIDECARS:
            usable = pc.and_(pc.equal(table["status"], RESTORED), pc.is_valid(table["software"]))
            restored = table.filter(usable).slice(0, _SIDECARS - len(sidecars))
            sidecars += [len(sidecar_bytes(row)) for row in restored.to_pylist()]
    rows.keep_newest("newest")
    return size / count if count else None, sum(sidecars) / len(sidecars) if sidecars else None
