"""Stores in memory that take any name at all, and what must hold of every plan over them."""

from __future__ import annotations

import unicodedata
import uuid
from collections import Counter
from pathlib import PurePosixPath

import fsspec
from corpus import seeds
from fsspec.implementations.memory import MemoryFile
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from pipelines.manifest.naming import item_id
from pipelines.media.kinds import PHOTO_SUFFIXES
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import FAILED, PENDING, to_table
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX
from pipelines.store.store import Store

PNG = next(data for kind, _, data in seeds() if kind == "PNG")
some = hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Archive:
    """Source and output in memory, under keys as an object store would take them: any text at all."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.settings = Settings(
            source=f"memory://{self.name}/scans", output=f"memory://{self.name}/restored", preset="tiny", steps=1
        )
        self.put("scans", "kept/one.png", PNG)
        self.put("restored", f"{PRIVATE}/here", b"")

    def put(self, store: str, path: str, data: bytes) -> None:
        MemoryFile(fsspec.filesystem("memory"), f"/{self.name}/{store}/{path}", data).commit()

    def forget(self) -> None:
        held = fsspec.filesystem("memory").store
        for key in [key for key in held if key.startswith(f"/{self.name}/")]:
            del held[key]


def new_archive(archives: list[Archive]) -> Archive:
    archives.append(Archive())
    return archives[-1]


def check(settings: Settings, plan: Plan) -> None:
    """Each file listed is in one place; what is planned can be recorded and written."""
    listed = Counter(entry.path for entry in Store(settings.source).list())
    photographs = {path for path in listed if PurePosixPath(path).suffix.lower() in PHOTO_SUFFIXES}
    pending = list(plan.pending)
    failed = [row for row in plan.final_rows if row["status"] == FAILED]
    assert len(pending) + plan.done + len(plan.quarantined) + len(failed) + sum(plan.skipped.values()) == len(listed)
    places = Counter([row["item_id"] for row in pending] + [row["item_id"] for row in failed])
    places.update(item_id(path) for path in plan.quarantined)
    assert not places or max(places.values()) == 1
    assert set(places) <= {item_id(path) for path in photographs}
    assert all(row["status"] == PENDING for row in pending)
    to_table(pending)
    to_table(list(plan.final_rows))
    output = Store(settings.output)
    for row in pending:
        output.key(row["output_path"])  # does not leave the store
        assert not row["output_path"].startswith(f"{PRIVATE}/")
        assert not row["output_path"].endswith(SIDECAR_SUFFIX)
        name = f"{row['output_path']}{SIDECAR_SUFFIX}".rsplit("/", 1)[-1]
        assert len(name.encode()) <= 255
    outputs = Counter(unicodedata.normalize("NFC", row["output_path"]).casefold() for row in pending)
    assert not outputs or max(outputs.values()) == 1
    assert all(row["error_reason"] and "\n" not in row["error_reason"] for row in failed)


def plan_or_line(settings: Settings) -> None:
    try:
        plan = make_plan(settings)
    except ValueError as error:
        assert str(error).strip()
        assert "\n" not in str(error)
        return
    check(settings, plan)
