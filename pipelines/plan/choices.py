"""Items that are restored with settings of their own, since people chose them in a review (*redo*)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from faithdiff_model.weights.errors import WeightsError
from pipelines.item_settings import with_choices
from pipelines.manifest.decision import Decision
from pipelines.settings import Settings

__all__ = ["Choice", "FindModel", "ItemChoices", "Model"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Model:
    """What results are made with.

    Attributes:
        digest: of the network and its weights.
        described_by: digest of the captioner; None where there is none.
        revision: the commits of both from the hub, in JSON; None where none is from there.
    """

    digest: str
    described_by: str | None
    revision: str | None


FindModel = Callable[[Settings], Model]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A run's settings with those that were chosen for some items, and the model that they ask for."""

    settings: Settings
    model: Model


class ItemChoices:
    """What was chosen for which item.

    Args:
        redos: the redo that is in force, by item id: of `DecisionLog.redos`.
        settings: of the run.
        find_model: settings -> their model.

    Attributes:
        by_text: each choice that can be carried out, by the JSON of what was chosen.
        waiting: why the others cannot, a line each, by the same.
    """

    def __init__(self, redos: Mapping[str, Decision], settings: Settings, find_model: FindModel) -> None:
        self.by_text: dict[str, Choice] = {}
        self.waiting: dict[str, str] = {}
        self._texts = {item: redo.settings for item, redo in redos.items()}
        for text, items in Counter(self._texts.values()).items():
            choices = next(redo.choices for redo in redos.values() if redo.settings == text)
            try:
                own = with_choices(settings, choices)
                self.by_text[text] = Choice(settings=own, model=find_model(own))
            except (ValueError, WeightsError) as error:
                # No fault of the run's: these items stay as they are, and the next night tries again.
                self.waiting[text] = f"{items} {'item waits' if items == 1 else 'items wait'} for redo: {error}"
                logger.warning("%s", self.waiting[text])

    def of(self, item_id: str) -> tuple[str | None, Choice | None]:
        """What was chosen for an item, as JSON, and what follows; None, None for most, and no choice where it waits."""
        text = self._texts.get(item_id)
        return text, self.by_text.get(text or "")
