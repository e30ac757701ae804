"""A store that commit 377f81f wrote is still done: nothing is restored again, and nothing in it counts as damaged."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scratched import name_detector

from pipelines.audit.fixity import Check
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import whole_row
from pipelines.settings import Settings
from pipelines.store.store import Store

STORE = Path(__file__).parents[1] / "data" / "store_of_377f81f.json"
TYPES = {
    "bool": pa.bool_(),
    "double": pa.float64(),
    "list<element: string>": pa.list_(pa.string()),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
}
FAILED = {"1924/torn.jpg": "failed before"}
RESTORED = {"1924/на даче.jpg", "1931/frames/f_%03d.png", "1931/reel.mkv", "plate 16.tif", "portrait.png"}
MANIFEST = "restored/_faitharchive/manifest"


def table_of(manifest_file: dict[str, Any]) -> pa.Table:
    """A manifest file's rows with the columns that it had."""
    columns = manifest_file["schema"].items()
    schema = pa.schema([(name, TYPES.get(text) or pa.type_for_alias(text)) for name, text in columns])
    return pa.Table.from_pylist(manifest_file["rows"], schema=schema)


@pytest.fixture(scope="module")
def store() -> dict[str, Any]:
    """The store as `tests/data/README.md` describes it."""
    content: dict[str, Any] = json.loads(STORE.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def archive(store: dict[str, Any], tmp_path: Path) -> Path:
    """The store's files in a folder, the sources with their times."""
    for name, file in store["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "rows" in file:
            pq.write_table(table_of(file), path)
        elif "text" in file:
            path.write_text(file["text"], encoding="utf-8", newline="")
        else:
            path.write_bytes(base64.b64decode(file["base64"]))
        if name.startswith("scans/"):
            os.utime(path, (store["modified"], store["modified"]))
    return tmp_path


@pytest.fixture
def rows(store: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the manifest says of each restored item, by source path."""
    tables = [table_of(file) for file in store["files"].values() if "rows" in file]
    return {row["source_path"]: row for table in tables for row in table.to_pylist() if row["status"] == "restored"}


def plan_of(archive: Path, store: dict[str, Any], **changes: Any) -> Plan:
    """What is due with the settings of that day, when nobody looked for damage."""
    stores = {"source": archive / "scans", "output": archive / "restored", "catalogue": archive / "captions.csv"}
    chosen = store["settings"] | {"repair_damage": "off"} | changes
    return make_plan(Settings(**{name: str(path) for name, path in stores.items()}, **chosen))


def reasons(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: reason for row, reason in zip(plan.pending, plan.pending.reasons, strict=True)}


def problems(archive: Path, rows: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """What verification finds, by source path."""
    check = Check(Store(str(archive / "scans")), Store(str(archive / "restored")))
    answers = check([whole_row(row) for row in rows.values()]).to_pylist()
    found = zip(rows, answers, strict=True)
    return {path: [f"{p['what']} {p['problem']}" for p in answer["problems"]] for path, answer in found}


def test_nothing_is_due_but_what_failed(archive: Path, store: dict[str, Any]) -> None:
    plan = plan_of(archive, store)
    assert reasons(plan) == FAILED
    assert [row["attempt"] for row in plan.pending] == [3]  # it failed in both runs that tried it
    assert (plan.done, list(plan.final_rows), plan.quarantined, plan.skipped) == (len(RESTORED), [], [], {})


def test_the_sidecars_alone_say_the_same(archive: Path, store: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    shutil.rmtree(archive / MANIFEST)
    plan = plan_of(archive, store)
    assert reasons(plan) == {path: "new" for path in FAILED}
    assert plan.done == len(RESTORED)
    adopted = {row["source_path"]: row for row in plan.final_rows}
    assert {path: {name: row[name] for name in rows[path]} for path, row in adopted.items()} == rows


def test_every_result_is_sound(archive: Path, rows: dict[str, dict[str, Any]]) -> None:
    assert problems(archive, rows) == {path: [] for path in RESTORED}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"seed": 1}, "seed changed"), ({"steps": 2}, "settings changed"), ({"attention": "spatial"}, "settings changed")],
)
def test_other_settings_are_seen(archive: Path, store: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    assert reasons(plan_of(archive, store, **changes)) == {path: reason for path in RESTORED} | FAILED


@pytest.mark.parametrize("mode", ["fill", "mark"])
def test_looking_for_damage_is_another_setting_of_photographs(
    archive: Path, store: dict[str, Any], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_detector(monkeypatch)
    due = {path: "settings changed" for path in ("1924/на даче.jpg", "plate 16.tif", "portrait.png")}
    assert reasons(plan_of(archive, store, repair_damage=mode)) == due | FAILED


def flip_a_byte(path: Path) -> None:
    """Change a file's last byte but nineteen, and neither its size nor its time."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch(path: Path) -> None:
    flip_a_byte(path)
    os.utime(path, (1, 1))


def describe_otherwise(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace("garden", "forest"), encoding="utf-8")


def record_another_model(folder: Path) -> None:
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        place = table.schema.get_field_index("model_digest")
        other = pa.array(["0" * 64] * len(table), pa.string())
        pq.write_table(table.set_column(place, table.schema.field(place), other), path)


@pytest.mark.parametrize(
    ("change", "name", "due"),
    [
        (Path.unlink, "restored/portrait.png.restoration.json", {"portrait.png": "result missing"}),
        (Path.unlink, "restored/1931/reel.mkv", {"1931/reel.mkv": "result missing"}),
        (touch, "scans/plate 16.tif", {"plate 16.tif": "source changed"}),
        (touch, "scans/1931/frames/f_006.png", {"1931/frames/f_%03d.png": "source changed"}),
        (describe_otherwise, "captions.csv", {"portrait.png": "settings changed"}),
        (record_another_model, MANIFEST, {path: "model changed" for path in RESTORED}),
    ],
)
def test_other_files_are_seen(
    archive: Path, store: dict[str, Any], change: Callable[[Path], None], name: str, due: dict[str, str]
) -> None:
    change(archive / name)
    assert reasons(plan_of(archive, store)) == due | FAILED


def test_another_digest_in_a_sidecar_is_seen(archive: Path, store: dict[str, Any]) -> None:
    shutil.rmtree(archive / MANIFEST)
    path = archive / "restored/plate 16.tif.restoration.json"
    sidecar = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(sidecar | {"settings_digest": "0" * 64}), encoding="utf-8")
    plan = plan_of(archive, store)
    assert reasons(plan) == {"plate 16.tif": "settings changed", "1924/torn.jpg": "new"}
    assert plan.done == len(RESTORED) - 1


@pytest.mark.parametrize(
    ("name", "path", "problem"),
    [
        ("restored/1924/на даче.png", "1924/на даче.jpg", "result altered"),
        ("restored/1931/frames/f.frames/f_005.png", "1931/frames/f_%03d.png", "result altered"),
        ("scans/1931/reel.mkv", "1931/reel.mkv", "source altered"),
    ],
)
def test_an_altered_byte_is_found(
    archive: Path, rows: dict[str, dict[str, Any]], name: str, path: str, problem: str
) -> None:
    flip_a_byte(archive / name)
    assert problems(archive, rows) == {known: [] for known in RESTORED} | {path: [problem]}
