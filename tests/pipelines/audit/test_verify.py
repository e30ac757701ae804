"""Fixity: what was changed after restoring is found, named rightly, and mended where no model is needed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tracemalloc
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from archive_steps import archive_settings, full_row, picture, restore_without_model, save_photo

from pipelines.audit.findings import PUBLISH_SIDECAR, RECORD_ROW, REDO, RESTORE, Findings, write_record
from pipelines.audit.fixity import PROBLEM_SCHEMA, Check
from pipelines.audit.repair import RepairResult, repair
from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.manifest.sidecar import sidecar_bytes
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST, VERIFICATIONS, sidecar_path
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store, StoreError

NAMES = ("a.png", "1924/b.tif", "Семья #1?.jpg", "d.png")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Four restored photographs."""
    for number, name in enumerate(NAMES):
        save_photo(tmp_path / "scans" / name, picture(20, 24, seed=number))
    settings = archive_settings(tmp_path)
    restore_without_model(settings)
    return settings


@pytest.fixture
def rows(settings: Settings) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


def source(settings: Settings, name: str = "a.png") -> Path:
    return Path(settings.source) / name


def result(settings: Settings, name: str = "a.png") -> Path:
    return Path(settings.output) / name


def sidecar(settings: Settings, name: str = "a.png") -> Path:
    return Path(settings.output) / sidecar_path(name)


def rot(path: Path) -> None:
    """Another byte, the same size and time."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def found(settings: Settings, row: Row, *, results_only: bool = False) -> list[str]:
    check = Check(None if results_only else Store(settings.source, 0.0), Store(settings.output, 0.0))
    return [f"{one['what']} {one['problem']}" for one in check.core(row)["problems"]]


def edit_sidecar(settings: Settings, **changes: Any) -> None:
    path = sidecar(settings)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def by_a_link_out(settings: Settings) -> None:
    outside = Path(settings.output).parent / "outside.png"
    result(settings).rename(outside)
    result(settings).symlink_to(outside)


DAMAGE: dict[str, tuple[Callable[[Settings], Any], list[str]]] = {
    "nothing": (lambda s: None, []),
    "source touched": (lambda s: source(s).touch(), []),
    "source deleted": (lambda s: source(s).unlink(), ["source missing"]),
    "source rotten": (lambda s: rot(source(s)), ["source altered"]),
    "source edited": (lambda s: save_photo(source(s), picture(21, 24)), ["source changed"]),
    "source a folder": (lambda s: (source(s).unlink(), source(s).mkdir()), ["source unreadable"]),
    "source a broken link": (lambda s: (source(s).unlink(), source(s).symlink_to("no")), ["source missing"]),
    "result deleted": (lambda s: result(s).unlink(), ["result missing"]),
    "result rotten": (lambda s: rot(result(s)), ["result altered"]),
    "result truncated": (lambda s: os.truncate(result(s), 9), ["result altered"]),
    "result emptied": (lambda s: os.truncate(result(s), 0), ["result altered"]),
    "result a folder": (lambda s: (result(s).unlink(), result(s).mkdir()), ["result unreadable"]),
    "result outside": (by_a_link_out, ["result unreadable"]),
    "result and sidecar deleted": (lambda s: (result(s).unlink(), sidecar(s).unlink()), ["result missing"]),
    "sidecar deleted": (lambda s: sidecar(s).unlink(), ["sidecar missing"]),
    "sidecar truncated": (lambda s: os.truncate(sidecar(s), 100), ["sidecar damaged"]),
    "sidecar another's": (lambda s: sidecar(s).write_bytes(sidecar(s, "d.png").read_bytes()), ["sidecar disagrees"]),
    "sidecar's hash edited": (lambda s: edit_sidecar(s, source_sha256="0" * 64), ["sidecar disagrees"]),
    "sidecar of a later version": (lambda s: edit_sidecar(s, schema_version=2), ["sidecar unreadable"]),
    "sidecar of another run": (lambda s: edit_sidecar(s, run_id="2000", source_version="touched"), []),
    "all at once": (
        lambda s: (rot(source(s)), rot(result(s)), sidecar(s).unlink()),
        ["source altered", "result altered"],
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_each_kind_of_damage_has_its_name(settings: Settings, rows: dict[str, Row], name: str) -> None:
    damage, expected = DAMAGE[name]
    damage(settings)
    assert found(settings, rows["a.png"]) == expected
    assert found(settings, rows["a.png"], results_only=True) == [one for one in expected if "source" not in one]
    assert all(found(settings, rows[other]) == [] for other in NAMES[1:])


def test_an_altered_source_is_told_from_an_edited_one(settings: Settings, rows: dict[str, Row]) -> None:
    rot(source(settings))
    (problem,) = Check(Store(settings.source, 0.0), Store(settings.output, 0.0)).core(rows["a.png"])["problems"]
    words = "source altered: its bytes are not those that were restored; bring it back from a copy"
    assert problem["text"] == words
    assert problem["expected"] == rows["a.png"]["source_sha256"] != problem["found"]
    source(settings).touch()
    assert found(settings, rows["a.png"]) == ["source changed"]


def test_a_lost_row_is_no_damage(settings: Settings, rows: dict[str, Row]) -> None:
    """A run that died after it published result and sidecar of a redo: they agree with each other and are newer."""
    restore_without_model(Settings(**(settings.model_dump() | {"upscale": 3})), record=False)
    assert found(settings, rows["a.png"]) == ["manifest row behind"]
    rot(result(settings))
    assert found(settings, rows["a.png"]) == ["result altered"]


def test_an_old_copy_of_result_and_sidecar_is_altered(settings: Settings) -> None:
    before = result(settings).read_bytes(), sidecar(settings).read_bytes()
    restore_without_model(Settings(**(settings.model_dump() | {"upscale": 3})))
    row = current_rows(Store(settings.output))[item_id("a.png")]
    assert found(settings, row) == []
    result(settings).write_bytes(before[0])
    sidecar(settings).write_bytes(before[1])
    assert found(settings, row) == ["result altered"]


def test_hashing_holds_chunks_not_files(tmp_path: Path) -> None:
    (tmp_path / "large.tif").write_bytes(bytes(48 << 20))
    tracemalloc.start()
    try:
        digest, size = Store(str(tmp_path)).sha256("large.tif")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 48 << 20
    assert digest == hashlib.sha256(bytes(size)).hexdigest()
    assert peak < 12 << 20


@pytest.mark.parametrize("size", [0, 1, 100, 101, 350])
@pytest.mark.parametrize("kind", ["local", "memory", "s3"])
def test_a_hash_is_the_whole_file_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str, size: int
) -> None:
    monkeypatch.setattr("pipelines.store.store._CHUNK", 100)
    name = uuid.uuid4().hex
    if kind == "s3":
        request.getfixturevalue("s3_server")
    store = Store({"local": str(tmp_path), "memory": f"memory://{name}", "s3": f"s3://verify-{name}"}[kind])
    if kind == "s3":
        store.fs.mkdir(store.root)
    data = os.urandom(size)
    store.publish("[a] #%?.tif", data)
    assert store.sha256("[a] #%?.tif") == (hashlib.sha256(data).hexdigest(), size)


def check_all(settings: Settings, findings: Findings | None = None, **options: Any) -> Findings:
    from pipelines.audit.verify import verify

    return verify(settings, findings or Findings(), **options)


@pytest.mark.ray
def test_the_stream_checks_every_item_once(settings: Settings, ray_session: None) -> None:
    calls: list[bool] = []
    counts: list[int] = []
    findings = check_all(settings, on_count=counts.append, on_item=calls.append)
    assert (findings.items, findings.unsound, counts, calls) == (4, set(), [4], [True] * 4)
    files = [
        path for name in NAMES for path in (source(settings, name), *Path(settings.output, name).parent.glob("*.*"))
    ]
    assert findings.bytes == sum(path.stat().st_size for path in {*files} if path.is_file())

    rot(source(settings, "d.png"))
    result(settings, "1924/b.tif").unlink()
    sidecar(settings, "1924/b.tif").unlink()
    sidecar(settings).unlink()
    findings = check_all(settings)
    assert dict(findings.counts) == {"source altered": 1, "result missing": 1, "sidecar missing": 1}
    ids = {name: item_id(name) for name in NAMES}
    assert findings.unsound == {ids["a.png"], ids["1924/b.tif"], ids["d.png"]}
    assert findings.remedies == {
        PUBLISH_SIDECAR: {ids["a.png"]}, RECORD_ROW: set(), REDO: {ids["1924/b.tif"]}, RESTORE: set(),
    }  # fmt: skip
    assert findings.altered_sources == {ids["d.png"]}

    assert check_all(settings, results_only=True).counts.keys() == {"result missing", "sidecar missing"}
    only = settings.model_copy(update={"only": "1924/*"})
    assert (check_all(only).items, check_all(only).unsound) == (1, {ids["1924/b.tif"]})
    assert check_all(settings, item_ids=[ids["d.png"]]).unsound == {ids["d.png"]}
    with pytest.raises(StoreError, match="no item to check; look at --only"):
        check_all(settings.model_copy(update={"only": "1925/*"}))


@pytest.mark.ray
def test_items_that_are_not_restored(settings: Settings, ray_session: None) -> None:
    """They are no part of a check, but one that a repair was to restore must not pass for sound."""
    source(settings, "bad.jpg").write_bytes(b"no picture")
    restore_without_model(settings)
    assert check_all(settings).items == 4
    findings = check_all(settings, item_ids=[item_id("bad.jpg")])
    assert dict(findings.counts) == {"result not restored": 1}
    assert "not_an_image" in findings.first[0]["text"]
    with pytest.raises(StoreError, match="is restored; run faitharchive restore first"):
        check_all(settings.model_copy(update={"only": "bad.jpg"}))


@pytest.mark.ray
def test_a_damaged_manifest_names_the_remedy(settings: Settings, ray_session: None) -> None:
    (file,) = (Path(settings.output) / MANIFEST).rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(StoreError, match=f"run faitharchive manifest rebuild {re.escape(settings.output)}"):
        check_all(settings)


def test_a_sample_is_a_share_and_another_one_each_time() -> None:
    from pipelines.audit.verify import _selection

    def drawn(salt: str) -> set[int]:
        choose = _selection("", 0.1, salt, None)
        assert choose is not None
        return {number for number in range(20_000) if choose(item_id(str(number)), "")}

    first, second = drawn("one"), drawn("two")
    assert 1800 < len(first) < 2200
    assert 1800 < len(second) < 2200
    assert 120 < len(first & second) < 280  # a tenth of a tenth: independent
    assert first == drawn("one")
    assert _selection("", 1.0, "one", None) is None


def test_problems_and_record_are_kept_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.audit import findings as module

    monkeypatch.setattr(module, "_FLUSH_PROBLEMS", 4)
    monkeypatch.setattr(module, "_FIRST", 5)
    monkeypatch.setattr(module, "_RECORDED", 2)
    store = Store(str(tmp_path))
    kept = Findings(store)
    for number in range(10):
        problem = dict.fromkeys(PROBLEM_SCHEMA.names, str(number)) | {"what": "result", "problem": "missing"}
        kept.add({"item_id": str(number), "bytes": 7, "problems": [problem] if number else []})
    kept.flush()
    uri = write_record(store, kept.record(only="*", repair=None))
    files = sorted(tmp_path.rglob("*.parquet"))
    assert [path.name for path in files] == [f"problems-0000{number}.parquet" for number in range(3)]
    assert {path.parent for path in files} == {tmp_path / VERIFICATIONS / kept.id}
    tables = [pq.read_table(io.BytesIO(path.read_bytes())) for path in files]
    assert [row["item_id"] for table in tables for row in table.to_pylist()] == [str(number) for number in range(1, 10)]
    assert tables[0].schema.equals(PROBLEM_SCHEMA)
    record = json.loads(store.read(f"{VERIFICATIONS}/{kept.id}.json"))
    assert uri.endswith(f"{VERIFICATIONS}/{kept.id}.json")
    assert (record["items"], record["items_with_problems"], record["bytes_read"]) == (10, 9, 70)
    assert (record["problems"], record["problem_files"], record["only"]) == ({"result missing": 9}, 3, "*")
    assert len(record["first_problems"]) == 2
    assert len(kept.first) == 5
    assert record["started_at"] < record["finished_at"]


@pytest.mark.parametrize(
    ("problems", "remedies"),
    [
        (["result altered"], {REDO}),
        (["source missing", "result altered"], set()),
        (["source altered", "result missing"], set()),
        (["source unreadable", "result missing"], set()),
        (["source changed", "result missing"], {REDO, RESTORE}),
        (["source missing", "sidecar missing"], {PUBLISH_SIDECAR}),
        (["source altered"], set()),
        (["manifest row behind"], {RECORD_ROW}),
        (["sidecar unreadable"], set()),
        (["result unreadable"], set()),
    ],
)
def test_what_mends_what(problems: Collection[str], remedies: set[str]) -> None:
    findings = Findings()
    split = [dict(zip(("what", "problem"), one.rsplit(" ", 1), strict=True)) for one in problems]
    findings.add({"item_id": "1", "bytes": 0, "problems": split})
    assert {name for name, ids in findings.remedies.items() if ids} == remedies


@pytest.mark.parametrize("fault", ["deleted", "truncated", "another's"])
def test_a_sidecar_is_written_again_from_the_manifest(settings: Settings, fault: str) -> None:
    before, picture_before = sidecar(settings).read_bytes(), result(settings).stat().st_mtime_ns
    if fault == "deleted":
        sidecar(settings).unlink()
    elif fault == "truncated":
        os.truncate(sidecar(settings), 50)
    else:
        sidecar(settings).write_bytes(sidecar(settings, "d.png").read_bytes())
    assert repair(settings, [item_id("a.png"), item_id("d.png")], run_id=new_run_id()) == RepairResult(1, 0)
    assert sidecar(settings).read_bytes() == before
    assert result(settings).stat().st_mtime_ns == picture_before
    assert make_plan(settings).done == 4


def test_no_sidecar_is_written_beside_an_altered_result(settings: Settings) -> None:
    sidecar(settings).unlink()
    rot(result(settings))
    assert repair(settings, [item_id("a.png")], run_id=new_run_id()) == RepairResult(0, 0)
    assert not sidecar(settings).exists()


def test_a_lost_row_is_recorded_again(settings: Settings) -> None:
    changed = Settings(**(settings.model_dump() | {"upscale": 3}))
    (restored, *_) = restore_without_model(changed, record=False)
    assert current_rows(Store(settings.output))[restored["item_id"]]["output_sha256"] != restored["output_sha256"]
    run_id = new_run_id()
    assert repair(settings, [item_id(name) for name in NAMES], run_id=run_id) == RepairResult(0, 4)
    row = current_rows(Store(settings.output))[restored["item_id"]]
    assert row == {name: restored[name] for name in row}
    assert make_plan(changed).done == 4


def test_nothing_is_mended_in_a_store_that_another_run_holds(settings: Settings) -> None:
    sidecar(settings).unlink()
    with (
        hold_lease(Store(settings.output), run_id="another run", seconds=60),
        pytest.raises(StoreError, match="another run"),
    ):
        repair(settings, [item_id("a.png")], run_id=new_run_id())
    assert not sidecar(settings).exists()
    assert repair(settings, [], run_id=new_run_id()) == RepairResult(0, 0)


def test_a_row_that_leads_out_of_the_store_reads_nothing(settings: Settings) -> None:
    row = full_row(source_path="../a.png", output_path="../../etc/passwd")
    assert found(settings, row) == ["source unreadable", "result unreadable"]
    assert sidecar_bytes(row)
