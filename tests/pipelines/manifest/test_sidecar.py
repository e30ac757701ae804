"""Sidecars and identities."""

from __future__ import annotations

import json
from typing import Any

import pytest
from archive_steps import full_row

from pipelines.manifest.identity import identity, software_versions
from pipelines.manifest.sidecar import ADDED, read_sidecar, sidecar_bytes
from pipelines.rows import FAILED, MANIFEST_SCHEMA, PAYLOAD_COLUMNS, new_row
from pipelines.store.layout import sidecar_path

# SHA-256 of "a\nb\nc\n1" by another program: manifests hold identities for decades.
NEVER_CHANGES = "1ad34366a81d6e6632daf9d2f64b93eadae0b04426723de75419fd482298b80c"


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(sidecar_bytes(full_row())) | changes).encode()


def test_a_row_comes_back_whole() -> None:
    row = full_row()
    found = read_sidecar(sidecar_bytes(row))
    assert found == row
    assert found is not None
    assert set(found) == set(new_row())
    assert all(found[column.name] is None for column in PAYLOAD_COLUMNS)


def test_empty_columns_come_back_empty() -> None:
    row = full_row(caption=None, warnings=[], lq_psnr_db=None, width=None)
    assert read_sidecar(sidecar_bytes(row)) == row


def test_people_can_read_it() -> None:
    text = sidecar_bytes(full_row()).decode()
    record = json.loads(text)
    assert list(record) == ["about", "schema", *MANIFEST_SCHEMA.names, "events"]
    assert record["settings"] == {"steps": 1}
    assert record["started_at"] == "2025-06-11T22:15:00.123456+00:00"
    assert "Семья/老照片" in text
    assert text.endswith("}\n")
    assert sidecar_bytes(full_row()) == text.encode()


def test_half_a_sidecar_is_none() -> None:
    data = sidecar_bytes(full_row())
    whole = [length for length in range(len(data) + 1) if read_sidecar(data[:length]) is not None]
    assert whole == [len(data) - 1, len(data)]  # the last byte is a line's end


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"schema_version"',
        b"{}",
        b'{"schema_version": 1, "status": "restored"}',
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n",
        changed(schema_version=2),
        changed(schema_version="1"),
        changed(schema_version=None),
        changed(status=FAILED),
        changed(status="pending"),
        changed(finished_at="yesterday"),
        changed(finished_at=None),
        changed(width="wide"),
        changed(width=2**80),
        changed(warnings=[1]),
        changed(source_path=["a.jpg"]),
        changed(output_path="\udce9.png"),
        b"[" * 100_000,
    ],
)
def test_what_is_no_sidecar_is_none(data: bytes) -> None:
    assert read_sidecar(data) is None


@pytest.mark.parametrize("name", [n for n in MANIFEST_SCHEMA.names if n not in ADDED])
def test_no_column_may_be_missing(name: str) -> None:
    record = json.loads(sidecar_bytes(full_row()))
    del record[name]
    assert read_sidecar(json.dumps(record).encode()) is None


def test_sidecar_path() -> None:
    assert sidecar_path("a/b.png") == "a/b.png.restoration.json"


def test_an_identity_changes_with_each_of_its_parts() -> None:
    parts = ("a" * 64, "b" * 64, "c" * 64, 7)
    known = identity(*parts)
    assert known == identity(*parts)
    assert len(known) == 64
    others = {
        identity(*(*parts[:number], other, *parts[number + 1 :])) for number, other in enumerate(["x", "x", "x", 8])
    }
    assert len({known, *others}) == 5
    assert identity("a", "b", "c", 1) == NEVER_CHANGES
    assert identity(*parts, disclosed=True) not in {known, *others}


def test_software_versions() -> None:
    versions = json.loads(software_versions())
    assert {"python", "torch", "ray", "diffusers", "numpy", "faitharchive"} <= set(versions)
    assert versions["numpy"].startswith("2.")


@pytest.mark.parametrize("name", ADDED)
def test_a_sidecar_of_before_there_was_a_column_still_counts(name: str) -> None:
    row = full_row(**{name: None})
    record = json.loads(sidecar_bytes(row))
    del record[name]
    assert read_sidecar(json.dumps(record).encode()) == row
