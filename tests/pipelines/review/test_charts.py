"""Charts are well-formed SVG that says in words what it shows, and escapes what comes from outside."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from pipelines.review.charts import columns, histogram, parts

EVIL = "<b onload='x'>&\x1b"


def drawn(text: str) -> tuple[ET.Element, list[float]]:
    """The figure, and the heights of its columns or widths of its parts."""
    figure = ET.fromstring(text)
    assert figure.tag == "figure"
    svg = figure.find("svg")
    assert svg is not None
    side = "height" if svg.find("rect[@class='column']") is not None else "width"
    return figure, [float(rect.attrib[side]) for rect in svg.iter("rect")]


def test_parts_are_as_wide_as_their_share() -> None:
    figure, widths = drawn(parts("Items", {"restored": 3, "failed": 1, "quarantined": 0}))
    assert len(widths) == 2
    assert widths[0] + 3 == pytest.approx(3 * (widths[1] + 3), rel=0.01)
    assert figure.find("svg").attrib["aria-label"] == "Items: 3 restored, 1 failed"
    assert [item.find("b").text for item in figure.iter("li")] == ["3", "1"]


def test_columns_are_as_tall_as_their_value() -> None:
    _, heights = drawn(columns("Runs", ["a", "b", "c"], [4, 2, 0]))
    assert heights[0] == pytest.approx(2 * heights[1])
    assert heights[2] == 0


def test_a_histogram_names_its_edges() -> None:
    figure, heights = drawn(histogram("Trust", [0.0, 0.5, 1.0], [1, 3], " dB"))
    assert len(heights) == 2
    assert "0.5 to 1 dB: 3" in figure.find("svg").attrib["aria-label"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert parts("x", {"a": 0}) == columns("x", ["a"], [0]) == histogram("x", [0, 1], [0]) == ""


@pytest.mark.parametrize("text", [parts(EVIL, {EVIL: 1}, plain=False), columns(EVIL, [EVIL], [1])])
def test_names_are_escaped(text: str) -> None:
    figure, _ = drawn(text)
    assert "\\x1b" in ET.tostring(figure, encoding="unicode")
    assert next(figure.iter("figcaption")).text == EVIL.replace("\x1b", "\\x1b")
