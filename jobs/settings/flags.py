"""Command-line flags built from a settings object: every setting is one, named, typed, limited and described there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Optional, cast, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs.settings.load import ENV_PREFIX, load
from pipelines.settings import Settings

__all__ = ["sections_of", "with_model", "with_settings"]


def with_settings(
    command: Callable[..., None], *, left_out: Collection[str] = (), shows: Collection[str] = ()
) -> Callable[..., None]:
    """Give a command SOURCE and OUTPUT arguments, a flag for every other setting of a restoration, and `--config`.

    Settings `left_out` get neither; the settings file and the environment may still name them. Where the help `shows` certain
    sections alone, the flags of others are taken as well.
    """
    return with_model(
        command,
        Settings,
        positional=("source", "output"),
        prefix=ENV_PREFIX,
        named="restore",
        left_out=left_out,
        shows=shows,
    )


def with_model(
    command: Callable[..., None],
    model: type[BaseModel],
    *,
    positional: tuple[str, ...],
    prefix: str,
    named: str,
    left_out: Collection[str] = (),
    shows: Collection[str] = (),
) -> Callable[..., None]:
    """Give a command arguments for the `positional` fields of a settings object, a flag for every other, and `--config`.

    Fields `left_out` get neither; the help lists flags of the sections it `shows`, or all where none are named. The command
    is called with the merged settings as its first argument and its own parameters by name. Environment variables begin with
    `prefix`; errors send to the help of the command `named`.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in list(inspect.signature(command).parameters.values())[1:]
    ]

    def wrapper(**values: object) -> None:
        config = cast("Path | None", values.pop("config"))
        mine = {parameter.name: values.pop(parameter.name) for parameter in own}
        settings = load(model, values, config=config, environment=None, prefix=prefix, command=named)
        command(settings, **mine)

    sections = sections_of(model)
    arguments = [_argument(model, name) for name in positional if name not in left_out]
    flags = [
        _flag(name, field, sections[name], hidden=bool(shows) and sections[name] not in shows)
        for name, field in model.model_fields.items()
        if name not in positional and name not in left_out
    ]
    parameters = [*arguments, *own, _config(prefix, next(iter(sections.values()))), *flags]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def sections_of(model: type[BaseModel]) -> dict[str, str]:
    """The section of each field."""
    sections = {}
    for name, field in model.model_fields.items():
        assert isinstance(field.json_schema_extra, dict)
        sections[name] = str(field.json_schema_extra["section"])
    return sections


def _argument(model: type[BaseModel], name: str) -> inspect.Parameter:
    argument = typer.Argument(help=model.model_fields[name].description, show_default=False)
    return _parameter(name, Annotated[Optional[str], argument])  # noqa: UP045 (typer reads the annotation)


def _config(prefix: str, section: str) -> inspect.Parameter:
    text = f"YAML file of settings; flags and {prefix}* variables go before it."
    option = typer.Option("--config", "-c", help=text, show_default=False, rich_help_panel=section)
    return _parameter("config", Annotated[Optional[Path], option])  # noqa: UP045


def _flag(name: str, field: FieldInfo, section: str, *, hidden: bool) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    is_switch = field.annotation is bool
    option = typer.Option(
        f"{flag}/--no-{name.replace('_', '-')}" if is_switch else flag,
        help=field.description,
        show_default=str(field.default) if str(field.default) else False,
        rich_help_panel=section,
        hidden=hidden,
    )
    # Limits and choices are checked by Settings, whose message names the source; typer only needs the basic type.
    basic = field.annotation if field.annotation in (bool, int, float) else str
    if basic is str and field.annotation is not str:
        option.metavar = "|".join(getattr(field.annotation, "__args__", ()))
    return _parameter(name, Annotated[Optional[basic], option])  # noqa: UP045


def _parameter(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
