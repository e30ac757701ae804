"""The flow `report-archive`: a page on an archive's state, as a Prefect run."""

from __future__ import annotations

from prefect import flow

from jobs.flows.artifacts import show_report
from jobs.flows.restore import report_task
from jobs.flows.states import refusals_as_states
from pipelines.review.report import CARDS, Published

__all__ = ["report_archive"]


@flow(name="report-archive", persist_result=False)
@refusals_as_states
def report_archive(output: str, name: str = "", pictures: int = CARDS) -> str:
    """Make the report of an output store; its URI.

    Args:
        output: folder or URL of the results.
        name: of the page; today's date by default.
        pictures: items to show before and after.
    """
    report: Published = report_task(output, name, pictures)
    show_report(report)
    return report.uri
