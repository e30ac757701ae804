"""Charts as SVG that stands in a page: bars by name, one bar in parts, columns over time. Colours are the page's own.

Every text is escaped, and each chart has a title that a screen reader says. Nothing is scripted or styled inline.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

__all__ = ["columns", "histogram", "parts", "shown"]

_WIDTH = 560  # units of a chart's own system; the page scales it
_GAP = 3
_COLOURS = 6  # of parts whose names the page does not know


def shown(value: object) -> str:
    """Escaped; control characters made visible, so that no name forges a line or hides."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str("" if value is None else value))
    return html.escape(text)


def parts(title: str, counts: Mapping[str, int], *, plain: bool = True) -> str:
    """One bar in parts, with a legend of names and numbers; nothing where all are zero.

    Args:
        title: what is counted.
        counts: by name.
        plain: each name has a colour of its own in the page; else colours follow the order.
    """
    total = sum(counts.values())
    if not total:
        return ""
    bar, legend, left = [], [], 0.0
    for place, (name, count) in enumerate(counts.items()):
        if not count:
            continue
        width = _WIDTH * count / total
        style = f"of-{name.replace(' ', '-')}" if plain else f"of-{place % _COLOURS}"
        bar.append(
            f"<rect class='{style}' x='{left:.1f}' y='0' width='{max(width - _GAP, 1):.1f}' height='26' rx='4'/>"
        )
        legend.append(
            f"<li><i class='{style}'></i>{shown(name)} <b>{count:,}</b> <span>{count / total:.1%}</span></li>"
        )
        left += width
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return (
        f"<figure class='chart'><figcaption>{shown(title)}</figcaption>{_svg(f'{title}: {words}', 26, ''.join(bar))}"
        f"<ul class='legend'>{''.join(legend)}</ul></figure>"
    )


def histogram(title: str, edges: Sequence[float], counts: Sequence[int], unit: str = "") -> str:
    """Columns of how many values lie between edges; nothing where there is none.

    Args:
        title: what is measured.
        edges: one more than counts.
        counts: values in each interval.
        unit: of the edges, for the labels.
    """
    if not sum(counts):
        return ""
    step = (len(edges) - 1) // 4 or 1
    labels = {place: f"{edges[place]:g}" for place in range(0, len(edges), step)}
    hints = [
        f"{low:g} to {high:g}{unit}: {count:,}" for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return _columns(title, counts, hints, labels, on_edges=True)


def columns(title: str, names: Sequence[str], values: Sequence[float], unit: str = "") -> str:
    """A column for each name, in order; nothing where all are zero.

    Args:
        title: what is shown.
        names: of the columns.
        values: not negative.
        unit: for the hints.
    """
    if not any(values):
        return ""
    hints = [f"{name}: {value:,.6g}{unit}" for name, value in zip(names, values, strict=True)]
    labels = {place: names[place] for place in sorted({0, len(names) // 2, len(names) - 1})}
    return _columns(title, values, hints, labels, on_edges=False)


def _columns(
    title: str, values: Sequence[float], hints: Sequence[str], labels: Mapping[int, str], *, on_edges: bool
) -> str:
    height, most = 140, max(values)
    width = _WIDTH / len(values)
    body = [f"<line class='axis' x1='0' x2='{_WIDTH}' y1='{height}.5' y2='{height}.5'/>"]
    body.append(f"<text class='tick' x='0' y='12'>{most:,.4g}</text>")
    for place, (value, hint) in enumerate(zip(values, hints, strict=True)):
        tall = (height - 22) * value / most
        body.append(
            f"<rect class='column' x='{place * width:.1f}' y='{height - tall:.1f}' width='{max(width - _GAP, 1):.1f}' "
            f"height='{tall:.1f}' rx='2'><title>{shown(hint)}</title></rect>"
        )
    for place, text in labels.items():
        middle = place * width + (0 if on_edges else width / 2)
        anchor = "start" if middle < 40 else "end" if middle > _WIDTH - 40 else "middle"
        body.append(
            f"<text class='tick' x='{middle:.1f}' y='{height + 20}' text-anchor='{anchor}'>{shown(text)}</text>"
        )
    return (
        f"<figure class='chart'><figcaption>{shown(title)}</figcaption>"
        f"{_svg(f'{title}: ' + '; '.join(hints[:60]), height + 26, ''.join(body))}</figure>"
    )


def _svg(title: str, height: int, body: str) -> str:
    return f"<svg viewBox='0 0 {_WIDTH} {height}' role='img' aria-label='{shown(title)}'>{body}</svg>"
