"""What a run leaves to look at in Prefect: a table of the run, its failures, the link to the report, and a picture."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact

from jobs.console.summary import Failure, Summary, Verification
from jobs.console.terminal import printable
from pipelines.review.report import Published

__all__ = ["show_report", "show_run", "show_verification"]

# Keys under which the versions of one artifact are kept together; lower case, digits and dashes are what Prefect takes.
RUN, FAILURES, REPORT, FIXITY, PICTURE = (
    "faitharchive-run", "faitharchive-failures", "faitharchive-report", "faitharchive-fixity", "faitharchive-before-after",
)  # fmt: skip
_SHOWN = (
    "run_id", "restored", "with_warnings", "failed", "left", "already_done", "quarantined", "stopped", "seconds",
    "items_per_hour",
)  # fmt: skip
_NOT_TAKEN = 50  # patterns of names that are shown


def show_run(summary: Summary, failures: Sequence[Failure]) -> None:
    """The run as a table, and its first failures as another if there are any."""
    values: Mapping[str, object] = summary
    rows = [[name.replace("_", " "), str(values[name])] for name in _SHOWN]
    rows += [[f"pending: {reason}", str(count)] for reason, count in summary["pending_because"].items()]
    rows += [[f"failed: {code}", str(count)] for code, count in summary["failed_by_code"].items()]
    rows += [[f"warning: {printable(text)}", str(count)] for text, count in summary["warnings"].items()]
    rows += [
        [f"not taken: {each['kind']} ({printable(each['pattern'])})", str(each["files"])]
        for each in summary["not_taken"][:_NOT_TAKEN]
    ]
    create_table_artifact([{"what": what, "value": value} for what, value in rows], key=RUN, description="The run")
    if failures:
        table = [{name: printable(str(value)) for name, value in failure.items()} for failure in failures]
        create_table_artifact(table, key=FAILURES, description="What failed, and what to do")


def show_report(report: Published) -> None:
    """A link to the report, and a picture of a few scans and their results."""
    create_link_artifact(report.uri, link_text="report", key=REPORT, description="The archive's state")
    if report.strip:
        # In the artifact itself: Prefect shows what is at an address, and an archive has none that a browser may read.
        picture = f"data:image/jpeg;base64,{base64.b64encode(report.strip).decode()}"
        create_image_artifact(picture, key=PICTURE, description="Scans and results, side by side")


def show_verification(record: Verification) -> None:
    """A verification's counts as a table."""
    counts = {
        "items checked": record["items"],
        "items with problems": record["items_with_problems"],
        **record["problems"],
    }
    rows = [{"what": what, "value": str(count)} for what, count in counts.items()]
    create_table_artifact(rows, key=FIXITY, description="Fixity")
