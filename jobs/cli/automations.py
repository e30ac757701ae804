"""`faitharchive automations`: who is notified of what, set up on a Prefect server from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import SecretStr, ValidationError

from jobs.console.terminal import OUT

__all__ = ["automations", "publish", "read_automations"]

BLOCK_NAME = "faitharchive"


def automations(
    file: Annotated[Path, typer.Argument(help="YAML file, such as infra/automations.yaml.")],
    slack: Annotated[
        str, typer.Option(envvar="FAITHARCHIVE_NOTIFY_SLACK", help="Incoming webhook of a Slack channel.")
    ] = "",
    teams: Annotated[str, typer.Option(envvar="FAITHARCHIVE_NOTIFY_TEAMS", help="Workflow URL of Teams.")] = "",
    webhook: Annotated[
        str,
        typer.Option(envvar="FAITHARCHIVE_NOTIFY_WEBHOOK", help='Any URL: gets {"text": subject and body} by POST.'),
    ] = "",
    block: Annotated[
        str, typer.Option(help="A notification block that is there, as type/name: sendgrid-email/archive.")
    ] = "",
) -> None:
    """Create or update the automations in FILE on the Prefect server of PREFECT_API_URL, and say where they notify.

    The URL goes into a block of the server, encrypted; better by its variable than on the command line, which others can read.
    Running again updates by name.
    """
    ways = {"slack": slack, "teams": teams, "webhook": webhook, "block": block}
    chosen = {kind: value for kind, value in ways.items() if value}
    if len(chosen) != 1:
        named = f"both {' and '.join(f'--{kind}' for kind in chosen)}" if chosen else "none"
        raise ValueError(f"where to notify: {named} given; choose one of --slack, --teams, --webhook and --block")
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise ValueError(
            "PREFECT_API_URL is not set: name the server that is to watch, such as http://localhost:4200/api"
        )
    content = read_automations(file)
    ((kind, value),) = chosen.items()
    block_id = _existing_block(value) if kind == "block" else _own_block(kind, value)
    for name, new in publish(content, block_id):
        OUT.print(f"{'created' if new else 'updated'}: {name}", highlight=False)


def read_automations(file: Path) -> list[dict[str, Any]]:
    """The file's automations, as Prefect takes them but for the block of `send-notification`.

    Raises:
        ValueError: it is no such file.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not YAML ({' '.join(str(error).split())[:160]})") from error
    entries = content.get("automations") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "name" in one for one in entries):
        raise ValueError(f"{file}: holds no list 'automations', each with a name; see infra/automations.yaml")
    return entries


def publish(content: list[dict[str, Any]], block_id: str) -> list[tuple[str, bool]]:
    """Create or update automations by name: each name, and whether it is new.

    Args:
        content: as of `read_automations`.
        block_id: of the block that notifications go through which name none.

    Raises:
        ValueError: Prefect takes one of them for none.
    """
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    published = []
    with get_client(sync_client=True) as client:
        for one in content:
            actions = [
                {"block_document_id": block_id, **action} if action.get("type") == "send-notification" else action
                for action in one.get("actions", [])
            ]
            try:
                automation = AutomationCore.model_validate({**one, "actions": actions})
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise ValueError(f"automation {one['name']!r}: {where}: {first['msg']}") from error
            there = client.read_automations_by_name(automation.name)
            if there:
                client.update_automation(there[0].id, automation)
            else:
                client.create_automation(automation)
            published.append((automation.name, not there))
    return published


def _own_block(kind: str, url: str) -> str:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock, MicrosoftTeamsWebhook, SlackWebhook
    from prefect.types import SecretDict

    if not url.startswith(("https://", "http://")):
        raise ValueError(f"--{kind}: the URL must begin with https:// (or http:// on a network of your own)")
    block: SlackWebhook | MicrosoftTeamsWebhook | CustomWebhookNotificationBlock
    if kind == "slack":
        block = SlackWebhook(url=SecretStr(url))
    elif kind == "teams":
        block = MicrosoftTeamsWebhook(url=SecretStr(url))
    else:
        block = CustomWebhookNotificationBlock(
            name=BLOCK_NAME,
            url="{{url}}",
            json_data={"text": "{{subject}}\n{{body}}"},
            headers=None,
            cookies=None,
            secrets=SecretDict({"url": url}),
        )
    return str(block.save(BLOCK_NAME, overwrite=True, _sync=True))  # type: ignore[call-arg]  # Prefect adds it


def _existing_block(named: str) -> str:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    kind, slash, name = named.partition("/")
    if not slash:
        raise ValueError(f"--block is {named!r}: give type/name as 'prefect block ls' shows them")
    with get_client(sync_client=True) as client:
        try:
            return str(client.read_block_document_by_name(name, kind, include_secrets=False).id)
        except ObjectNotFound as error:
            raise ValueError(f"--block is {named!r}: the server has none; see 'prefect block ls'") from error
