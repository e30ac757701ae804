"""Flags made from the settings object: every setting is one, named, typed, limited and described in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional, get_type_hints

import typer

from jobs.settings import load_settings
from pipelines.settings import Settings

_POSITIONAL = ("source", "output")


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command SOURCE and OUTPUT arguments, a flag for every other setting, and `--config`.

    The command is called with the merged settings as its first argument and its own parameters by name.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in list(inspect.signature(command).parameters.values())[1:]
    ]

    def wrapper(**given: Any) -> None:
        config = given.pop("config")
        mine = {parameter.name: given.pop(parameter.name) for parameter in own}
        command(load_settings(given, config=config), **mine)

    parameters = [*_arguments(), *own, _config(), *_flags()]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _arguments() -> list[inspect.Parameter]:
    return [
        _parameter(
            name,
            Annotated[
                Optional[str],  # noqa: UP045 (typer reads the annotation)
                typer.Argument(help=Settings.model_fields[name].description, show_default=False),
            ],
        )
        for name in _POSITIONAL
    ]


def _config() -> inspect.Parameter:
    text = "YAML file of settings; flags and FAITHARCHIVE_* variables go before it."
    option = typer.Option("--config", "-c", help=text, show_default=False, rich_help_panel="Archive")
    return _parameter("config", Annotated[Optional[Path], option])  # noqa: UP045


def _flags() -> list[inspect.Parameter]:
    parameters = []
    for name, field in Settings.model_fields.items():
        if name in _POSITIONAL:
            continue
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        flag = f"--{name.replace('_', '-')}"
        is_switch = field.annotation is bool
        option = typer.Option(
            f"{flag}/--no-{name.replace('_', '-')}" if is_switch else flag,
            help=field.description,
            show_default=str(field.default) if str(field.default) else False,
            rich_help_panel=str(extra["section"]),
        )
        # Limits and choices are checked by Settings, whose message names the source; typer only needs the basic type.
        basic = field.annotation if field.annotation in (bool, int, float) else str
        if basic is str and field.annotation is not str:
            option.metavar = "|".join(getattr(field.annotation, "__args__", ()))
        parameters.append(_parameter(name, Annotated[Optional[basic], option]))  # noqa: UP045
    return parameters


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
