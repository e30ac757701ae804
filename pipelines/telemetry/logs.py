"""Structured logs: what happens to runs, items and actors, one line each, as JSON for log stores or as text for people.

Events go to the logger `faitharchive`, which says nothing until `configure` was called: a terminal has its progress bar.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from faithdiff_model.redaction import redact

__all__ = ["ABOUT", "JsonLines", "Lines", "StderrHandler", "configure", "event", "events", "events_to", "is_json"]

# In each line, null where they do not apply.
ABOUT = ("run_id", "item_id", "source_path", "stage", "error_code")
_NAMES = {"item_id", "source_path", "output_path"}  # of things: shown exactly, so that they can be searched for
_OURS = ("faitharchive", "pipelines", "jobs", "faithdiff_model")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

events = logging.getLogger("faitharchive")
# Until somebody configures logs: Python, or a handler of Prefect's, would print them on the terminal.
events.addHandler(logging.NullHandler())
events.propagate = False


def event(level: int, message: str, **about: object) -> None:
    """Log an event.

    Args:
        level: of `logging`.
        message: the same for each event of a kind, so that it can be counted.
        about: `ABOUT`, and plain values of the event's own.
    """
    if events.isEnabledFor(level):
        events.log(level, message, extra={"about": about})


def is_json() -> bool:
    """Whether this process logs JSON: then nothing else may go to stderr."""
    return isinstance(_installed.formatter, JsonLines) if _installed else False


def configure(log_format: str, log_level: str, *, worker: bool = False) -> None:
    """Send this process's logs to stderr. May be called again, with the same or another choice.

    Args:
        log_format: `text` or `json`.
        log_level: `auto` is info, but nothing of a text for the terminal, which has the progress bar.
        worker: whether this is a process of Ray's, whose stderr is a file.
    """
    global _installed  # noqa: PLW0603 (logging is the process's own)
    root = logging.getLogger()
    if _installed:
        root.removeHandler(_installed)
        _installed = None
        logging.captureWarnings(False)
    events.propagate = log_format == "json" or log_level != "auto" or worker
    if not events.propagate:
        _set_level(logging.NOTSET)
        return
    level = _LEVELS.get(log_level, logging.INFO)
    handler = StderrHandler(level)
    handler.setFormatter(JsonLines() if log_format == "json" else Lines())
    if log_format == "json":
        for other in root.handlers[:]:
            if type(other) is logging.StreamHandler or "Console" in type(other).__name__:  # also Prefect's
                root.removeHandler(other)
        logging.captureWarnings(True)
    root.addHandler(handler)
    _set_level(level)
    _installed = handler


def _set_level(level: int) -> None:
    """Of our loggers; libraries' own keep theirs, which is warning."""
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    if _others:
        events.setLevel(min(level or logging.INFO, logging.INFO))


@contextmanager
def events_to(handler: logging.Handler) -> Iterator[None]:
    """Within the block, events from info on also go to a handler, whatever `configure` chose or chooses for stderr."""
    before = events.level
    _others.append(handler)
    events.addHandler(handler)
    events.setLevel(min(before or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        _others.remove(handler)
        events.removeHandler(handler)
        _set_level(_installed.level if _installed else logging.NOTSET)


class StderrHandler(logging.StreamHandler):
    """Writes to what stderr is at the time.

    Args:
        level: below which nothing is written.
    """

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__()
        self.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


_installed: StderrHandler | None = None
_others: list[logging.Handler] = []


class JsonLines(logging.Formatter):
    """A record as one JSON object on one line, free of credentials."""

    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "about", {})
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            **dict.fromkeys(ABOUT),
            "node": _NODE,
            **{name: _clean(name, value) for name, value in about.items()},
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str)  # in ASCII: no name can end the line


class Lines(logging.Formatter):
    """A record as a line of text: time, level, message, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        about = {name: _clean(name, value) for name, value in getattr(record, "about", {}).items()}
        fields = "".join(
            f" {name}={json.dumps(value, default=str)}" for name, value in about.items() if value is not None
        )
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        return f"{at} {record.levelname.lower()} {redact(record.getMessage())}{fields}"


_NODE = socket.gethostname()


def _clean(name: str, value: object) -> object:
    if isinstance(value, str) and name not in _NAMES:
        return redact(value)
    return value
