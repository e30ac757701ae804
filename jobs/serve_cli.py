"""`faitharchive serve`: every night from this process, without a worker or a work pool."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.text import Text

from jobs.show import printable
from pipelines.settings import Settings

_err = Console(stderr=True)


def serve(
    settings: Settings,
    cron: Annotated[str, typer.Option(help="When: minute, hour, day, month, weekday.")] = "0 1 * * *",
    timezone: Annotated[str, typer.Option(help="Of the schedule.")] = "UTC",
    verify_cron: Annotated[str, typer.Option(help="When fixity is checked; empty is never.")] = "0 12 * * 0",
) -> None:
    """Restore SOURCE into OUTPUT on a schedule, from this process, until it is ended.

    The runs, their schedules and what they leave are in Prefect's UI if PREFECT_API_URL names a server; deployments that
    workers take up are in infra/prefect.yaml.
    """
    from prefect import serve as serve_deployments
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

    from jobs.flows.restore import restore_archive
    from jobs.flows.verify import verify_archive
    from pipelines.plan import open_stores

    open_stores(settings)
    alone = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    chosen = settings.model_dump(exclude_defaults=True)
    lasting: dict[str, Any] = {"concurrency_limit": alone, "tags": ["faitharchive"]}
    deployments: list[Any] = [
        restore_archive.to_deployment(
            "nightly", schedule=_schedule(cron, timezone), parameters={"settings": chosen, "report": True}, **lasting
        )
    ]
    if verify_cron:
        schedule = _schedule(verify_cron, timezone)
        deployments.append(
            verify_archive.to_deployment("weekly", schedule=schedule, parameters={"settings": chosen}, **lasting)
        )
    _err.print(Text(f"serving {printable(settings.source)} -> {printable(settings.output)}: {cron} {timezone}"))
    serve_deployments(*deployments, limit=1, print_starting_message=False)


def _schedule(cron: str, timezone: str) -> Any:
    from prefect.schedules import Cron

    try:
        ZoneInfo(timezone)
        return Cron(cron, timezone=timezone)
    except (ValueError, OSError, KeyError) as error:  # KeyError: a zone that is not known
        raise ValueError(
            f"schedule {cron!r} in {timezone!r}: is none; give five fields as cron has them, and a zone such as Europe/Paris"
        ) from error
