"""`faitharchive serve`: every night from this process, without a worker or a work pool."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from zoneinfo import ZoneInfo

import typer
from rich.text import Text

from jobs.console.terminal import ERR, printable
from pipelines.settings import Settings

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule

__all__ = ["serve"]

_QUIET = "CRITICAL"  # what jobs.service.environment sets


def serve(
    settings: Settings,
    cron: Annotated[str, typer.Option(help="When: minute, hour, day, month, weekday.")] = "0 1 * * *",
    timezone: Annotated[str, typer.Option(help="Of the schedule.")] = "UTC",
    verify_cron: Annotated[str, typer.Option(help="When fixity is checked; empty is never.")] = "0 12 * * 0",
) -> None:
    """Restore SOURCE into OUTPUT on a schedule, from this process, until it is ended.

    Ctrl-C and SIGTERM let the run in progress drain, commit and end first.

    The runs, their schedules and what they leave are in the UI of Prefect's server: that of PREFECT_API_URL, or one that is
    started here, http://127.0.0.1:4200, with its database under PREFECT_HOME. Deployments that workers take up are in
    infra/prefect.yaml.
    """
    from pipelines.plan.stores import open_stores

    open_stores(settings)
    times = [(name, _schedule(when, timezone)) for name, when in (("nightly", cron), ("weekly", verify_cron)) if when]
    # The command line keeps Prefect quiet, for it prints errors itself; a service is read in its logs and in the UI.
    if os.environ.get("PREFECT_LOGGING_LEVEL") == _QUIET:
        os.environ["PREFECT_LOGGING_LEVEL"] = "INFO"
    from jobs.service.runner import DrainingRunner
    from jobs.service.server import some_server

    with some_server() as url:
        # The limit is of all its runs together. Schedules stay active when it ends: the next serve goes on with them.
        runner = DrainingRunner(name="faitharchive", limit=1, pause_on_shutdown=False)
        for name, schedule in times:
            runner.add_deployment(_deployment(name, settings, schedule))
        ERR.print(
            Text(f"serving {printable(settings.source)} -> {printable(settings.output)}: {cron} {timezone}; {url}")
        )
        asyncio.run(runner.start())


def _deployment(name: str, settings: Settings, schedule: Schedule) -> RunnerDeployment:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import EntrypointType

    from jobs.flows.restore import restore_archive
    from jobs.flows.verify import verify_archive

    chosen = {**settings.model_dump(exclude_defaults=True), **_whole_paths(settings)}
    flow, more = (restore_archive, {"report": True}) if name == "nightly" else (verify_archive, {})
    deployment = flow.to_deployment(
        name,
        parameters={"settings": chosen, **more},
        schedule=schedule,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        tags=["faitharchive"],
        entrypoint_type=EntrypointType.MODULE_PATH,  # found from whatever folder this runs in
    )
    return cast(
        "RunnerDeployment", deployment
    )  # Prefect's type has a coroutine beside it, for callers in an event loop


def _whole_paths(settings: Settings) -> dict[str, str]:
    """Settings that name local files, from the root: runs begin in a folder of their own."""
    whole = {}
    for name in ("source", "output", "catalogue", "base", "vae", "faithdiff", "captioner"):
        value = getattr(settings, name)
        local = name in ("source", "output") or (value and Path(value).exists())  # the rest may be hub ids
        if local and "://" not in value and "::" not in value:
            whole[name] = str(Path(value).absolute())
    return whole


def _schedule(cron: str, timezone: str) -> Schedule:
    from prefect.schedules import Cron

    try:
        ZoneInfo(timezone)
        return Cron(cron, timezone=timezone)
    except (ValueError, OSError, KeyError) as error:  # KeyError: a zone that is not known
        raise ValueError(
            f"schedule {cron!r} in {timezone!r}: is none; give five fields as cron has them, and a zone such as Europe/Paris"
        ) from error
