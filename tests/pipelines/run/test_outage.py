"""A store that went away stops the run; bad files do not, however many."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from archive_steps import archive_settings

from pipelines.errors import ItemError
from pipelines.rows import RESTORED, Row, fail, new_row
from pipelines.run.outage import OutageWatch
from pipelines.settings import Settings
from pipelines.store.store import Store


def failed(code: str) -> Row:
    return fail(new_row(source_path="a"), "decode", ItemError(code, "a: reason"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = archive_settings(tmp_path)
    Store(settings.output).publish("x", b"")
    return settings


def answers(watch: OutageWatch, rows: list[Row]) -> str:
    return next((answer for answer in map(watch.see, rows) if answer), "")


@pytest.mark.parametrize("code", ["unreadable", "write_error", "corrupt"])
def test_many_failures_while_the_stores_answer(settings: Settings, code: str) -> None:
    assert answers(OutageWatch(settings), [failed(code)] * 50) == ""


def test_a_source_that_went_away(settings: Settings) -> None:
    shutil.rmtree(settings.source)
    assert "no longer there" in answers(OutageWatch(settings), [failed("unreadable")] * 8)
    # Other results in between, or fewer: not worth a look.
    assert answers(OutageWatch(settings), [failed("unreadable")] * 7) == ""
    mixed = [failed("unreadable"), new_row(source_path="b") | {"status": RESTORED}] * 30
    assert answers(OutageWatch(settings), mixed) == ""
    assert answers(OutageWatch(settings), [failed("corrupt")] * 50) == ""


def test_an_output_that_cannot_be_written_any_more(settings: Settings) -> None:
    shutil.rmtree(settings.output)
    Path(settings.output).write_bytes(b"a file where the folder was")
    answer = answers(OutageWatch(settings), [failed("write_error")] * 8)
    assert "the output store does not answer any more" in answer
