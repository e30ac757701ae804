"""The command line: commands parse, build settings, call and print.

Exit codes: 0 all done, 1 some failed, 2 nothing ran, 3 stopped before the end; 130 and 143 interrupted (128 + signal).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli import attribute as attribute_cli
from jobs.cli import automations as automations_cli
from jobs.cli import capacity as capacity_cli
from jobs.cli import evaluate as evaluate_cli
from jobs.cli import export as export_cli
from jobs.cli import manifest as manifest_cli
from jobs.cli import report as report_cli
from jobs.cli import serve as serve_cli
from jobs.cli import status as status_cli
from jobs.cli import train as train_cli
from jobs.cli import verify as verify_cli
from jobs.cli.restore import run_restore
from jobs.console.exit_codes import ALL_DONE, NOTHING_RAN, SIGNALLED
from jobs.console.messages import hint, print_error
from jobs.console.tables import print_plan
from jobs.console.terminal import OUT
from jobs.settings.flags import with_settings
from jobs.settings.load import load_settings, settings_yaml
from pipelines.settings import Settings

__all__ = ["app", "demo", "doctor", "main", "plan", "restore", "settings_command"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Restores archives of old photographs and film faithfully, and says what was done to each.\n\nStart with "
    "[bold]faitharchive demo[/], then [bold]faitharchive restore SCANS RESTORED[/].",
    epilog="Exit codes: 0 all done, 1 some items failed, 2 bad usage or nothing could run, 3 stopped before the end (store "
    "full or down, or taken over), 130 or 143 interrupted; the same command continues.",
)
app.add_typer(manifest_cli.app, name="manifest")


@app.command()
@with_settings
def restore(settings: Settings) -> None:
    """Restore what is new or changed in SOURCE into OUTPUT.

    Photographs, films and frame sequences. Sources are never written to. Each result has a sidecar beside it and a row in
    the manifest under OUTPUT/_faitharchive.
    Running again continues and repeats nothing.
    """
    raise typer.Exit(run_restore(settings))


@app.command()
@with_settings
def plan(settings: Settings, limit: Annotated[int, typer.Option(help="Items to list.", min=0)] = 20) -> None:
    """Show what `restore` would do and why, without doing it."""
    from pipelines.plan.plan import make_plan

    print_plan(make_plan(settings), settings, OUT, limit)


@app.command()
@with_settings
def doctor(settings: Settings) -> None:
    """Check Python, Ray, device, weights and stores, each with a fix."""
    from jobs.cli.doctor import check_all

    failed = check_all(settings, OUT)
    raise typer.Exit(NOTHING_RAN if failed else ALL_DONE)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to make the demo.")] = Path("demo"),
) -> None:
    """Make a small archive of real photographs and a film clip, restore it, and say what to open."""
    from jobs.samples.demo import run_demo

    raise typer.Exit(run_demo(folder, OUT, run_restore))


app.command()(with_settings(verify_cli.verify))
app.command()(report_cli.report)
app.command(name="export")(export_cli.export_command)
app.command()(status_cli.status)
app.command()(capacity_cli.capacity)
app.command()(with_settings(serve_cli.serve))
app.command()(automations_cli.automations)
app.command()(attribute_cli.attribute)
app.command()(evaluate_cli.evaluate)
train_cli.register(app, OUT)


@app.command(name="settings")
def settings_command(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="YAML file to start from.")] = None,
) -> None:
    """Print every setting as a commented YAML file, for `--config`."""
    sys.stdout.write(settings_yaml(load_settings({}, config=config)))


def main() -> None:
    """Entry point: what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        # Our own errors name the file, the fault and the remedy; ValueError is their common base.
        print_error(" ".join(str(error).split()) or type(error).__name__)
        sys.exit(NOTHING_RAN)
    except Exception as error:
        # Not ours to explain: a fault in the cluster or in our code. The details are for whoever looks into it.
        if os.environ.get("FAITHARCHIVE_DEBUG"):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        print_error(f"{type(error).__name__}: {lines[-1] if lines else ''}")
        hint("what was finished is kept; run again to continue, with FAITHARCHIVE_DEBUG=1 for the details")
        sys.exit(NOTHING_RAN)
    except KeyboardInterrupt:  # before or after the part of a run that drains
        hint("interrupted; run the same command again to continue")
        sys.exit(SIGNALLED + signal.SIGINT)
