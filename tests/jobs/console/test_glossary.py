"""The glossary holds the words that people meet first in settings and help, and says them in whole sentences."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from jobs.cli.main import app
from jobs.console.glossary import GLOSSARY, find

# Words of settings' help, reports and the runbook that nobody brings along.
ASKED = (
    "lease", "drain", "halo", "fixity", "windows a call", "sidecar", "manifest", "quarantine", "replica", "tile", "catalogue",
    "guidance", "seed", "segment", "slate", "spot node", "head node", "PREMIS", "C2PA", "IIIF", "not taken", "identity",
    "trust", "consistency", "needs review", "decision",
)  # fmt: skip


@pytest.mark.parametrize("word", ASKED)
def test_what_an_archivist_meets_is_explained(word: str) -> None:
    assert find(word)[0] == word


def test_every_meaning_is_in_whole_sentences_and_in_order() -> None:
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.casefold)
    for word, meaning in GLOSSARY.items():
        assert meaning[0].isupper() or meaning[0] == "`", word
        assert meaning.endswith(".") and len(meaning) > 40, word


@pytest.mark.parametrize(
    ("typed", "found"),
    [("LEASE", "lease"), ("tiles", "tile"), ("head-node", "head node"), ("drained", "drain"), ("Windows", "window")],
)  # fmt: skip
def test_a_word_is_found_as_it_is_typed(typed: str, found: str) -> None:
    assert find(typed)[0] == found


def test_one_that_is_not_there_is_told_what_looks_like_it() -> None:
    with pytest.raises(ValueError, match="quarantine"):
        find("quarantin")
    with pytest.raises(ValueError, match="faitharchive explain lists the words"):
        find("zzz")


def test_the_command_prints_one_or_all_and_help_names_it() -> None:
    one = CliRunner().invoke(app, ["explain", "windows", "a", "call"])
    assert one.exit_code == 0 and one.output.startswith("windows a call: How many windows")
    every = CliRunner().invoke(app, ["explain"])
    assert all(word in every.output for word in GLOSSARY)
    assert "faitharchive explain" in CliRunner().invoke(app, ["--help"]).output
