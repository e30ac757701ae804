"""Flags made from the settings object: every setting is one, named, typed, limited and described in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional, get_type_hints

import typer
from pydantic import BaseModel

from jobs.settings import ENV_PREFIX, load
from pipelines.settings import Settings


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command SOURCE and OUTPUT arguments, a flag for every other setting of a restoration, and `--config`."""
    return with_model(command, Settings, positional=("source", "output"), prefix=ENV_PREFIX, named="restore")


def with_model(
    command: Callable[..., None],
    model: type[BaseModel],
    *,
    positional: tuple[str, ...],
    prefix: str,
    named: str,
) -> Callable[..., None]:
    """Give a command arguments for the `positional` fields of a settings object, a flag for every other, and `--config`.

    The command is called with the merged settings as its first argument and its own parameters by name. Environment variables
    begin with `prefix`; errors send to the help of the command `named`.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in list(inspect.signature(command).parameters.values())[1:]
    ]

    def wrapper(**given: Any) -> None:
        config = given.pop("config")
        mine = {parameter.name: given.pop(parameter.name) for parameter in own}
        settings = load(model, given, config=config, environment=None, prefix=prefix, command=named)
        command(settings, **mine)

    first = str(next(iter(_extras(model).values()))["section"])
    parameters = [*_arguments(model, positional), *own, _config(prefix, first), *_flags(model, positional)]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _extras(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """What each field says beside its type."""
    extras = {}
    for name, field in model.model_fields.items():
        assert isinstance(field.json_schema_extra, dict)
        extras[name] = field.json_schema_extra
    return extras


def _arguments(model: type[BaseModel], positional: tuple[str, ...]) -> list[inspect.Parameter]:
    return [
        _parameter(
            name,
            Annotated[
                Optional[str],  # noqa: UP045 (typer reads the annotation)
                typer.Argument(help=model.model_fields[name].description, show_default=False),
            ],
        )
        for name in positional
    ]


def _config(prefix: str, section: str) -> inspect.Parameter:
    text = f"YAML file of settings; flags and {prefix}* variables go before it."
    option = typer.Option("--config", "-c", help=text, show_default=False, rich_help_panel=section)
    return _parameter("config", Annotated[Optional[Path], option])  # noqa: UP045


def _flags(model: type[BaseModel], positional: tuple[str, ...]) -> list[inspect.Parameter]:
    parameters = []
    for name, field in model.model_fields.items():
        if name in positional:
            continue
        flag = f"--{name.replace('_', '-')}"
        is_switch = field.annotation is bool
        option = typer.Option(
            f"{flag}/--no-{name.replace('_', '-')}" if is_switch else flag,
            help=field.description,
            show_default=str(field.default) if str(field.default) else False,
            rich_help_panel=str(_extras(model)[name]["section"]),
        )
        # Limits and choices are checked by Settings, whose message names the source; typer only needs the basic type.
        basic = field.annotation if field.annotation in (bool, int, float) else str
        if basic is str and field.annotation is not str:
            option.metavar = "|".join(getattr(field.annotation, "__args__", ()))
        parameters.append(_parameter(name, Annotated[Optional[basic], option]))  # noqa: UP045
    return parameters


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
