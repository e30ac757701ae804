"""The gallery of a report's page, as HTML: its toolbar, its cards, and the dialog that shows one of them large."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from pipelines.review.cards import Card, Pair
from pipelines.review.charts import shown

__all__ = ["cards_section"]

_ROOT = "../.."  # the output, from where reports lie
_FOLDER = "pictures"
_DIALOG = """
<dialog id='large' aria-label='One item, large'><div class='large'><figure class='compare'><img alt=''>
<img class='compare-scan' alt=''><input class='compare-range' type='range' min='0' max='100' step='0.5' value='50'
aria-label='Part of the scan that is shown'><span class='compare-line'></span></figure></div>
<div class='large-foot'><p class='name'></p>
<button type='button' id='large-detail' aria-pressed='false'>Detail <kbd>D</kbd></button>
<span class='soft'>hold <kbd>F</kbd> to flip</span><button type='button' id='large-previous'>Previous <kbd>P</kbd></button>
<button type='button' id='large-next'>Next <kbd>N</kbd></button>
<button type='button' id='large-close'>Close <kbd>Esc</kbd></button></div></dialog>
"""


def cards_section(cards: Sequence[Card], restored: int) -> list[str]:
    """The section; nothing without cards.

    Args:
        cards: of the items that are shown.
        restored: items that there are.
    """
    if not cards:
        return []
    said = "" if len(cards) >= restored else (
        f"<p class='soft'>{len(cards):,} of {restored:,} restored items are shown (--pictures): half of them those that most "
        "need eyes, the others spread evenly over the archive.</p>"
    )  # fmt: skip
    return [
        f"<h2>Before and after</h2>{said}",
        _toolbar(cards),
        "<div class='cards'>",
        *map(_card, cards),
        "</div>",
        _DIALOG,
    ]


def _tags(card: Card) -> list[str]:
    tags = [card.decision]
    tags += ["look"] if card.needs_review else []
    return tags + (["warned"] if card.warnings else [])


def _toolbar(cards: Sequence[Card]) -> str:
    words = {
        "none": "Not reviewed", "accept": "Accepted", "reject": "Rejected", "redo": "To redo", "look": "Look first",
        "warned": "With warnings",
    }  # fmt: skip
    there = {tag for card in cards for tag in _tags(card)}
    buttons = "".join(
        f"<button type='button' data-filter='{tag}' aria-pressed='false'>{text}</button>"
        for tag, text in words.items()
        if tag in there and there != {"none"}
    )
    whole = "<button type='button' data-filter='all' aria-pressed='true'>All</button>" if buttons else ""
    search = "<input type='search' id='search' placeholder='Find a path' aria-label='Find a path'>"
    return f"<div class='toolbar'>{search}{whole}{buttons}<span class='count' role='status'></span></div>"


def _card(card: Card) -> str:
    name = shown(card.path)
    badge = {"accept": "accepted", "reject": "rejected", "redo": "to redo"}.get(card.decision, "")
    link = f"{_ROOT}/{quote(card.output_path)}"
    tools = ["<button type='button' class='enlarge'>Large</button>"] if card.whole else []
    tools += ["<button type='button' class='detail' aria-pressed='false'>Detail</button>"] if card.detail else []
    tools += [f"<span class='badge {card.decision}'>{badge}</span>"] if badge else []
    tools += ["<span class='badge look'>look first</span>"] if card.needs_review else []
    about = [
        f"<h3 class='name'><a href='{shown(link)}'>{name}</a></h3>",
        f"<p class='soft'>{shown(', '.join(card.facts))}</p>",
    ]
    about += [f"<p class='warned'>{shown(text)}</p>" for text in card.warnings[:3]]
    if card.note:
        about.append(f"<p class='noted'>{shown(card.note)} <span class='soft'>{shown(card.reviewer)}</span></p>")
    about += [f"<div class='card-tools'>{''.join(tools)}</div>"] if tools else []
    data = f" data-whole='{_pair(card.whole)}'" if card.whole else ""
    data += f" data-detail='{_pair(card.detail)}'" if card.detail else ""
    return (
        f"<article class='card' data-tags='{' '.join(_tags(card))}' data-text='{shown(card.path.lower())}'{data}>"
        f"{_figure(card)}<div class='about'>{''.join(about)}</div></article>"
    )


def _pair(pair: Pair) -> str:
    return f"{pair.scan} {pair.result} {pair.width} {pair.height}"


def _figure(card: Card) -> str:
    pair, name = card.whole, shown(card.path)
    if pair is None:
        return f"<p class='no-picture'>{shown(card.problem)}</p>"
    size = f"width='{pair.width}' height='{pair.height}' loading='lazy'"
    return (
        f"<figure class='compare'><img src='{_FOLDER}/{pair.result}' alt='Result of {name}' {size}>"
        f"<img class='compare-scan' src='{_FOLDER}/{pair.scan}' alt='Scan {name}' {size}>"
        "<input class='compare-range' type='range' min='0' max='100' step='0.5' value='50' "
        f"aria-label='Part of the scan that is shown of {name}'><span class='compare-line'></span></figure>"
    )
