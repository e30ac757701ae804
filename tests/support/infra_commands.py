"""Commands of infra's files, read by the programs' own parsers, without running them."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import cyclopts
import ray.scripts.scripts
import typer.main
from prefect.cli._app import _app as prefect_app

from jobs.cli.main import app

OURS = ("faitharchive", "prefect", "ray")
_ROOTS = {"faitharchive": typer.main.get_command(app), "ray": ray.scripts.scripts.cli}


def commands(shell: str) -> Iterator[list[str]]:
    """The commands of a shell line that are ours, as lists of words."""
    words = shlex.shlex(shell, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command: list[str] = []
    for word in [*words, ";"]:
        if word and set(word) <= set(";&|()"):
            if command and command[0] in OURS:
                yield command
            command = []
        elif word != "exec" or command:
            command.append(word)


def check(command: list[str], *, whole: bool = True) -> dict[str, Any]:
    """Parse a command as its program would.

    Args:
        command: its words.
        whole: what the program must be given is there, too; a text may name a command without.

    Returns:
        its options' values; of prefect those that are given.

    Raises:
        ValueError: the program would refuse it.
    """
    program, *words = command
    try:
        if program == "prefect":
            words = list(_parsed(prefect_app.meta, words)[1].arguments["tokens"])  # without what all commands take
            function, bound = _parsed(prefect_app, words)
            return {"command": function.__name__, **bound.arguments}
        found = _ROOTS[program]
        while hasattr(found, "commands") and (words[:1] != ["--help"]):
            name, *words = words
            found = found.commands[name]
        return found.make_context(found.name or "", list(words)).params
    except cyclopts.MissingArgumentError as error:
        if whole:
            raise ValueError(f"{shlex.join(command)}: {error}") from error
        return {}
    except (cyclopts.CycloptsError, KeyError) as error:
        raise ValueError(f"{shlex.join(command)}: {error}") from error
    except Exception as error:  # click's and typer's, which brings a copy of click
        if not whole and type(error).__name__ == "MissingParameter":  # found after all that is given was read
            return {}
        if not hasattr(error, "exit_code"):
            raise
        raise ValueError(f"{shlex.join(command)}: {error}") from error


def _parsed(app: cyclopts.App, words: list[str]) -> tuple[Callable[..., Any], inspect.BoundArguments]:
    function, bound, *_ = app.parse_args(words, exit_on_error=False, print_error=False)
    return function, bound
