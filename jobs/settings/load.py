"""Settings from flags, environment and a YAML file, in that order of precedence, into one validated object."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from jobs.console.messages import warn
from pipelines.settings import Settings

__all__ = ["ENV_PREFIX", "SettingsError", "load", "load_settings", "settings_yaml"]

ENV_PREFIX = "FAITHARCHIVE_"
# Variables that begin likewise and are read elsewhere.
_OTHER_VARIABLES = ("FAITHARCHIVE_CACHE", "FAITHARCHIVE_DEBUG", "FAITHARCHIVE_TRAIN_", "FAITHARCHIVE_NOTIFY_",
                    "FAITHARCHIVE_CHAOS", "FAITHARCHIVE_COMPLETE")  # fmt: skip


Model = TypeVar("Model", bound=BaseModel)


class SettingsError(ValueError):
    """A setting is wrong; the message says which, where it came from and what to do."""


def load_settings(
    flags: Mapping[str, object], *, config: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings of a restoration, merged from all sources. Arguments and errors as of `load`."""
    return load(Settings, flags, config=config, environment=environment, prefix=ENV_PREFIX, command="restore")


def load(
    model: type[Model],
    flags: Mapping[str, object],
    *,
    config: Path | None,
    environment: Mapping[str, str] | None,
    prefix: str,
    command: str,
) -> Model:
    """Merge all sources of a command's settings.

    Args:
        model: the settings object.
        flags: by setting name; None means not given.
        config: YAML file, or None.
        environment: variables, the process's own by default.
        prefix: of the variables that count.
        command: whose `--help` an error names.

    Raises:
        SettingsError: an unknown name or a bad value, with its source.
    """
    environment = os.environ if environment is None else environment
    sources: dict[str, str] = {}
    values: dict[str, object] = {}
    for source, layer in (
        (f"settings file {config}", _from_yaml(config, model) if config else {}),
        ("environment", _from_environment(environment, model, prefix)),
        ("flag", {name: value for name, value in flags.items() if value is not None}),
    ):
        for name, value in layer.items():
            values[name] = value
            sources[name] = source
    try:
        return model(**values)
    except ValidationError as error:
        raise SettingsError(_one_line(error, sources, command)) from error


def settings_yaml(settings: BaseModel, prefix: str = ENV_PREFIX) -> str:
    """A commented YAML file with every setting, ready to be edited."""
    lines = [f"# FaithArchive settings. Flags and {prefix}* variables go before this file."]
    section = ""
    for name, field in type(settings).model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        if extra["section"] != section:
            section = str(extra["section"])
            lines += ["", f"# {section}"]
        value = _yaml_line(name, getattr(settings, name))
        lines.append(f"{value}  # {field.description}")
    return "\n".join(lines) + "\n"


def _yaml_line(name: str, value: object) -> str:
    """One key and its value. Text with invisible characters is quoted, since YAML takes some of them for line ends."""
    if isinstance(value, str) and not value.isprintable():
        return f"{name}: " + yaml.safe_dump(value, default_style='"', width=float("inf")).strip("\n")
    return yaml.safe_dump({name: value}, default_flow_style=False, allow_unicode=True).strip("\n")


def _from_environment(environment: Mapping[str, str], model: type[BaseModel], prefix: str) -> dict[str, str]:
    names = {f"{prefix}{name.upper()}": name for name in model.model_fields}
    for variable in sorted(environment):
        if variable.startswith(prefix) and variable not in names and not variable.startswith(_OTHER_VARIABLES):
            near = difflib.get_close_matches(variable, names, n=1)
            warn("note:", f"{variable} is no setting; " + (f"did you mean {near[0]}?" if near else "it does nothing"))
    return {name: environment[variable] for variable, name in names.items() if variable in environment}


def _from_yaml(path: Path, model: type[BaseModel]) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"settings file {path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise SettingsError(f"settings file {path}: not YAML ({reason}); write lines like 'upscale: 2'") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"settings file {path}: must hold lines like 'upscale: 2', found a {type(content).__name__}"
        )
    for name in content:
        if name not in model.model_fields:
            near = difflib.get_close_matches(str(name), model.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "see 'faitharchive settings' for all names"
            raise SettingsError(f"settings file {path}: unknown setting {name!r}; {hint}")
    return content


def _one_line(error: ValidationError, sources: Mapping[str, str], command: str) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    text = first["msg"].removeprefix("Value error, ")
    if not name:
        return text
    flag = f"--{name.replace('_', '-')}"
    source = sources.get(name, "setting")
    return f"{source}: {name} is {first['input']!r}: {text}; see {flag} in 'faitharchive {command} --help'"
