"""How a deployment's run ends: in a state whose message says in one line what happened, and with an event of its counts.

Flows that were started by the command line, or by hand in Python, return and raise as ever.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import FailedRun
from prefect.logging.loggers import get_logger
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed

from faithdiff_model.redaction import redact, redact_url
from jobs.console.summary import Counts, Summary, restored_in_words
from pipelines.run.stop import on_purpose
from pipelines.store.lease import LeaseError
from pipelines.store.retries import is_transient

__all__ = [
    "PATIENT",
    "UnsoundError",
    "copy_state",
    "deployed",
    "emit_run_event",
    "final_state",
    "finished",
    "in_words",
    "is_retryable",
    "refusal",
    "refusals_as_states",
]

# A state's name is in the event that Prefect sends of it: prefect.flow-run.Skipped is what automations see.
SKIPPED = "Skipped"
# All was tried, and some photographs or films failed: neither plain green nor a failed run.
ITEMS_FAILED = "ItemsFailed"
RUN_ENDED = "faitharchive.run.ended"
_PAYLOAD = (
    "run_id", "restored", "failed", "failed_by_code", "left", "stopped", "already_done", "quarantined", "seconds",
)  # fmt: skip

# A store that is down for longer than `retry_seconds`: three more tries within twenty minutes.
PATIENT: dict[str, Any] = {"retries": 3, "retry_delay_seconds": [60, 240, 900]}

P = ParamSpec("P")
Result = TypeVar("Result")


# Where Prefect's engine logs that a run failed, and with which traceback.
_RUN_LOGGER = "prefect.flow_runs"


class UnsoundError(Exception):
    """Sources, results or sidecars are not what they were: the run fails, so that somebody is notified."""


def deployed() -> bool:
    """Whether this is a deployment's flow run, which nobody sits before."""
    return deployment.id is not None


def is_retryable(_task: object, _run: object, state: State) -> bool:
    """Whether a task that failed is worth another try: the store, or the way to it, was down, and nobody sits before it. A bad
    setting, a missing folder, a full disk and a store that another run holds stay what they are."""
    return isinstance(state.data, BaseException) and is_transient(state.data) and deployed()


def refusals_as_states(call: Callable[P, Result]) -> Callable[P, Result]:
    """A flow's or task's function whose refusals end a deployment's run in a state with one line, not in a traceback.

    What another try may mend is raised, so that it is retried. A flow within a flow raises, and the outer one ends so.
    The state is Prefect's alone: a caller in Python gets the function's own result, or the exception.
    """

    @functools.wraps(call)
    def ends(*args: P.args, **kwargs: P.kwargs) -> Result:
        if deployed():
            get_logger(_RUN_LOGGER).addFilter(_is_news)
        try:
            return call(*args, **kwargs)
        except (ValueError, UnsoundError) as error:
            if is_transient(error) or not deployed() or flow_run.parent_flow_run_id:
                raise
            return cast("Result", refusal(error))

    ends.__annotations__ = get_type_hints(call, include_extras=True)  # Prefect would look their names up in this module
    ends.__signature__ = inspect.signature(call, eval_str=True)  # type: ignore[attr-defined]
    return ends


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log line of a run says what its state does not: the engine logs a run that returned a failed state as an
    exception of its own, with a traceback through Prefect alone."""
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


def refusal(error: Exception) -> State:
    """The state of a run that could not work. A store that another run holds is no fault: this run is skipped."""
    text = redact(str(error)) or type(error).__name__
    if isinstance(error, LeaseError):
        return Completed(name=SKIPPED, message=f"nothing was done: {text}")
    return Failed(message=text)


def copy_state(state: State) -> State:
    """A task's refusal as its flow's: a state that is not yet any run's."""
    return State(type=state.type, name=state.name, message=state.message)


def final_state(summary: Counts, result: Result, more: str = "") -> Result:
    """What a flow returns: the result itself, or of a deployment's run a state whose message has the counts.

    A run with failed items is completed, in a state of its own name. One that was stopped by its time budget or by a signal is
    completed, since the next goes on; any other stop is a failure.

    Args:
        summary: of a run of `restore-archive`, or of several.
        result: of the flow.
        more: text after the counts.
    """
    stopped = summary["stopped"] and not on_purpose(summary["stopped"], summary["signal"])
    name = ITEMS_FAILED if summary["failed"] else None
    return finished(in_words(summary) + more, result, failed=bool(stopped), name=name)


def finished(message: str, result: Result, *, failed: bool = False, name: str | None = None) -> Result:
    """A flow's result, or of a deployment's run a state with this message; Prefect takes it for the run's; nobody else sees it.

    Args:
        message: one line.
        result: of the flow.
        failed: the run ended too early, or what it looked at is not sound.
        name: of the state of a run that came to its end; Prefect's own by default.
    """
    if not deployed() or flow_run.parent_flow_run_id:
        return result
    if failed:
        return cast("Result", Failed(message=message))
    return cast("Result", Completed(name=name or "Completed", message=message, data=result))


def in_words(summary: Counts) -> str:
    """A run's counts as one line."""
    text = f"{restored_in_words(summary)}, {summary['failed']} failed, {summary['already_done']} already done"
    if summary["quarantined"]:
        text += f", {summary['quarantined']} quarantined"
    if summary["left"]:
        text += f", {summary['left']} left to the next run"
    return text + (f"; stopped: {redact(summary['stopped'])}" if summary["stopped"] else "")


def emit_run_event(output: str, summary: Summary) -> None:
    """Send the event that a run has come to its end, for automations; nothing without a server of one's own.

    Its resource is the output store, with labels that triggers can match: `faitharchive.failed` and `faitharchive.left` are
    `some` or `none`.
    """
    if not PREFECT_API_URL.value():
        return
    values: Mapping[str, object] = summary
    emit_event(
        RUN_ENDED,
        resource={
            "prefect.resource.id": f"faitharchive.archive.{hashlib.sha256(output.encode()).hexdigest()[:16]}",
            "prefect.resource.name": redact_url(output),
            "faitharchive.failed": "some" if summary["failed"] else "none",
            "faitharchive.left": "some" if summary["left"] else "none",
        },
        payload={**{name: values[name] for name in _PAYLOAD}, "summary": in_words(summary)},
    )
