"""Stores are opened once a process, and what opens them takes one path for one store wherever the process stands."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from archive_steps import archive_settings

from pipelines.plan.stores import open_stores
from pipelines.store.store import StoreError
from pipelines.store.stores import open_store, stores_of


def test_a_process_opens_a_store_once(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path, retry_seconds=5.0)
    stores = stores_of(settings)
    assert (stores.source.url, stores.output.url) == (settings.source, settings.output)
    assert open_stores(settings).output is stores.output is open_store(settings.output, 5.0)
    assert open_store(settings.output) is not stores.output  # other patience
    assert (stores.output.retry_seconds, open_store(settings.output).retry_seconds) == (5.0, 60.0)
    assert pickle.loads(pickle.dumps(stores)).output.root == stores.output.root


def test_a_relative_path_is_taken_from_where_the_process_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert open_store("results").root == str(tmp_path / name / "results")


def test_a_url_that_cannot_be_used_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="holds credentials"):
            open_store("s3://key:secret@bucket/results")
