"""The commands by name, each loaded when it is asked for: `--help` lists them all and imports none.

What a command needs takes up to a second and a half to import (pydantic, pyarrow, pandas). The list of commands needs their
names and first sentences alone, which stand here; a test holds them equal to what the commands say themselves.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

__all__ = ["COMMANDS", "CommandGroup", "CommandPlace"]


@dataclass(frozen=True)
class CommandPlace:
    """Where a command is.

    Attributes:
        module: its module.
        attribute: a function of that module, or a `typer.Typer` of several commands.
        help: its first sentence.
        takes_settings: it is given all settings of a restoration as its first argument.
        shows: sections of those that its help shows; all where it names none.
    """

    module: str
    attribute: str
    help: str
    takes_settings: bool = False
    shows: tuple[str, ...] = ()


COMMANDS = {
    "restore": CommandPlace(
        "jobs.cli.restore", "restore", "Restore what is new or changed in SOURCE into OUTPUT.", takes_settings=True
    ),
    "work": CommandPlace(
        "jobs.cli.work",
        "work",
        "Take shards of the run that is on in OUTPUT, which another machine began with `restore --shards`, until none is free.",
    ),
    "plan": CommandPlace(
        "jobs.cli.plan", "plan", "Show what `restore` would do and why, without doing it.", takes_settings=True
    ),
    "doctor": CommandPlace(
        "jobs.cli.doctor",
        "doctor",
        "Check Python, Ray, device, weights and stores, each with a fix.",
        takes_settings=True,
    ),
    "demo": CommandPlace(
        "jobs.cli.demo",
        "demo",
        "Make a small archive of real photographs and a film clip, restore it, and say what to open.",
    ),
    "verify": CommandPlace(
        "jobs.cli.verify",
        "verify",
        "Check the fixity of what is restored: sources and results are read and hashed again, sidecars compared.",
        takes_settings=True,
        shows=("Archive",),
    ),
    "report": CommandPlace(
        "jobs.cli.report",
        "report",
        "Make a page on what is restored, what failed and why, how faithful it is and how the runs went, with pictures.",
    ),
    "contact-sheet": CommandPlace(
        "jobs.cli.contact_sheet",
        "contact_sheet",
        "Draw scans beside their results at 100%, each where it has most detail, and the marks that were found.",
    ),
    "review": CommandPlace(
        "jobs.cli.review",
        "review",
        "Look at scans and results side by side in a browser, and decide what is kept, rejected or made again.",
    ),
    "export": CommandPlace(
        "jobs.cli.export",
        "export_command",
        "Copy scans and results to DEST in the form of a profile, checking every file on the way.",
    ),
    "status": CommandPlace(
        "jobs.cli.status",
        "status",
        "Show the run that is on in OUTPUT, from any machine that can read it; or how the last one ended.",
    ),
    "capacity": CommandPlace(
        "jobs.cli.capacity",
        "capacity",
        "Say what an archive would take: device hours, nights, storage, requests, money, and what holds it up.",
    ),
    "serve": CommandPlace(
        "jobs.cli.serve",
        "serve",
        "Restore SOURCE into OUTPUT on a schedule, from this process, until it is ended.",
        takes_settings=True,
    ),
    "automations": CommandPlace(
        "jobs.cli.automations",
        "automations",
        "Create or update the automations in FILE on the Prefect server of PREFECT_API_URL, and say where they notify.",
    ),
    "attribute": CommandPlace(
        "jobs.cli.attribute",
        "attribute",
        "Restore one scan and draw which parts of it the words of its prompt reached.",
    ),
    "evaluate": CommandPlace(
        "jobs.cli.evaluate",
        "evaluate",
        "Measure methods against references: bicubic, Lanczos, networks, and other programs' results.",
    ),
    "train": CommandPlace(
        "jobs.cli.train",
        "train",
        "Train one stage on PHOTOGRAPHS (HQ), which are degraded on the fly; weights, log and checkpoints go to OUTPUT.",
    ),
    "settings": CommandPlace(
        "jobs.cli.settings", "settings", "Print every setting as a commented YAML file, for `--config`."
    ),
    "explain": CommandPlace(
        "jobs.cli.explain", "explain", "Say in plain words what a word means that commands, settings and reports use."
    ),
    "manifest": CommandPlace(
        "jobs.cli.manifest", "app", "Show, filter, export, compact and rebuild the manifest of an output store."
    ),
}


class _Loading(MutableMapping[str, Any]):
    """Commands by name: all are listed, and each is loaded when it is first taken out."""

    def __init__(self) -> None:
        self._names = dict.fromkeys(COMMANDS)
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in self._names:
                raise KeyError(name)
            self._loaded[name] = _loaded(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._names[name] = None
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._loaded.pop(name, None)

    def __contains__(self, name: object) -> bool:  # the default would load the command
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class CommandGroup(TyperGroup):
    """The group of `COMMANDS`: lists them without loading any, and loads one when it is called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Loading()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of all, from the sentences of `COMMANDS`."""
        TyperGroup(
            name=self.name,
            commands={name: TyperCommand(name, help=place.help) for name, place in COMMANDS.items()},
            rich_markup_mode=self.rich_markup_mode,
            help=self.help,
            epilog=self.epilog,
            params=self.params,
        ).format_help(ctx, formatter)


def _loaded(name: str) -> Any:
    place = COMMANDS[name]
    found = getattr(importlib.import_module(place.module), place.attribute)
    if isinstance(found, typer.Typer):
        command = get_command(found)
        command.name = name
        return command
    if place.takes_settings:
        from jobs.settings.flags import with_settings

        found = with_settings(found, shows=place.shows)
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    alone.command(name)(found)
    return get_command(alone)
