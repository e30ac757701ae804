"""Logs: one line an event, as JSON or text, with what it is about, without credentials, and nothing unless asked for."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from pipelines.telemetry import logs
from pipelines.telemetry.logs import ABOUT, configure, event, is_json

SECRETS = "s3://key:s3cret@bucket/x?X-Amz-Signature=s3cret Authorization: Bearer s3cret"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    configure("text", "auto")


def tell() -> None:
    event(logging.INFO, "item restored", run_id="r", item_id="i", source_path="a  b\u2028\n.jpg", seconds=1.5)
    event(logging.WARNING, "item failed", run_id="r", stage="decode", error_code="corrupt", reason=SECRETS)


def test_json_has_what_it_is_about_and_no_credentials(capfd: pytest.CaptureFixture[str]) -> None:
    configure("json", "auto")
    assert is_json()
    tell()
    logging.getLogger("pipelines.store.lease").warning("lease of %s: %s", "r", SECRETS)
    warnings.warn("something is deprecated", stacklevel=1)
    logging.getLogger("some.library").info("chatter")
    try:
        raise OSError(SECRETS)
    except OSError:
        logging.getLogger("some.library").exception("broken")
    out, text = capfd.readouterr()
    assert out == ""
    assert "s3cret" not in text
    restored, failed, lease, warning, broken = (json.loads(line) for line in text.splitlines())
    assert list(restored)[:10] == ["time", "level", "logger", "message", *ABOUT, "node"]
    assert (restored["source_path"], restored["seconds"], restored["stage"]) == ("a  b\u2028\n.jpg", 1.5, None)
    assert (failed["level"], failed["error_code"], failed["message"]) == ("warning", "corrupt", "item failed")
    assert lease["logger"] == "pipelines.store.lease"
    assert "something is deprecated" in warning["message"]
    assert "OSError" in broken["traceback"]


def test_levels(capfd: pytest.CaptureFixture[str]) -> None:
    for level, count in (("debug", 2), ("info", 2), ("warning", 1), ("error", 0), ("auto", 2)):
        configure("json", level)
        tell()
        assert len(capfd.readouterr().err.splitlines()) == count, level


def test_text_is_for_those_who_ask_and_for_workers_files(capfd: pytest.CaptureFixture[str]) -> None:
    tell()
    configure("text", "auto")
    tell()
    assert capfd.readouterr() == ("", "")
    for arguments in ({"log_level": "info"}, {"log_level": "auto", "worker": True}):
        configure("text", **arguments)  # type: ignore[arg-type]
        tell()
        first, second = capfd.readouterr().err.splitlines()
        assert 'info item restored run_id="r" item_id="i" source_path="a  b\\u2028\\n.jpg" seconds=1.5' in first
        assert 'warning item failed run_id="r" stage="decode" error_code="corrupt"' in second
        assert "s3cret" not in second
    assert not is_json()


def test_the_last_choice_counts(capfd: pytest.CaptureFixture[str]) -> None:
    handlers = logging.getLogger().handlers[:]
    configure("json", "info")
    configure("json", "info")
    tell()
    assert len(capfd.readouterr().err.splitlines()) == 2
    configure("text", "auto")
    tell()
    assert capfd.readouterr().err == ""
    assert logging.getLogger().handlers == handlers
    assert not logs.events.propagate


class Kept(logging.Handler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


@pytest.mark.parametrize("level", ["auto", "warning", "debug"])
def test_another_place_hears_of_events_whatever_stderr_gets(capfd: pytest.CaptureFixture[str], level: str) -> None:
    """A run's page in Prefect, within which the run configures its own logs."""
    kept = Kept()
    with logs.events_to(kept):
        configure("text", level)
        tell()
    tell()
    assert kept.told == ["item restored", "item failed"]
    lines = [line.split(" ")[2:4] for line in capfd.readouterr().err.splitlines()]
    told = {"auto": [], "warning": [["item", "failed"]], "debug": [["item", "restored"], ["item", "failed"]]}
    assert lines == told[level] * 2
