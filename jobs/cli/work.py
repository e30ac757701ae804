"""`faitharchive work`: take shards of a run that another machine began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.console.exit_codes import ALL_DONE, NOTHING_RAN, SIGNALLED, SOME_FAILED, STOPPED
from jobs.console.messages import print_error
from jobs.console.terminal import OUT, print_line
from jobs.console.waits import waiting
from jobs.settings.flags import sections_of, with_model
from jobs.settings.load import ENV_PREFIX
from pipelines.settings import Settings
from pipelines.store.store import StoreError
from pipelines.telemetry import logs

if TYPE_CHECKING:
    from jobs.flows.shards import ShardResult

__all__ = ["OWN", "work"]

_SECTIONS = ("Cluster", "Watch")


def _own() -> tuple[str, ...]:
    """Settings that a machine may have of its own: none that belongs to the run or to what results are."""
    sections = sections_of(Settings)
    return tuple(
        name
        for name, field in Settings.model_fields.items()
        if sections[name] in _SECTIONS
        and not (isinstance(field.json_schema_extra, dict) and field.json_schema_extra["result"])
        and not name.startswith("shards")
    )


OWN = _own()


def _work(
    settings: Settings,
    shard: Annotated[
        int, typer.Option(help="This shard alone, from 1; 0 takes one free shard after the other.", min=0)
    ] = 0,
) -> None:
    """Take shards of the run that is on in OUTPUT, which another machine began with `restore --shards`, until none is free.

    The settings are the run's; only what this machine has (Ray, replicas, logs) is its own. Stores must be reachable under
    the same names. Ctrl-C gives the shard back, and another driver goes on with it.
    """
    from pipelines.store.stores import open_store

    if not settings.output:
        raise StoreError("output is needed: faitharchive work OUTPUT")
    logs.configure(settings.log_format, settings.log_level)
    changes = {name: getattr(settings, name) for name in OWN if name in settings.model_fields_set}
    with waiting("starting Prefect, which keeps the record of runs"):
        from jobs.flows.shards import open_plan, work_archive
        from jobs.service.server import start_own_server

        open_plan(open_store(settings.output))  # what is wrong is said before anything takes its seconds to start
        start_own_server()
    done = work_archive(settings.output, shard, changes)
    for each in done:
        if each["fault"]:
            print_error(f"shard {each['shard']}: {each['fault']}")
            continue
        text = f"shard {each['shard']} of {each['shards']}: {each['restored']} restored, {each['failed']} failed"
        left = f", {each['left']} left ({each['stopped']})" if each["left"] else ""
        print_line(text + left, console=OUT)
    if not done:
        OUT.print("No shard is free: all are done, or somebody is at work on them.")
    raise typer.Exit(_exit_code(done))


def _exit_code(done: Sequence[ShardResult]) -> int:
    signals = [each["signal"] for each in done if each["signal"]]
    if signals:
        return SIGNALLED + int(signals[0])
    if done and all(each["fault"] for each in done):
        return NOTHING_RAN
    if any(each["left"] or each["fault"] for each in done):
        return STOPPED
    return SOME_FAILED if any(each["failed"] for each in done) else ALL_DONE


work = with_model(
    _work,
    Settings,
    positional=("output",),
    prefix=ENV_PREFIX,
    named="work",
    left_out=[name for name in Settings.model_fields if name not in (*OWN, "output")],
)
