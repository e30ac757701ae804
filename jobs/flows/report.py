"""The flow `report-archive`: a page on an archive's state, as a Prefect run."""

from __future__ import annotations

from prefect import flow

from jobs.flows.artifacts import show_report
from jobs.flows.restore import report_task
from jobs.flows.states import refusals_as_states

__all__ = ["report_archive"]


@flow(name="report-archive", persist_result=False)
@refusals_as_states
def report_archive(output: str, name: str = "") -> str:
    """Make the report of an output store; its URI.

    Args:
        output: folder or URL of the results.
        name: of the page; today's date by default.
    """
    uri: str = report_task(output, name)
    show_report(uri)
    return uri
