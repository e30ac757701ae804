"""An archive in a folder and its way through the stages one call at a time, without Ray and without a model."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.manifest.runs import new_run_id, write_run_record
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import CUT, MANIFEST_SCHEMA, PART_DONE, PENDING, RESTORED, Row, new_row
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.repair_damage import RepairDamage
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write
from pipelines.store.store import Store

MOMENT = datetime(2025, 6, 11, 22, 15, 0, 123456, tzinfo=UTC)


def picture(height: int, width: int, channels: int = 3, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """Smooth gradients with a little noise, HWC: structure for colour fixes, and no two seeds alike."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    planes = [rows, columns, (rows + columns) / 2, 1 - rows * columns]
    image = np.stack(planes[4 - channels :], axis=2) * 0.7 + 0.1
    image += np.random.default_rng(seed).normal(0, 0.04, image.shape)
    return np.rint(np.clip(image, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def save_photo(path: Path, pixels: np.ndarray | None = None, **options: Any) -> Path:
    """A photograph on disk; the extension chooses the format."""
    pixels = picture(20, 24) if pixels is None else pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, **options)
    return path


def archive_settings(folder: Path, **changes: Any) -> Settings:
    """Settings from `folder/scans` to `folder/restored`; the scans' folder is made."""
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "source": str(folder / "scans"),
        "output": str(folder / "restored"),
        "preset": "tiny",
        "steps": 1,
    }
    return Settings(**(values | changes))


def restore_without_model(
    settings: Settings,
    plan: Plan | None = None,
    run_id: str = "",
    record: bool = True,
    ended: bool = False,
    damage: bool = False,
) -> list[Row]:
    """Carry a plan out as a run would, the model's result being the enlarged scan itself.

    Args:
        settings: of the plan.
        plan: by default the one that is due.
        run_id: by default a new one.
        record: whether the rows reach the manifest; a crash leaves them out.
        ended: whether the run comes to its end and says so; otherwise it has died after its last row.
        damage: whether the stage that finds it is gone through.

    Returns:
        The final rows, all_runs_ended ones first.
    """
    plan = plan or make_plan(settings)
    stamp = {"run_id": run_id or new_run_id(), "flow_run_id": ""}
    decode, tile, write = Decode(settings), Tile(settings), Write(settings)
    rows = [{**row, **stamp} for row in plan.final_rows]
    for planned in plan.pending:
        table = run_stage(decode, table_of({**planned, **stamp}))
        if damage:
            table = run_stage(RepairDamage(settings), table)
        parts = [_written(settings, write, part) for part in run_stage(tile, table).to_pylist()]
        row = next((part for part in parts if part["status"] != PART_DONE), parts[0])
        if row["status"] == PART_DONE:  # pages
            (row,) = run_stage(Stitch(settings), table_of({**row, "status": PENDING})).to_pylist()
        rows.append({**row, "finished_at": row["finished_at"] or datetime.now(UTC)})
    if record:
        writer = ManifestWriter(Store(settings.output), stamp["run_id"])
        for row in rows:
            writer.add(row)
        writer.flush()
    if ended:
        write_run_record(Store(settings.output), stamp["run_id"], {"only": settings.only})
    return rows


def _written(settings: Settings, write: Write, part: Row) -> Row:
    """A photograph or page after the write stage."""
    if part["status"] != PENDING:
        return part
    part.update(software='{"torch": "none"}', device="none", lq_psnr_db=100.0, model_preset=settings.preset)
    (row,) = run_stage(write, table_of(part)).to_pylist()
    return row


def handed_out(table: Any) -> Any:
    """Segments of a film as the driver gives them to replicas."""
    rows: list[Row] = table.to_pylist()
    return table_of(*({**row, "status": PENDING if row["status"] == CUT else row["status"]} for row in rows))


def table_of(*rows: Row) -> Any:
    from pipelines.rows import to_table

    return to_table(list(rows))


def full_row(**changes: Any) -> Row:
    """A restored row with a value, odd where it may be, in every column of the manifest."""
    samples: dict[str, Any] = {"string": "x", "int64": 2**40, "int32": 3, "int16": 1, "double": 0.1, "bool": True}
    row = new_row()
    for field in MANIFEST_SCHEMA:
        row[field.name] = samples.get(str(field.type), MOMENT)
    row.update(
        schema_version=1,
        status=RESTORED,
        run_id="20250611T221500.123Z-abcdef",
        item_id="0" * 24,
        source_path="Семья/老照片 #1?\n.jpg",
        output_path="Семья/老照片 #1?\n.png",
        warnings=["one; two", 'three "quoted"'],
        error_code=None,
        error_stage=None,
        error_reason=None,
        frame_rate=None,
        settings='{"steps": 1}',
        software='{"torch": "2"}',
        film='{"segments": 2}',
        metadata='{"carried": ["EXIF"]}',
        model_revision='{"vae": "o/n@1"}',
        tone_curve='{"slopes": [[1.0]]}',
        page_facts='[{"page": 1}]',
        sensitive='{"face": {"regions": 1}}',
    )
    return row | changes
