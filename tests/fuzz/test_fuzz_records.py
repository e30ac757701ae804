"""Planning over sidecars and manifests that say anything: what an earlier run left behind may be damaged or made to harm."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_steps import restore_without_model
from hostile_stores import Archive, check, new_archive, plan_or_line, some
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.manifest.naming import item_id
from pipelines.plan.plan import make_plan
from pipelines.rows import MANIFEST_SCHEMA
from pipelines.store.layout import MANIFEST, SIDECAR_SUFFIX
from pipelines.store.store import Store

_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("\ud800"),
    st.sampled_from([10**400, -(2**63) - 1, 2**64, 1e308, "../../x.png", "9999-99-99", "2025-06-11T22:15:00+00:00"]),
)  # fmt: skip
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)),
    max_leaves=9,
)


@pytest.fixture(scope="module")
def finished() -> Iterator[Archive]:
    """One photograph, restored; its sidecar is whole and its manifest too."""
    archive = Archive()
    (row,) = restore_without_model(archive.settings)
    assert row["status"] == "restored"
    plan = make_plan(archive.settings)
    assert (plan.done, len(plan.pending)) == (1, 0)
    yield archive
    archive.forget()


def files_of(archive: Archive) -> dict[str, bytes]:
    """Everything in the output store."""
    store = Store(archive.settings.output)
    return {entry.path: store.read(entry.path) for entry in store.list()}


def copy_of(finished: Archive, archives: list[Archive], changes: dict[str, bytes | None]) -> Archive:
    """The finished archive with some files of its output replaced or left out."""
    archive = new_archive(archives)
    for path, data in (files_of(finished) | changes).items():
        if data is not None:
            archive.put("restored", path, data)
    return archive


def without_manifest(finished: Archive) -> dict[str, bytes | None]:
    return {path: None for path in files_of(finished) if path.startswith(f"{MANIFEST}/")}


@some
@given(st.dictionaries(st.sampled_from(MANIFEST_SCHEMA.names), _JSON, max_size=4), st.booleans())
@example({"source_path": "kept/other.png"}, True)
@example({"output_path": "../../etc/passwd"}, True)
@example({"attempt": 2**31}, True)
def test_sidecars_with_other_values(
    finished: Archive, archives: list[Archive], changes: dict[str, Any], lost: bool
) -> None:
    path = f"kept/one.png{SIDECAR_SUFFIX}"
    sidecar = json.loads(files_of(finished)[path]) | changes
    archive = copy_of(
        finished, archives, {path: json.dumps(sidecar).encode(), **(without_manifest(finished) if lost else {})}
    )
    check(archive.settings, make_plan(archive.settings))


_GARBAGE = st.one_of(
    st.binary(max_size=60),
    _JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b'{"schema_version": 1e999}', b"\xff\xfe", b"NaN"]
    ),
)


@some
@given(_GARBAGE)
def test_sidecars_that_are_none(finished: Archive, archives: list[Archive], data: bytes) -> None:
    archive = copy_of(finished, archives, {f"kept/one.png{SIDECAR_SUFFIX}": data, **without_manifest(finished)})
    plan = make_plan(archive.settings)
    check(archive.settings, plan)
    assert plan.done == 0


_VALUES = {
    pa.string(): st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
                           st.sampled_from(["restored", "failed", "quarantined", "pending", "../x.png", "/x", "x" * 5000])),
    pa.int64(): st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    pa.int32(): st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    pa.int16(): st.one_of(st.none(), st.integers(-(2**15), 2**15 - 1)),
    pa.float64(): st.one_of(st.none(), st.floats()),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.list_(pa.string()): st.one_of(st.none(), st.lists(st.one_of(st.none(), st.just("x")), max_size=2)),
    pa.timestamp("us", tz="UTC"): st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
}  # fmt: skip
_MANIFEST_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": st.sampled_from([item_id("kept/one.png"), item_id("x"), "", "\0"]),
            "source_path": st.just("kept/one.png"),
        },
        optional={
            field.name: _VALUES[field.type] for field in MANIFEST_SCHEMA if field.name not in ("item_id", "source_path")
        },
    ),
    min_size=1,
    max_size=3,
)


def manifest_file(rows: list[dict[str, Any]], whole: bytes) -> bytes:
    """A manifest of rows that differ from the finished archive's own in some values."""
    own = pq.read_table(pa.BufferReader(whole)).slice(0, 1)
    tables = []
    for row in rows:
        columns = [
            pa.array([row[field.name]], field.type) if field.name in row else own[field.name].combine_chunks()
            for field in MANIFEST_SCHEMA
        ]
        tables.append(pa.Table.from_arrays(columns, schema=MANIFEST_SCHEMA))
    file = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), file)
    return file.getvalue()


@some
@given(_MANIFEST_ROWS)
@example([{"item_id": item_id("kept/one.png"), "source_path": "kept/one.png", "run_id": None, "finished_at": None}])
@example([{"item_id": item_id("kept/one.png"), "source_path": "kept/one.png", "status": "failed", "attempt": None}])
@example(
    [{"item_id": item_id("kept/one.png"), "source_path": "kept/one.png", "status": "failed", "attempt": 2**31 - 1}]
)
@example([{"item_id": item_id("kept/one.png"), "source_path": "kept/one.png", "output_path": "../x.png"}])
def test_manifests_with_other_values(finished: Archive, archives: list[Archive], rows: list[dict[str, Any]]) -> None:
    (path,) = without_manifest(finished)
    files = {path.replace("run=", "run=9"): manifest_file(rows, files_of(finished)[path])}
    plan_or_line(copy_of(finished, archives, files).settings)


@some
@given(st.one_of(_GARBAGE, st.integers(0, 4000)), st.booleans())
def test_manifests_that_are_none(finished: Archive, archives: list[Archive], data: bytes | int, beside: bool) -> None:
    """Cut, replaced or of another shape: a line that says so, or a plan that does without."""
    (path,) = without_manifest(finished)
    whole = files_of(finished)[path]
    broken = whole[: data % len(whole)] if isinstance(data, int) else data
    archive = copy_of(finished, archives, {path.replace("part-", "part-9") if beside else path: broken})
    plan_or_line(archive.settings)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"x": [1]}),
        pa.table({"item_id": [1], "status": [2.5]}),
        pa.table({"item_id": [["nested"]], "run_id": [{"a": 1}]}),
        pa.table({}),
    ],
)
def test_manifests_of_another_shape(finished: Archive, archives: list[Archive], table: pa.Table) -> None:
    (path,) = without_manifest(finished)
    file = io.BytesIO()
    pq.write_table(table, file)
    plan_or_line(copy_of(finished, archives, {path.replace("part-", "part-9"): file.getvalue()}).settings)
